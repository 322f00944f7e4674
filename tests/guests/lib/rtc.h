/* The MC146818 as a test uses it. Registers: Motorola MC146818A data sheet, "Address map". */
#ifndef GUEST_RTC_H
#define GUEST_RTC_H

#include "tests/guests/lib/guest.h"

#define RTC_SECONDS  0
#define RTC_MINUTES  2
#define RTC_HOURS    4
#define RTC_A        0x0A
#define RTC_B        0x0B
#define RTC_C        0x0C
#define RTC_A_UIP    0x80
#define RTC_B_UIE    0x10
#define RTC_B_BINARY 0x04

static inline uint8_t rtc_read(uint8_t index)
{
    out8(0x70, index);
    return in8(0x71);
}

static inline void rtc_write(uint8_t index, uint8_t value)
{
    out8(0x70, index);
    out8(0x71, value);
}

/* A time register as a number; the caller stays clear of the update. */
static inline unsigned rtc_time(uint8_t index)
{
    unsigned value = rtc_read(index);
    return rtc_read(RTC_B) & RTC_B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static inline void rtc_update_interrupts(bool on)
{
    uint8_t b = rtc_read(RTC_B);
    rtc_write(RTC_B, on ? (uint8_t)(b | RTC_B_UIE) : (uint8_t)(b & ~RTC_B_UIE));
    rtc_read(RTC_C);
}

#endif
