/* A guest's keys; the contract is in settings.h, the parser in lib/settings.h. */
#include "guest/settings.h"
#include "lib/string.h"

static bool parse_charge(const char *value, void *field)
{
    uint64_t cycles = 0;

    if (strcmp(value, "hw") != 0 && (!parse_integer(value, &cycles) || cycles < 1 || cycles > 1000000))
        return false;
    memcpy(field, &cycles, sizeof cycles);
    return true;
}

/* `count` digits from *at, then the separator (0: the end). */
static bool take_digits(const char **at, unsigned count, char separator, unsigned *value)
{
    *value = 0;
    for (; count; count--, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *value = *value * 10 + (unsigned)(**at - '0');
    }
    if (**at != separator)
        return false;
    if (separator)
        (*at)++;
    return true;
}

static unsigned days_of_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

/* YYYY-MM-DDTHH:MM:SS */
static bool parse_date(const char *at, struct rtc_settings *rtc)
{
    unsigned year, month, day, hour, minute, second;

    if (!take_digits(&at, 4, '-', &year) || !take_digits(&at, 2, '-', &month) ||
        !take_digits(&at, 2, 'T', &day) || !take_digits(&at, 2, ':', &hour) ||
        !take_digits(&at, 2, ':', &minute) || !take_digits(&at, 2, 0, &second))
        return false;
    if (year < 1970 || year > 2199 || month < 1 || month > 12 || day < 1 ||
        day > days_of_month(year, month) || hour > 23 || minute > 59 || second > 59)
        return false;
    *rtc = (struct rtc_settings){.mode = GUEST_RTC_FIXED,
                                 .year = (uint16_t)year,
                                 .month = (uint8_t)month,
                                 .day = (uint8_t)day,
                                 .hour = (uint8_t)hour,
                                 .minute = (uint8_t)minute,
                                 .second = (uint8_t)second};
    return true;
}

static bool parse_rtc(const char *value, void *field)
{
    struct rtc_settings *rtc = field;

    if (strcmp(value, "guest") != 0)
        return parse_date(value, rtc);
    *rtc = (struct rtc_settings){.mode = GUEST_RTC_GUEST};
    return true;
}

/* N, or what it is to be, or both with a comma. */
static bool parse_cpu(const char *value, void *field)
{
    static const char *const kinds[] = {
        [GUEST_CPU_HOST] = "host", [GUEST_CPU_V1] = "v1", [GUEST_CPU_V2] = "v2", [GUEST_CPU_V3] = "v3"};
    struct cpu_settings cpu = {0};
    unsigned number = 0;

    if (*value >= '0' && *value <= '9') {
        while (*value >= '0' && *value <= '9' && number <= GUEST_CPU_MOST)
            number = number * 10 + (unsigned)(*value++ - '0');
        if (number > GUEST_CPU_MOST || (*value && *value != ','))
            return false;
        cpu.number = (uint8_t)number;
        value = *value ? value + 1 : "host";
    }
    while (strcmp(value, kinds[cpu.level]) != 0)
        if (++cpu.level == ARRAY_SIZE(kinds))
            return false;
    memcpy(field, &cpu, sizeof cpu);
    return true;
}

#define FIELD(member)  SETTING_FIELD(struct guest_settings, member)
#define CHOICE(member) .type = SETTING_CHOICE, FIELD(member)

static const struct setting guest_keys[] = {
    {.key = "mem",
     .form = "SIZE",
     .standard = "256M",
     .example = "mem=256M",
     .type = SETTING_SIZE,
     FIELD(mem_bytes),
     .lowest = UINT64_C(1) << 20,
     .highest = UINT64_C(1) << 40,
     .multiple = 4096,
     .applied = "when the guest is made",
     .help = "its memory"},
    {.key = "cpu",
     .form = "N|host|v1|v2|v3|N,v2",
     .standard = "0,host",
     .example = "cpu=1,v2",
     .type = SETTING_CUSTOM,
     FIELD(cpu),
     .parse = parse_cpu,
     .applied = "when the guest is made",
     .help = "the physical CPU that it runs on, 0 (the one that booted) to 63; and what it sees of it: all "
             "(host), or just x86-64-v1, v2 or v3, alike on each machine that has as much"},
    {.key = "idle",
     .form = "wait|skip",
     .standard = "wait",
     .example = "idle=wait",
     CHOICE(idle),
     .applied = "at HLT",
     .help = "a halted guest's clock follows host time (wait) or jumps to its next event at once (skip)"},
    {.key = "charge",
     .form = "hw|N",
     .standard = "hw",
     .example = "charge=hw",
     .type = SETTING_CUSTOM,
     FIELD(charge_cycles),
     .parse = parse_charge,
     .applied = "at each instruction that Verge carries out",
     .help = "what it costs the guest: about what hardware takes, or N cycles, 1 to 1000000"},
    {.key = "uart",
     .form = "fast|baud",
     .standard = "fast",
     .example = "uart=fast",
     CHOICE(uart),
     .applied = "at each character",
     .help = "a character is sent by the end of its OUT (fast) or at the speed of the divisor (baud)"},
    {.key = "input",
     .form = "serial|keyboard",
     .standard = "serial",
     .example = "input=keyboard",
     CHOICE(input),
     .applied = "at each key",
     .help = "what is typed at the console comes in on the guest's serial line, or as keys of its keyboard"},
    {.key = "rtc",
     .form = "guest|YYYY-MM-DDTHH:MM:SS",
     .standard = "guest",
     .example = "rtc=2024-01-31T12:00:00",
     .type = SETTING_CUSTOM,
     FIELD(rtc),
     .parse = parse_rtc,
     .applied = "at the guest's reset",
     .help = "the date: the host's at reset and then guest time, or a fixed start (1970 to 2199)"},
    {.key = "onreset",
     .form = "restart|stop|machine",
     .standard = "restart",
     .example = "onreset=restart",
     CHOICE(onreset),
     .applied = "when the guest resets itself",
     .help = "start it again from its modules, end it with code 122, or reset the whole machine"},
    {.key = "oncrash",
     .form = "stop|reset|keep",
     .standard = "stop",
     .example = "oncrash=stop",
     CHOICE(oncrash),
     .applied = "at a triple fault or worse",
     .help = "end it with code 126, do as for a reset, or keep it for a look"},
    {.key = "onhalt",
     .form = "auto|ok|fail",
     .standard = "auto",
     .example = "onhalt=ok",
     CHOICE(onhalt),
     .applied = "at a HLT that nothing can end",
     .help = "ends the guest with code 0 (ok) or 121 (fail); auto: ok for a Linux kernel, else fail"},
    {.key = "resets",
     .form = "N",
     .standard = "0",
     .example = "resets=100",
     .type = SETTING_INTEGER,
     FIELD(resets),
     .highest = 1000000000,
     .applied = "with onreset=restart",
     .help = "end the guest after N restarts; 0: no limit"},
};

const struct setting_table guest_setting_table = {
    .title = "guest",
    .right_line = "kernel vm=vm0 mem=256M idle=wait -- console=ttyS0",
    .settings = guest_keys,
    .count = ARRAY_SIZE(guest_keys),
};

const struct setting_table guest_line_table = {
    .title = "guest",
    .right_line = "vm=vm0 kernel=vmlinuz mem=256M -- console=ttyS0",
    .settings = guest_keys,
    .count = ARRAY_SIZE(guest_keys),
};
