/*
 * The time-of-day bytes of an MC146818 as one counter: what n updates make of them, and after how many the
 * alarm matches, in constant time. Pure arithmetic on the 128 bytes of the chip; used by mc146818.c and host
 * tests.
 *
 * The bytes are what the guest wrote, in the format that register B has at the moment (DM, 24/12). As in the
 * chip an update touches a byte only when the carry reaches it. A byte that holds no valid value counts as
 * the nearest valid one when the carry reaches it (a day past the month's end as the last); until then it
 * reads as written.
 *
 * The year is two digits and the century byte at 32h; leap years are those of the Gregorian calendar; 9999 is
 * followed by 0000.
 */
#ifndef DEVICES_MC146818_CALENDAR_H
#define DEVICES_MC146818_CALENDAR_H

#include "lib/base.h"

enum {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_WEEKDAY = 0x06, /* 1 is Sunday */
    RTC_DAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0a,
    RTC_B = 0x0b,
    RTC_C = 0x0c,
    RTC_D = 0x0d,
    RTC_CENTURY = 0x32,
};

#define RTC_B_24H BIT(1)
#define RTC_B_DM  BIT(2)

#define RTC_NEVER UINT64_MAX

/* `updates` seconds pass: any number. */
void mc146818_calendar_advance(uint8_t *cmos, uint64_t updates);

/*
 * After how many updates (1 to 90,000) the alarm bytes match the time bytes for the first time, or RTC_NEVER.
 * An alarm byte of C0h to FFh matches anything. Bytes are compared as they stand, as the chip does.
 */
uint64_t mc146818_calendar_alarm(const uint8_t *cmos);

/* Writes date and time in the present format, with weekday and century. Past the year 9999 it stays at that
 * year's last second. */
void mc146818_calendar_set(uint8_t *cmos, uint64_t seconds_since_1970);

#endif
