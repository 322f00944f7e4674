/* The hypervisor's keys; the contract is in settings.h, the parser in lib/settings.h. */
#include "hv/settings.h"
#include "lib/string.h"

static bool parse_timer(const char *value, void *field)
{
    static const char periodic[] = "periodic:";
    static const char *const names[] = {[HV_TIMER_AUTO] = "auto",
                                        [HV_TIMER_ONESHOT] = "oneshot",
                                        [HV_TIMER_DEADLINE] = "deadline",
                                        [HV_TIMER_PREEMPT] = "preempt"};
    struct timer_settings *timer = field;
    uint64_t hz;

    for (uint32_t kind = 0; kind < ARRAY_SIZE(names); kind++) {
        if (strcmp(value, names[kind]) == 0) {
            *timer = (struct timer_settings){.kind = kind};
            return true;
        }
    }
    if (strncmp(value, periodic, sizeof periodic - 1) != 0 ||
        !parse_integer(value + sizeof periodic - 1, &hz) || hz < 1 || hz > 100000)
        return false;
    *timer = (struct timer_settings){.kind = HV_TIMER_PERIODIC, .periodic_hz = (uint32_t)hz};
    return true;
}

#define FIELD(member)  SETTING_FIELD(struct hv_settings, member)
#define AT_BOOT        .applied = "at boot"
#define CHOICE(member) .type = SETTING_CHOICE, FIELD(member)

static const struct setting hv_keys[] = {
    {.key = "exact",
     .form = "auto|on|off",
     .standard = "auto",
     .example = "exact=auto",
     CHOICE(exact),
     AT_BOOT,
     .help = "the gap to a deadline that the timer's jitter leaves: charged to the guest and counted where "
             "the boot "
             "measures jitter (auto, off), or closed by setting the timer again (on)"},
    {.key = "perturb",
     .form = "SEED",
     .standard = "0",
     .example = "perturb=1",
     .type = SETTING_INTEGER,
     FIELD(perturb_seed),
     .highest = UINT64_MAX,
     .applied = "at each exit",
     .help = "for tests: disturb the monitor at random, repeatably by seed; no guest may notice; 0 is off"},
    {.key = "com1",
     .form = COM_SETTINGS_FORM,
     .standard = "auto",
     .example = "com1=115200,8n1",
     .type = SETTING_CUSTOM,
     FIELD(com[0]),
     .parse = com_settings_parse,
     AT_BOOT,
     .help = "the host's first serial line; auto: 8n1 at the rate that firmware set; WHERE, all numbers "
             "hexadecimal: io:3e8 (a port), mmio:fe034000 (in memory, registers of a byte), mmio32:fe034000 "
             "(of 32 bits), pci (the first PCI UART), pci:00:04.0 (the one of that card), spcr (what the "
             "ACPI tables SPCR and DBG2 name); without WHERE port 3f8, and where no UART answers at 3f8 and "
             "2f8, what spcr finds, then what pci finds"},
    {.key = "com2",
     .form = COM_SETTINGS_FORM,
     .standard = "auto",
     .example = "com2=pci,115200,8n1",
     .type = SETTING_CUSTOM,
     FIELD(com[1]),
     .parse = com_settings_parse,
     AT_BOOT,
     .help = "the host's second serial line, likewise; without WHERE port 2f8 alone"},
    {.key = "console",
     .form = "com1|com2|none",
     .standard = "com1",
     .example = "console=com1",
     CHOICE(console),
     AT_BOOT,
     .help = "where the bytes that guests send go; to the other port if that one isn't there, as log= too"},
    {.key = "log",
     .form = "com1|com2|none|auto",
     .standard = "auto",
     .example = "log=auto",
     CHOICE(log),
     AT_BOOT,
     .help = "where Verge's own lines go; auto: com2 if it is there, else com1, silent while a guest runs"},
    {.key = "display",
     .form = "auto|text|off",
     .standard = "auto",
     .example = "display=text",
     CHOICE(display),
     AT_BOOT,
     .help = "the machine's screen shows guests' bytes and Verge's lines too: whatever it is, VGA text "
             "alone, or no; and its PS/2 keyboard is console input, but with off"},
    {.key = "loglevel",
     .form = "error|warning|info|debug",
     .standard = "info",
     .example = "loglevel=info",
     CHOICE(loglevel),
     AT_BOOT,
     .help = "the least important lines that are still shown"},
    {.key = "timer",
     .form = "auto|oneshot|deadline|preempt|periodic:HZ",
     .standard = "auto",
     .example = "timer=periodic:100",
     .type = SETTING_CUSTOM,
     FIELD(timer),
     .parse = parse_timer,
     AT_BOOT,
     .help = "what ends a guest's run at a deadline: the local APIC's timer by a count (oneshot) or by the "
             "TSC itself (deadline; auto: where the CPU can and has no erratum), VT-x's preemption timer, or "
             "a coarse tick of 1 to 100000 Hz as a baseline for measurements"},
    {.key = "apic",
     .form = "auto|xapic",
     .standard = "auto",
     .example = "apic=auto",
     CHOICE(apic),
     AT_BOOT,
     .help = "how Verge reaches the local APIC: by MSRs (x2APIC mode) where the CPU can, or in memory"},
    {.key = "spec-ctrl",
     .form = "auto|off",
     .standard = "auto",
     .example = "spec-ctrl=auto",
     CHOICE(spec_ctrl),
     AT_BOOT,
     .help = "measures against speculative execution: what the CPU enumerates and needs, or none"},
    {.key = "slice",
     .form = "DURATION",
     .standard = "10ms",
     .example = "slice=10ms",
     .type = SETTING_DURATION,
     FIELD(slice_ns),
     .lowest = 100000,
     .highest = 1000000000,
     .applied = "when guests take turns",
     .help = "how long a guest runs before the next one's turn, in host time"},
    {.key = "tsc",
     .form = "HZ",
     .example = "tsc=1000000000",
     .type = SETTING_INTEGER,
     FIELD(tsc_hz),
     .lowest = 1000000,
     .highest = UINT64_C(20000000000),
     AT_BOOT,
     .help = "the host's TSC rate; without it, it is measured"},
    {.key = "screen",
     .form = "none|log",
     .standard = "none",
     .example = "screen=log",
     CHOICE(screen),
     .applied = "at the end",
     .help = "log: show each guest's text screen in the log when Verge ends"},
    {.key = "onexit",
     .form = "poweroff|reboot|halt|stay",
     .standard = "poweroff",
     .example = "onexit=poweroff",
     CHOICE(onexit),
     .applied = "when the last guest has ended",
     .help = "what the machine does then; poweroff only halts where Verge could run nothing, so that the "
             "reason can be read; stay: the console's keys go on until Ctrl-A x"},
    {.key = "noreboot",
     .form = "",
     .example = "noreboot",
     .type = SETTING_FLAG,
     FIELD(noreboot),
     .applied = "at a panic",
     .help = "halt instead of a power-off, so that the dump can be read"},
};

const struct setting_table hv_setting_table = {
    .title = "hypervisor",
    .right_line = "com1=115200,8n1 slice=10ms onexit=poweroff",
    .settings = hv_keys,
    .count = ARRAY_SIZE(hv_keys),
};

bool hv_settings_overlay(const char *string, struct hv_settings *out, struct settings_error *error)
{
    static const char where[] = "hypervisor string";
    const char *at = settings_skip_name(&hv_setting_table, string);
    char word[WORD_SIZE];
    uint64_t seen = 0;

    for (;;) {
        switch (word_next(&at, word)) {
        case WORD_END:
            return true;
        case WORD_FOUND:
            if (!settings_set(&hv_setting_table, out, &seen, word, where, error))
                return false;
            break;
        case WORD_DASHES:
            return settings_fail(error,
                                 "%s: \"-- ...\" belongs to a guest: write \"kernel vm=vm0 -- "
                                 "console=ttyS0\" in its module string",
                                 where);
        case WORD_BAD:
        default:
            return settings_fail(
                error, "%s: open quote, control character or too long: \"%.60s\": write it like \"%s\"",
                where, word, hv_setting_table.right_line);
        }
    }
}

bool hv_settings_parse(const char *string, struct hv_settings *out, struct settings_error *error)
{
    memset(out, 0, sizeof *out);
    settings_defaults(&hv_setting_table, out);
    return hv_settings_overlay(string, out, error);
}
