/* The word parser and both tables of keys, from the grammar in docs/settings.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "guest/settings.h"
#include "hv/settings.h"

/* Cuts `string` and compares with `expected`: the words joined by |, then the mark of how it ended: . end, -
 * dashes, ! bad. */
static void check_words(const char *string, const char *expected, const char *rest)
{
    char got[1024] = "", word[WORD_SIZE];
    const char *at = string;
    enum word_status status;

    while ((status = word_next(&at, word)) == WORD_FOUND) {
        strcat(got, word);
        strcat(got, "|");
    }
    strcat(got, status == WORD_END ? "." : status == WORD_DASHES ? "-" : "!");
    assert_string_equal(got, expected);
    if (rest)
        assert_string_equal(at, rest);
}

static void words_quotes_and_dashes(void **state)
{
    (void)state;
    check_words("", ".", "");
    check_words(" \t ", ".", "");
    check_words("a b\tc ", "a|b|c|.", "");
    check_words("a=\"b c\" d", "a=b c|d|.", NULL);
    check_words("a=b'c \"d'e f", "a=bc \"de|f|.", NULL);
    check_words("\"\" x", "|x|.", NULL);
    check_words("a\\ b \\\"c \"d\\\"e\"", "a b|\"c|d\"e|.", NULL);
    check_words("a -- b  -- 'c", "a|-", "b  -- 'c");
    check_words("a --", "a|-", "");
    check_words("--  x", "-", " x");
    check_words("a --b c-- ---", "a|--b|c--|---|.", "");
    check_words("a \"--\" b", "a|--|b|.", "");
    check_words("a \\-- b", "a|--|b|.", "");
    check_words("a 'b", "a|!", NULL);
    check_words("a b\\", "a|!", NULL);
    check_words("a\nb", "!", NULL);
    check_words("ok b\x7f", "ok|!", NULL);
}

static void words_have_a_longest(void **state)
{
    char string[WORD_SIZE + 1], word[WORD_SIZE];
    const char *at = string;

    (void)state;
    memset(string, 'x', sizeof string);
    string[WORD_SIZE - 1] = 0;
    assert_int_equal(word_next(&at, word), WORD_FOUND);
    assert_int_equal(strlen(word), WORD_SIZE - 1);
    string[WORD_SIZE - 1] = 'x';
    string[WORD_SIZE] = 0;
    at = string;
    assert_int_equal(word_next(&at, word), WORD_BAD);
}

static void numbers_and_units(void **state)
{
    uint64_t value = 7;

    (void)state;
    assert_true(parse_integer("18446744073709551615", &value) && value == UINT64_MAX);
    assert_true(parse_integer("0xFf", &value) && value == 255);
    assert_true(parse_integer("007", &value) && value == 7);
    assert_false(parse_integer("18446744073709551616", &value) || parse_integer("", &value) ||
                 parse_integer("0x", &value) || parse_integer("-1", &value) || parse_integer("1a", &value) ||
                 parse_integer(" 1", &value));
    assert_true(value == 7);
    assert_true(parse_size("3", &value) && value == 3);
    assert_true(parse_size("4K", &value) && value == 4096);
    assert_true(parse_size("256M", &value) && value == 268435456);
    assert_true(parse_size("2g", &value) && value == UINT64_C(2147483648));
    assert_false(parse_size("17179869184G", &value) || parse_size("1T", &value) || parse_size("M", &value) ||
                 parse_size("1MB", &value));
    assert_true(parse_duration("5ns", &value) && value == 5);
    assert_true(parse_duration("5us", &value) && value == 5000);
    assert_true(parse_duration("10ms", &value) && value == 10000000);
    assert_true(parse_duration("2s", &value) && value == 2000000000);
    assert_false(parse_duration("10", &value) || parse_duration("10 ms", &value) ||
                 parse_duration("ms", &value) || parse_duration("18446744074s", &value));
}

/* Every row is whole, its default and example are right by its own parser, and no two keys are alike. */
static void check_table(const struct setting_table *table, void *object)
{
    struct settings_error error = {""};

    assert_in_range(table->count, 1, SETTINGS_MAX);
    settings_defaults(table, object);
    for (unsigned i = 0; i < table->count; i++) {
        const struct setting *row = &table->settings[i];
        char word[WORD_SIZE];
        uint64_t seen = 0;

        assert_true(row->key && row->form && row->example && row->help && row->applied && row->size);
        assert_ptr_equal(settings_find(table, row->key), row);
        assert_true(settings_set(table, object, &seen, row->example, "test", &error));
        assert_true(seen == BIT64(i));
        assert_true((row->type == SETTING_FLAG) == (row->form[0] == 0));
        if (!row->standard)
            continue;
        strcpy(word, row->key);
        strcat(word, "=");
        strcat(word, row->standard);
        seen = 0;
        assert_true(settings_set(table, object, &seen, word, "test", &error));
    }
}

static void tables_are_sound(void **state)
{
    struct hv_settings hv;
    struct guest_settings guest;

    (void)state;
    check_table(&hv_setting_table, &hv);
    check_table(&guest_setting_table, &guest);
}

static void hypervisor_defaults(void **state)
{
    struct settings_error error = {""};
    struct hv_settings hv;

    (void)state;
    assert_true(hv_settings_parse("", &hv, &error));
    assert_true(hv.exact == HV_EXACT_AUTO && hv.console == HV_SERIAL_COM1 && hv.log == HV_SERIAL_AUTO &&
                hv.loglevel == 2);
    assert_true(hv.onexit == HV_ONEXIT_POWEROFF && !hv.noreboot && hv.timer.kind == HV_TIMER_AUTO);
    assert_true(hv.perturb_seed == 0 && hv.slice_ns == 10000000 && hv.tsc_hz == 0);
    for (int i = 0; i < 2; i++)
        assert_true(!hv.com[i].off && hv.com[i].where.kind == HOST_SERIAL_LEGACY &&
                    hv.com[i].line.divisor == 0 && hv.com[i].line.data_bits == 8 &&
                    hv.com[i].line.parity == 'n' && hv.com[i].line.stop_bits == 1);
}

static void hypervisor_words(void **state)
{
    struct settings_error error = {""};
    struct hv_settings hv;

    (void)state;
    assert_true(hv_settings_parse(
        "/my files/it's a=b/verge.elf32 exact=on perturb=0x10 com1=9600,7e2 com2=off console=com2 log=none "
        "loglevel=debug timer=periodic:100 slice=100us tsc=1000000000 onexit=stay noreboot",
        &hv, &error));
    assert_true(hv.exact == HV_EXACT_ON && hv.perturb_seed == 16 && !hv.com[0].off &&
                hv.com[0].line.divisor == 12);
    assert_true(hv.com[0].line.data_bits == 7 && hv.com[0].line.parity == 'e' &&
                hv.com[0].line.stop_bits == 2);
    assert_true(hv.com[1].off && hv.console == HV_SERIAL_COM2 && hv.log == HV_SERIAL_NONE &&
                hv.loglevel == 3);
    assert_true(hv.timer.kind == HV_TIMER_PERIODIC && hv.timer.periodic_hz == 100 && hv.slice_ns == 100000);
    assert_true(hv.tsc_hz == 1000000000 && hv.onexit == HV_ONEXIT_STAY && hv.noreboot == 1);
}

static void serial_lines_have_places(void **state)
{
    static const struct {
        const char *word;
        enum host_serial_kind kind;
        uint64_t address;
        unsigned divisor; /* 0: as it is */
    } cases[] = {
        {"auto", HOST_SERIAL_LEGACY, 0, 0},
        {"9600,8n1", HOST_SERIAL_LEGACY, 0, 12},
        {"pci", HOST_SERIAL_PCI, HOST_SERIAL_ANY_CARD, 0},
        {"pci,auto", HOST_SERIAL_PCI, HOST_SERIAL_ANY_CARD, 0},
        {"pci,57600,8n1", HOST_SERIAL_PCI, HOST_SERIAL_ANY_CARD, 2},
        {"pci:fF:1f.7", HOST_SERIAL_PCI, 0xFFFF, 0},
        {"pci:0:4.1,115200,8n1", HOST_SERIAL_PCI, 0x21, 1},
        {"io:3e8", HOST_SERIAL_IO, 0x3E8, 0},
        {"io:C060,38400,8n1", HOST_SERIAL_IO, 0xC060, 3},
        {"mmio:fe034000", HOST_SERIAL_MMIO, 0xFE034000, 0},
        {"mmio32:fe034000,auto", HOST_SERIAL_MMIO32, 0xFE034000, 0},
        {"spcr,19200,8n1", HOST_SERIAL_TABLES, 0, 6},
    };
    static const char *const bad[] = {
        "",           "pci,",         "pci:",          "pci:00",   "pci:00:20.0", "pci:00:04.8",
        "pci:00:04",  "pci:100:04.0", "pci 00:04.0",   "io:",      "io:0x3f8",    "io:3e8,",
        "io:10000",   "io:3e8 ",      "io:3e8,off",    "mmio:",    "mmio:g",      "mmio:100000000",
        "mmio64:100", "spcr:1",       "spcr,115200",   "pci,off",  "auto,auto",   "115200,8n1,pci",
        "off,auto",   "pcix",         "mmio:1,4,auto", "auto,8n1",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct com_settings com;

        assert_true(com_settings_parse(cases[i].word, &com) && !com.off);
        assert_int_equal(com.where.kind, cases[i].kind);
        assert_true(com.where.address == cases[i].address);
        assert_int_equal(com.line.divisor, cases[i].divisor);
        assert_true(com.line.data_bits == 8 && com.line.stop_bits == 1 && com.line.parity == 'n');
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct com_settings com = {.where.address = 1234};

        if (com_settings_parse(bad[i], &com))
            fail_msg("%s", bad[i]);
        assert_int_equal(com.where.address, 1234);
    }
}

static void image_names_are_skipped(void **state)
{
    static const struct {
        const char *string, *words;
    } cases[] = {
        {"verge.elf32 com1=off", "com1=off"},
        {"verge com1=off", "com1=off"},
        {"build/verge noreboot", "noreboot"},
        {"com1=off", "com1=off"},
        {"noreboot", "noreboot"},
        {"norebot", "norebot"},
        {"/a b/c d/verge.elf32", ""},
        {"/a/x=y/verge slice=1ms", "slice=1ms"},
        {"\"onexit=halt\" x", "\"onexit=halt\" x"},
        {"verge.elf32 -- a=b", "-- a=b"},
        {"  ", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(settings_skip_name(&hv_setting_table, cases[i].string), cases[i].words);
}

static void faults_are_named_with_a_right_line(void **state)
{
    static const struct {
        const char *string, *names, *shows;
    } cases[] = {
        {"sliec=1ms", "\"sliec=1ms\"", "slice=10ms"},
        {"norebot", "\"norebot\"", "noreboot"},
        {"zzzzzzzzzz=1", "\"zzzzzzzzzz=1\"", "com1=115200,8n1 slice=10ms"},
        {"slice=10", "\"slice=10\"", "slice=10ms"},
        {"slice=99us", "\"slice=99us\"", "100us to 1s"},
        {"slice=2s", "\"slice=2s\"", "100us to 1s"},
        {"slice", "\"slice\"", "slice=10ms"},
        {"noreboot=1", "\"noreboot=1\"", "noreboot"},
        {"exact=maybe", "\"exact=maybe\"", "auto|on|off"},
        {"exact=", "\"exact=\"", "auto|on|off"},
        {"exact=au", "\"exact=au\"", "auto|on|off"},
        {"tsc=999999", "\"tsc=999999\"", "tsc=1000000000"},
        {"tsc=1ghz", "\"tsc=1ghz\"", "tsc=1000000000"},
        {"com1=115200", "\"com1=115200\"", "com1=115200,8n1"},
        {"com1=115201,8n1", "\"com1=115201,8n1\"", "com1=115200,8n1"},
        {"com1=100000,8n1", "\"com1=100000,8n1\"", "com1=115200,8n1"},
        {"com1=9600,8x1", "\"com1=9600,8x1\"", "com1=115200,8n1"},
        {"com1=9600,8n12", "\"com1=9600,8n12\"", "com1=115200,8n1"},
        {"timer=periodic:0", "\"timer=periodic:0\"", "timer=periodic:100"},
        {"timer=periodic", "\"timer=periodic\"", "timer=periodic:100"},
        {"onexit=halt onexit=halt", "\"onexit=halt\"", "second time"},
        {"log=com1 'x", "x", "open quote"},
        {"log=com1 -- x", "--", "kernel vm=vm0"},
        {"mem=256M", "\"mem=256M\"", "hypervisor"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct settings_error error = {""};
        struct hv_settings hv;

        assert_false(hv_settings_parse(cases[i].string, &hv, &error));
        if (!strstr(error.text, cases[i].names) || !strstr(error.text, cases[i].shows))
            fail_msg("%s: %s", cases[i].string, error.text);
        assert_true(strstr(error.text, "hypervisor string: ") == error.text);
    }
}

static bool set_guest(const char *word, struct guest_settings *guest)
{
    struct settings_error error = {""};
    uint64_t seen = 0;

    settings_defaults(&guest_setting_table, guest);
    return settings_set(&guest_setting_table, guest, &seen, word, "vm0", &error);
}

static void guest_values(void **state)
{
    struct guest_settings guest;

    (void)state;
    settings_defaults(&guest_setting_table, &guest);
    assert_true(guest.mem_bytes == 256u << 20 && guest.cpu.level == GUEST_CPU_HOST && guest.cpu.number == 0 &&
                guest.idle == GUEST_IDLE_WAIT && guest.charge_cycles == 0 && guest.uart == GUEST_UART_FAST &&
                guest.rtc.mode == GUEST_RTC_GUEST && guest.onreset == GUEST_ONRESET_RESTART &&
                guest.oncrash == GUEST_ONCRASH_STOP && guest.onhalt == GUEST_ONHALT_AUTO &&
                guest.resets == 0);
    assert_true(set_guest("mem=1G", &guest) && guest.mem_bytes == 1u << 30);
    assert_false(set_guest("mem=256", &guest) || set_guest("mem=0", &guest) ||
                 set_guest("mem=1048577", &guest) || set_guest("mem=2000G", &guest));
    assert_true(set_guest("charge=1", &guest) && guest.charge_cycles == 1);
    assert_false(set_guest("charge=0", &guest) || set_guest("charge=soft", &guest) ||
                 set_guest("charge=1000001", &guest));
    assert_true(set_guest("cpu=v3", &guest) && guest.cpu.level == 3 && guest.cpu.number == 0);
    assert_true(set_guest("cpu=2", &guest) && guest.cpu.level == GUEST_CPU_HOST && guest.cpu.number == 2);
    assert_true(set_guest("cpu=63,v1", &guest) && guest.cpu.level == 1 && guest.cpu.number == 63);
    assert_true(set_guest("cpu=0,host", &guest) && guest.cpu.level == 0 && guest.cpu.number == 0);
    assert_false(set_guest("cpu=v4", &guest) || set_guest("cpu=", &guest) || set_guest("cpu=64", &guest) ||
                 set_guest("cpu=4294967296", &guest) || set_guest("cpu=1,", &guest) ||
                 set_guest("cpu=1v2", &guest) || set_guest("cpu=v2,1", &guest) ||
                 set_guest("cpu=1,v2,", &guest) || set_guest("cpu=1,2", &guest));
    assert_true(set_guest("idle=skip", &guest) && guest.idle == GUEST_IDLE_SKIP);
    assert_true(set_guest("onreset=machine", &guest) && guest.onreset == GUEST_ONRESET_MACHINE);
    assert_true(set_guest("oncrash=keep", &guest) && guest.oncrash == GUEST_ONCRASH_KEEP);
    assert_true(set_guest("onhalt=fail", &guest) && guest.onhalt == GUEST_ONHALT_FAIL);
    assert_true(set_guest("uart=baud", &guest) && guest.uart == GUEST_UART_BAUD);
    assert_true(set_guest("resets=5", &guest) && guest.resets == 5);
}

static void rtc_dates(void **state)
{
    static const char *const bad[] = {"rtc=2023-02-29T00:00:00",
                                      "rtc=1969-12-31T23:59:59",
                                      "rtc=2024-13-01T00:00:00",
                                      "rtc=2024-00-01T00:00:00",
                                      "rtc=2024-01-00T00:00:00",
                                      "rtc=2024-04-31T00:00:00",
                                      "rtc=2024-01-01T24:00:00",
                                      "rtc=2024-01-01T00:60:00",
                                      "rtc=2024-01-01T00:00:60",
                                      "rtc=2024-01-01 00:00:00",
                                      "rtc=2024-01-01T00:00:00Z",
                                      "rtc=2024-1-1T0:0:0",
                                      "rtc=2100-02-29T00:00:00",
                                      "rtc=",
                                      "rtc=now"};
    struct guest_settings guest;

    (void)state;
    assert_true(set_guest("rtc=2024-02-29T23:59:58", &guest));
    assert_true(guest.rtc.mode == GUEST_RTC_FIXED && guest.rtc.year == 2024 && guest.rtc.month == 2 &&
                guest.rtc.day == 29 && guest.rtc.hour == 23 && guest.rtc.minute == 59 &&
                guest.rtc.second == 58);
    assert_true(set_guest("rtc=2000-02-29T00:00:00", &guest));
    assert_true(set_guest("rtc=guest", &guest) && guest.rtc.mode == GUEST_RTC_GUEST && guest.rtc.year == 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (set_guest(bad[i], &guest) || guest.rtc.mode != GUEST_RTC_GUEST)
            fail_msg("%s was taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_quotes_and_dashes),
        cmocka_unit_test(words_have_a_longest),
        cmocka_unit_test(numbers_and_units),
        cmocka_unit_test(tables_are_sound),
        cmocka_unit_test(hypervisor_defaults),
        cmocka_unit_test(hypervisor_words),
        cmocka_unit_test(serial_lines_have_places),
        cmocka_unit_test(image_names_are_skipped),
        cmocka_unit_test(faults_are_named_with_a_right_line),
        cmocka_unit_test(guest_values),
        cmocka_unit_test(rtc_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
