/*
 * The hypervisor's settings: its table of keys and what they become. Read at boot from the hypervisor's
 * string alone (the log needs its serial line early), then once more by guest/cfg.c with the lines of
 * verge.cfg below it. Every field always holds a valid value.
 */
#ifndef HV_SETTINGS_H
#define HV_SETTINGS_H

#include "hv/settings_com.h"
#include "lib/settings.h"

enum hv_exact { HV_EXACT_AUTO, HV_EXACT_ON, HV_EXACT_OFF };
enum hv_onexit { HV_ONEXIT_POWEROFF, HV_ONEXIT_REBOOT, HV_ONEXIT_HALT, HV_ONEXIT_STAY };
enum hv_serial { HV_SERIAL_COM1, HV_SERIAL_COM2, HV_SERIAL_NONE, HV_SERIAL_AUTO };
enum hv_display { HV_DISPLAY_AUTO, HV_DISPLAY_TEXT, HV_DISPLAY_OFF };
enum hv_spec_ctrl { HV_SPEC_CTRL_AUTO, HV_SPEC_CTRL_OFF };
enum hv_apic { HV_APIC_AUTO, HV_APIC_XAPIC };
enum hv_timer { HV_TIMER_AUTO, HV_TIMER_ONESHOT, HV_TIMER_DEADLINE, HV_TIMER_PREEMPT, HV_TIMER_PERIODIC };

struct timer_settings {
    uint32_t kind;        /* enum hv_timer */
    uint32_t periodic_hz; /* 0 unless HV_TIMER_PERIODIC */
};

struct hv_settings {
    uint8_t exact;     /* enum hv_exact */
    uint8_t console;   /* enum hv_serial, never auto: where guests' bytes go */
    uint8_t log;       /* enum hv_serial: where Verge's lines go; auto: COM2 if there is one, else COM1 */
    uint8_t loglevel;  /* enum log_level */
    uint8_t display;   /* enum hv_display: the host's screen as a further console */
    uint8_t onexit;    /* enum hv_onexit */
    uint8_t spec_ctrl; /* enum hv_spec_ctrl */
    uint8_t apic;      /* enum hv_apic */
    uint8_t screen;    /* 1: the guests' text screens go to the log at the end */
    uint8_t noreboot;  /* 1: a panic halts */
    struct com_settings com[HOST_SERIAL_PORTS];
    struct timer_settings timer;
    uint64_t perturb_seed; /* 0: off */
    uint64_t slice_ns;     /* host time */
    uint64_t tsc_hz;       /* 0: measured */
};

extern const struct setting_table hv_setting_table;

/*
 * Defaults, then the words of `string` (its file name skipped). False with *error set: `out` then holds what
 * came before the fault, good enough to show the error by. A `--` is refused: no guest belongs to this
 * string.
 */
bool hv_settings_parse(const char *string, struct hv_settings *out, struct settings_error *error);

/* The same without the defaults: lays the string's words over what `out` holds. */
bool hv_settings_overlay(const char *string, struct hv_settings *out, struct settings_error *error);

#endif
