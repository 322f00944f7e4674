/* Module strings and verge.cfg to plans, from the grammar in guest/cfg.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "guest/cfg.h"
#include "guest/module_string.h"

static struct plan plan;
static struct settings_error error;

/* Builds from up to 40 strings, NULL-terminated; `config` is the text of the module whose string holds
 * "config". */
static bool build(const char *hypervisor, const char *config, const char *const *strings)
{
    struct plan_module modules[40] = {{0}};
    unsigned count = 0;
    char *exact = NULL; /* heap memory of just that size, so that ASan sees a read past its end */

    for (; strings[count]; count++) {
        modules[count].string = strings[count];
        if (config && strstr(strings[count], "config") && !exact) {
            exact = malloc(strlen(config));
            memcpy(exact, config, strlen(config));
            modules[count].data = exact;
            modules[count].size = strlen(config);
        }
    }
    bool good = plan_build(hypervisor, modules, count, &plan, &error);
    assert_true(good == (error.text[0] == 0));
    free(exact);
    return good;
}

#define BUILD(hypervisor, config, ...)                                                                       \
    build(hypervisor, config, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void must(bool good)
{
    if (!good)
        fail_msg("%s", error.text);
}

static void no_module_is_the_clock_guest(void **state)
{
    (void)state;
    must(BUILD("verge.elf32", NULL));
    assert_int_equal(plan.guest_count, 1);
    assert_string_equal(plan.guests[0].name, "vm0");
    assert_int_equal(plan.guests[0].kernel, PLAN_BUILTIN);
    assert_string_equal(plan.guests[0].command_line, "");
    assert_true(plan.guests[0].settings.mem_bytes == PLAN_BUILTIN_BYTES);
    must(BUILD("", "# nothing\n", "verge.cfg config"));
    assert_int_equal(plan.guests[0].kernel, PLAN_BUILTIN);
}

static void one_linux(void **state)
{
    (void)state;
    must(BUILD("verge.elf32 slice=1ms", NULL,
               "/my dir/vmlinuz kernel mem=1G idle=skip -- console=ttyS0  \"a b\"", "init rd.gz initrd"));
    assert_int_equal(plan.guest_count, 1);
    assert_int_equal(plan.guests[0].kernel, 0);
    assert_true(plan.guests[0].settings.mem_bytes == 1u << 30 &&
                plan.guests[0].settings.idle == GUEST_IDLE_SKIP);
    assert_string_equal(plan.guests[0].command_line, "console=ttyS0  \"a b\"");
    assert_int_equal(plan.guests[0].initrd_count, 1);
    assert_int_equal(plan.guests[0].initrds[0].module, 1);
    assert_string_equal(plan.guests[0].initrds[0].string, "");
    assert_true(plan.hv.slice_ns == 1000000 && plan.unused_modules == 0);
}

/* GRUB gives no file name; the order of modules is free; a Multiboot module keeps its own string. */
static void two_guests_in_any_order(void **state)
{
    (void)state;
    must(BUILD("", NULL, "initrd vm=b -- one two", "kernel vm=a", "kernel charge=3 vm=b", "initrd vm=b",
               "initrd vm=a"));
    assert_int_equal(plan.guest_count, 2);
    assert_string_equal(plan.guests[0].name, "a");
    assert_string_equal(plan.guests[1].name, "b");
    assert_int_equal(plan.guests[1].kernel, 2);
    assert_int_equal(plan.guests[1].initrd_count, 2);
    assert_int_equal(plan.guests[1].initrds[0].module, 0);
    assert_string_equal(plan.guests[1].initrds[0].string, "one two");
    assert_int_equal(plan.guests[1].initrds[1].module, 3);
    assert_int_equal(plan.guests[0].initrds[0].module, 4);
    assert_true(plan.guests[1].settings.charge_cycles == 3 && plan.guests[0].settings.charge_cycles == 0);
}

static void config_file(void **state)
{
    static const char text[] = "\xef\xbb\xbf# Verge's guests: \xc3\xa4\xe2\x82\xac \\\r\n"
                               "slice=2ms loglevel=debug # comment \"\r\n"
                               "onexit=stay\r\n"
                               "\r\n"
                               "  vm=deb kernel=vmlinuz initrd=initrd.gz \\\r\n"
                               "  initrd='more files' mem=512M idle=skip -- console=ttyS0 # kept \\\r\n"
                               "quiet\r\n"
                               "vm=two kernel=/boot/vmlinuz mem=64M -- a\\ b\n"
                               "vm=spin kernel=dir/spin # no command line";

    (void)state;
    must(BUILD("slice=5ms", text, "x config", "/boot/vmlinuz", "/boot/initrd.gz", "more files", "spin",
               "left over"));
    assert_true(plan.hv.slice_ns == 5000000 && plan.hv.loglevel == 3 && plan.hv.onexit == HV_ONEXIT_STAY);
    assert_int_equal(plan.guest_count, 3);
    assert_string_equal(plan.guests[0].name, "deb");
    assert_int_equal(plan.guests[0].kernel, 1);
    assert_int_equal(plan.guests[0].initrd_count, 2);
    assert_int_equal(plan.guests[0].initrds[0].module, 2);
    assert_int_equal(plan.guests[0].initrds[1].module, 3);
    assert_string_equal(plan.guests[0].command_line, "console=ttyS0 # kept  quiet");
    assert_true(plan.guests[0].settings.mem_bytes == 512u << 20);
    assert_int_equal(plan.guests[1].kernel, 1);
    assert_string_equal(plan.guests[1].command_line, "a\\ b");
    assert_int_equal(plan.guests[2].kernel, 4);
    assert_string_equal(plan.guests[2].command_line, "");
    assert_int_equal(plan.unused_modules, BIT(5));
}

static void the_command_line_wins(void **state)
{
    (void)state;
    must(BUILD("", "vm=a kernel=k mem=64M idle=skip -- from file\nvm=b mem=32M\n", "config", "k",
               "kernel vm=b charge=2 -- own", "kernel vm=c"));
    assert_string_equal(plan.guests[0].command_line, "from file");
    assert_int_equal(plan.guests[1].kernel, 2);
    assert_true(plan.guests[1].settings.mem_bytes == 32u << 20 && plan.guests[1].settings.charge_cycles == 2);
    assert_string_equal(plan.guests[1].command_line, "own");
    assert_string_equal(plan.guests[2].name, "c");
    must(
        BUILD("", "vm=a kernel=k mem=64M -- from file\n", "config", "k kernel vm=a mem=128M -- from string"));
    assert_int_equal(plan.guest_count, 1);
    assert_true(plan.guests[0].settings.mem_bytes == 128u << 20);
    assert_string_equal(plan.guests[0].command_line, "from string");
}

static void faults(void **state)
{
    static const struct {
        const char *config, *first, *second, *names, *shows;
    } cases[] = {
        {NULL, "kernel vm=a", "kernel vm=a", "module 2: a second kernel for a", "kernel vm=vm1"},
        {NULL, "kernel", "k kernel vm=vm0", "module 2 (k): a second kernel for vm0", "kernel vm=vm1"},
        {NULL, "initrd", NULL, "an initrd for vm0, which has no kernel", "kernel vm=vm0"},
        {NULL, "kernel vm=a", "initrd vm=b", "an initrd for b", "kernel vm=b"},
        {NULL, "kernel", "initrd mem=1G", "\"mem=1G\"", "initrd vm=vm0"},
        {NULL, "vmlinuz", NULL, "module 1 (vmlinuz): no word", "kernel vm=vm0"},
        {NULL, "vmlinuz -- kernel", NULL, "module 1 (vmlinuz -- kernel): no word", "kernel vm=vm0"},
        {NULL, "", NULL, "module 1: no word", "kernel vm=vm0"},
        {NULL, "x disk", NULL, "disk module", "kernel vm=vm0"},
        {NULL, "bios vm=a", NULL, "bios module", "kernel vm=vm0"},
        {NULL, "kernel vm=", NULL, "\"vm=\"", "vm=vm0"},
        {NULL, "kernel vm=Big", NULL, "\"vm=Big\"", "vm=vm0"},
        {NULL, "kernel vm=abcdefghijklmnop", NULL, "\"vm=abcdefghijklmnop\"", "1 to 15"},
        {NULL, "kernel vm=a vm=b", NULL, "second time", "vm=vm0"},
        {NULL, "kernel memm=1G", NULL, "\"memm=1G\"", "mem=256M"},
        {NULL, "kernel mem=1G mem=2G", NULL, "\"mem=2G\" sets mem a second time", "mem=256M"},
        {NULL, "kernel mem=\"1G", NULL, "open quote", "kernel vm=vm0"},
        {NULL, "kernel kernel=x", NULL, "unknown guest setting \"kernel=x\"", "kernel vm=vm0"},
        {"", "config", "config", "second config", "config"},
        {"", "config loglevel=info", NULL, "\"loglevel=info\"", "config"},
        {"vm=a", "config", NULL, "a has no kernel", "vm=a kernel=vmlinuz"},
        {"\n\nvm=a kernel=x", "config", NULL, "verge.cfg line 3: no module is named \"x\"", "kernel=vmlinuz"},
        {"vm=a kernel=k\nvm=a kernel=k", "config", "k", "line 2: a second line for a", "vm=vm1"},
        {"vm=a kernel=k kernel=k", "config", "k", "a second kernel for a", "vm=vm1 kernel=vmlinuz"},
        {"vm=a kernel=k\nmem=1G", "config", "k", "line 2: \"mem=1G\"", "vm=vm1"},
        {"mem=1G", "config", "k", "line 1: \"mem=1G\" is a guest's", "\"vm=vm0 kernel=vmlinuz\""},
        {"kernel=k vm=a", "config", "k", "line 1: \"kernel=k\" is a guest's", "\"vm=vm0 kernel=vmlinuz\""},
        {"slyce=1ms mem=1G", "config", "k", "line 1: unknown hypervisor setting \"slyce=1ms\"", "slice=10ms"},
        {"vm=a kernel=k colour=red", "config", "k", "line 1: unknown guest setting \"colour=red\"",
         "\"vm=vm0 kernel="},
        {"vm=a kernel=k mem=\"1G", "config", "k", "line 1: open quote", "\"vm=vm0 kernel="},
        {"vm=a kernel=k", "config", "k kernel vm=b colour=red", "module 2", "\"kernel vm=vm0"},
        {"slice=1ms\nslice=2ms", "config", NULL, "line 2: \"slice=2ms\"", "slice=10ms"},
        {"slice=1ms -- x", "config", NULL, "line 1", "vm=vm0"},
        {"slice='", "config", NULL, "line 1: open quote", "vm=vm0"},
        {"# one\\\nslice=x", "config", NULL, "line 2: bad value in \"slice=x\"", "slice=10ms"},
        {"a \\\n b \\\r\n c\nslice=1ms", "config", NULL, "line 1: unknown", "hypervisor"},
        {"loglevel=info\nslice=1ms\rx", "config", NULL, "line 2: not UTF-8", "vm=vm0"},
        {"\xff\xfe", "config", NULL, "line 1: not UTF-8", "vm=vm0"},
        {"# \xed\xa0\x80", "config", NULL, "line 1: not UTF-8", "vm=vm0"},
        {"# \xc0\x80", "config", NULL, "line 1: not UTF-8", "vm=vm0"},
        {"# \xe2\x82", "config", NULL, "line 1: not UTF-8", "vm=vm0"},
        {"vm=a kernel=k", "config", "x/k kernel vm=b idle=now", "module 2 (x/k)", "idle=wait"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (build("", cases[i].config, (const char *const[]){cases[i].first, cases[i].second, NULL}))
            fail_msg("case %zu was taken", i);
        if (!strstr(error.text, cases[i].names) || !strstr(error.text, cases[i].shows))
            fail_msg("case %zu: %s", i, error.text);
    }
    assert_false(BUILD("", "vm=a kernel=k", "config", "/x/k", "/y/k"));
    assert_non_null(strstr(error.text, "more than one module"));
    must(BUILD("", "vm=a kernel=/y/k", "config", "/x/k", "/y/k"));
    assert_int_equal(plan.guests[0].kernel, 2);
    assert_false(BUILD("onexit=never", NULL, "kernel"));
    assert_non_null(strstr(error.text, "hypervisor string: bad value in \"onexit=never\""));
}

static void limits(void **state)
{
    static char names[40][24], config[5200];
    const char *strings[41];

    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        strcpy(names[i], "kernel vm=x");
        names[i][11] = (char)('a' + i % 26);
        names[i][12] = (char)('a' + i / 26);
        strings[i] = names[i];
    }
    strings[PLAN_MODULES] = NULL;
    must(build("", NULL, strings));
    assert_int_equal(plan.guest_count, PLAN_MODULES);
    strings[PLAN_MODULES] = names[PLAN_MODULES];
    strings[PLAN_MODULES + 1] = NULL;
    assert_false(build("", NULL, strings));
    assert_non_null(strstr(error.text, "33 modules"));

    for (unsigned i = 0; i < PLAN_INITRDS + 1; i++)
        strings[i + 1] = "initrd vm=xaa";
    strings[PLAN_INITRDS + 2] = NULL;
    assert_false(build("", NULL, strings));
    assert_non_null(strstr(error.text, "more than 8 initrds"));
    strings[PLAN_INITRDS + 1] = NULL;
    must(build("", NULL, strings));

    strcpy(config, "vm=a kernel=k -- ");
    memset(config + strlen(config), 'x', PLAN_LINE - strlen(config) - 1);
    must(BUILD("", config, "config", "k"));
    assert_int_equal(strlen(plan.guests[0].command_line), PLAN_LINE - 1 - 17);
    config[PLAN_LINE - 1] = 'x';
    assert_false(BUILD("", config, "config", "k"));
    assert_non_null(strstr(error.text, "longer than 4095 bytes"));
}

static void text_is_bounded(void **state)
{
    static char string[PLAN_TEXT + 64];

    (void)state;
    strcpy(string, "kernel -- ");
    memset(string + 10, 'y', PLAN_TEXT - 1);
    must(BUILD("", NULL, string));
    assert_int_equal(plan.text_used, PLAN_TEXT);
    string[10 + PLAN_TEXT - 1] = 'y';
    assert_false(BUILD("", NULL, string));
    assert_non_null(strstr(error.text, "32768"));
}

static void module_names(void **state)
{
    static const struct {
        const char *string, *name;
        enum module_type type;
    } cases[] = {
        {"vmlinuz", "vmlinuz", MODULE_UNTYPED},       {" a b ", "a b", MODULE_UNTYPED},
        {"a b  kernel vm=x", "a b", MODULE_KERNEL},   {"kernel", "", MODULE_KERNEL},
        {"kernel kernel", "kernel", MODULE_KERNEL},   {"kernel initrd vm=a", "kernel", MODULE_INITRD},
        {"kernels initrd", "kernels", MODULE_INITRD}, {"a -- kernel", "a -- kernel", MODULE_UNTYPED},
        {"kernel -- initrd", "", MODULE_KERNEL},      {"", "", MODULE_UNTYPED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *words;
        size_t length;
        const char *name = module_name(cases[i].string, &length);

        assert_int_equal(module_type(cases[i].string, &words), cases[i].type);
        if (length != strlen(cases[i].name) || memcmp(name, cases[i].name, length) != 0)
            fail_msg("\"%s\": \"%.*s\"", cases[i].string, (int)length, name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_module_is_the_clock_guest),
        cmocka_unit_test(one_linux),
        cmocka_unit_test(two_guests_in_any_order),
        cmocka_unit_test(config_file),
        cmocka_unit_test(the_command_line_wins),
        cmocka_unit_test(faults),
        cmocka_unit_test(limits),
        cmocka_unit_test(text_is_bounded),
        cmocka_unit_test(module_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
