/*
 * Fuzzes plan_build(): the input is cut at NUL bytes into the hypervisor's string, up to 40 module strings
 * and, as the rest behind a byte 1, verge.cfg (given to each module of type config). Checks what the contract
 * of guest/cfg.h promises of a plan, and that building it again gives the same.
 */
#include "guest/cfg.h"
#include "guest/module_string.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

static struct plan plan, again;

static void check_text(const struct plan *made, const char *text)
{
    CHECK(*text == 0 || (text >= made->text && text < made->text + made->text_used));
    CHECK(strlen(text) < PLAN_TEXT);
}

static void check_plan(const struct plan *made, unsigned modules)
{
    CHECK(made->guest_count >= 1 && made->guest_count <= PLAN_GUESTS && made->text_used <= PLAN_TEXT);
    for (unsigned i = 0; i < made->guest_count; i++) {
        const struct guest_plan *guest = &made->guests[i];
        const struct guest_settings *settings = &guest->settings;

        CHECK(guest->name[0] && strlen(guest->name) < VM_NAME_SIZE);
        for (unsigned j = 0; j < i; j++)
            CHECK(strcmp(guest->name, made->guests[j].name) != 0);
        CHECK(guest->kernel == PLAN_BUILTIN ? made->guest_count == 1 : (unsigned)guest->kernel < modules);
        CHECK(guest->initrd_count <= PLAN_INITRDS);
        for (unsigned j = 0; j < guest->initrd_count; j++) {
            CHECK(guest->initrds[j].module < modules);
            check_text(made, guest->initrds[j].string);
        }
        check_text(made, guest->command_line);
        CHECK(settings->mem_bytes >= 1 << 20 && settings->mem_bytes <= UINT64_C(1) << 40 &&
              settings->mem_bytes % 4096 == 0);
        CHECK(settings->charge_cycles <= 1000000 && settings->idle <= GUEST_IDLE_SKIP &&
              settings->cpu.level <= GUEST_CPU_V3 && settings->cpu.number <= GUEST_CPU_MOST &&
              settings->onhalt <= GUEST_ONHALT_FAIL);
        CHECK(settings->rtc.mode != GUEST_RTC_FIXED ||
              (settings->rtc.month >= 1 && settings->rtc.month <= 12));
    }
    CHECK((uint64_t)made->unused_modules >> modules == 0);
}

static void check_com(const struct com_settings *com)
{
    const struct host_serial_where *where = &com->where;

    CHECK(com->line.data_bits >= 5 && com->line.data_bits <= 8);
    CHECK(com->line.stop_bits == 1 || com->line.stop_bits == 2);
    CHECK(com->line.divisor <= 2304 && where->kind <= HOST_SERIAL_TABLES);
    CHECK(where->kind != HOST_SERIAL_IO || where->address <= 0xFFFF);
    CHECK(where->kind != HOST_SERIAL_PCI || where->address == HOST_SERIAL_ANY_CARD ||
          where->address <= 0xFFFF);
    CHECK(where->address == HOST_SERIAL_ANY_CARD || where->address <= UINT32_MAX);
}

static void check_hv(const struct hv_settings *hv)
{
    CHECK(hv->slice_ns >= 100000 && hv->slice_ns <= 1000000000 && hv->console <= HV_SERIAL_NONE &&
          hv->loglevel <= 3);
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        check_com(&hv->com[i]);
    CHECK((hv->timer.kind == HV_TIMER_PERIODIC) == (hv->timer.periodic_hz != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan_module modules[40];
    struct settings_error error, error_again;
    const uint8_t *config = memchr(data, 1, size);
    size_t strings_size = config ? (size_t)(config - data) : size;
    char *strings = malloc(strings_size + 1), *next = strings, *end = strings + strings_size;
    unsigned count = 0;

    memcpy(strings, data, strings_size);
    *end = 0;
    for (next += strlen(next); next < end && count < 40; next += strlen(next)) {
        modules[count++] = (struct plan_module){.string = ++next,
                                                .data = config ? config + 1 : NULL,
                                                .size = config ? size - strings_size - 1 : 0};
    }
    bool good = plan_build(strings, modules, count, &plan, &error);
    CHECK(good == (error.text[0] == 0) && strlen(error.text) < sizeof error.text);
    for (const char *c = error.text; *c; c++)
        CHECK(*c >= 0x20 && *c < 0x7f);
    check_hv(&plan.hv);
    if (good)
        check_plan(&plan, count);
    CHECK(plan_build(strings, modules, count, &again, &error_again) == good);
    CHECK(strcmp(error.text, error_again.text) == 0 && memcmp(&plan.hv, &again.hv, sizeof plan.hv) == 0);
    free(strings);
    return 0;
}
