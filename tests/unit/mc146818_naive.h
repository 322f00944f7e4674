/*
 * The oracle for the RTC's time bytes: one update at a time, field by field with carries, as the data sheet's
 * address map tells it. Shared by the calendar's test and the chip's; knows nothing of devices/.
 */
#ifndef TESTS_UNIT_MC146818_NAIVE_H
#define TESTS_UNIT_MC146818_NAIVE_H

#include <stdbool.h>
#include <stdint.h>

static inline bool naive_binary(const uint8_t *r)
{
    return r[0x0b] & 4;
}

static inline int naive_value(const uint8_t *r, int byte)
{
    return naive_binary(r) ? byte : byte / 16 * 10 + byte % 16;
}

static inline uint8_t naive_byte(const uint8_t *r, int value)
{
    return (uint8_t)(naive_binary(r) ? value : value / 10 * 16 + value % 10);
}

/* Counts a field on within first..last; true: it went round. What is out of range counts as the nearest end.
 */
static inline bool naive_count(uint8_t *r, int index, int first, int last)
{
    int v = naive_value(r, r[index]);

    if (v < first)
        v = first;
    if (v >= last) {
        r[index] = naive_byte(r, first);
        return true;
    }
    r[index] = naive_byte(r, v + 1);
    return false;
}

/* 12-hour clock: 12, 1, 2 ... 11 of each half; bit 7 is PM. True: midnight. */
static inline bool naive_hour12(uint8_t *r)
{
    int pm = r[4] & 0x80;
    int v = naive_value(r, r[4] & 0x7f);

    if (v < 1)
        v = 1;
    if (v > 12)
        v = 12;
    if (v == 11)
        pm ^= 0x80;
    v = v == 12 ? 1 : v + 1;
    r[4] = (uint8_t)(naive_byte(r, v) | pm);
    return v == 12 && pm == 0;
}

static inline int naive_limit(int v, int first, int last)
{
    return v < first ? first : v > last ? last : v;
}

static inline int naive_month_length(const uint8_t *r)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int month = naive_limit(naive_value(r, r[8]), 1, 12);
    int year = naive_limit(naive_value(r, r[9]), 0, 99);
    int century = naive_limit(naive_value(r, r[0x32]), 0, 99);
    bool leap = year == 0 ? century % 4 == 0 : year % 4 == 0;

    return month == 2 && leap ? 29 : lengths[month - 1];
}

static inline void naive_update(uint8_t *r)
{
    if (!naive_count(r, 0, 0, 59))
        return;
    if (!naive_count(r, 2, 0, 59))
        return;
    if (!(r[0x0b] & 2 ? naive_count(r, 4, 0, 23) : naive_hour12(r)))
        return;
    naive_count(r, 6, 1, 7);
    if (!naive_count(r, 7, 1, naive_month_length(r)))
        return;
    if (!naive_count(r, 8, 1, 12))
        return;
    if (!naive_count(r, 9, 0, 99))
        return;
    naive_count(r, 0x32, 0, 99);
}

static inline bool naive_alarm(const uint8_t *r)
{
    for (int i = 0; i < 6; i += 2)
        if (r[i + 1] < 0xc0 && r[i + 1] != r[i])
            return false;
    return true;
}

#endif
