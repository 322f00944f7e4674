/*
 * A guest's settings: its table of keys and what they become. Given in its module string or on its line of
 * verge.cfg (guest/cfg.h). Every field always holds a valid value.
 */
#ifndef GUEST_SETTINGS_H
#define GUEST_SETTINGS_H

#include "lib/settings.h"

/* The CPU that the guest sees: the host's, or a level of the x86-64 psABI, whose number this is. */
enum guest_cpu { GUEST_CPU_HOST, GUEST_CPU_V1, GUEST_CPU_V2, GUEST_CPU_V3 };
enum guest_idle { GUEST_IDLE_WAIT, GUEST_IDLE_SKIP };
enum guest_uart { GUEST_UART_FAST, GUEST_UART_BAUD };
enum guest_input { GUEST_INPUT_SERIAL, GUEST_INPUT_KEYBOARD };
enum guest_onreset { GUEST_ONRESET_RESTART, GUEST_ONRESET_STOP, GUEST_ONRESET_MACHINE };
enum guest_oncrash { GUEST_ONCRASH_STOP, GUEST_ONCRASH_RESET, GUEST_ONCRASH_KEEP };
enum guest_onhalt { GUEST_ONHALT_AUTO, GUEST_ONHALT_OK, GUEST_ONHALT_FAIL };
enum rtc_mode { GUEST_RTC_GUEST, GUEST_RTC_FIXED };

/* The date of GUEST_RTC_FIXED, zero otherwise. */
struct rtc_settings {
    uint16_t mode; /* enum rtc_mode */
    uint16_t year; /* 1970 to 2199 */
    uint8_t month; /* 1 to 12 */
    uint8_t day;
    uint8_t hour;
    uint8_t minute;
    uint8_t second;
};

#define GUEST_CPU_MOST 63u /* the highest number of a physical CPU */

struct cpu_settings {
    uint8_t number; /* of the physical CPU that runs it, 0 to GUEST_CPU_MOST */
    uint8_t level;  /* enum guest_cpu */
};

struct guest_settings {
    uint64_t mem_bytes;
    uint64_t
        charge_cycles; /* 0: as hardware takes; else this many guest cycles for each emulated instruction */
    uint32_t resets;   /* stop instead of restarting this often again; 0: no limit */
    struct cpu_settings cpu;
    uint8_t idle;    /* enum guest_idle */
    uint8_t uart;    /* enum guest_uart */
    uint8_t input;   /* enum guest_input */
    uint8_t onreset; /* enum guest_onreset */
    uint8_t oncrash; /* enum guest_oncrash */
    uint8_t onhalt;  /* enum guest_onhalt; auto: by boot protocol, ok for Linux */
    struct rtc_settings rtc;
};

extern const struct setting_table guest_setting_table;

/* The same keys, and a right line as it stands in verge.cfg, not in a module's string. */
extern const struct setting_table guest_line_table;

#endif
