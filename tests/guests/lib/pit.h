/* The 8254 as a test uses it: control words, counts with the moment of the access's end, latches. Times are
 * TSC cycles. */
#ifndef GUEST_PIT_H
#define GUEST_PIT_H

#include "tests/guests/lib/guest.h"

#define PIT_MAX_COUNT 65536u

static inline void pit_control(unsigned channel, unsigned mode)
{
    out8(0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1)); /* low byte, then high byte */
}

/* Writes a count (65536 as 0) and gives the TSC at the end of the access that completes it. */
static inline uint64_t pit_count(unsigned channel, uint32_t count)
{
    if (channel == 0) {
        out8(0x40, (uint8_t)count);
        return OUT8_END(0x40, (uint8_t)(count >> 8));
    }
    out8(0x42, (uint8_t)count);
    return OUT8_END(0x42, (uint8_t)(count >> 8));
}

/* Latches and reads a counter; *end_tsc: when the latch command ended. */
static inline uint32_t pit_latched(unsigned channel, uint64_t *end_tsc)
{
    *end_tsc = OUT8_END(0x43, (uint8_t)(channel << 6));
    uint16_t port = (uint16_t)(0x40 + channel);
    uint32_t low = in8(port);
    return low | (uint32_t)in8(port) << 8;
}

/* The count that gives `millihertz` on channel 0, rounded to the nearest; 1 to 65536. */
static inline uint32_t pit_count_for(uint64_t millihertz)
{
    uint64_t numerator = 13125000000u, denominator = 11 * millihertz;
    uint64_t count = (numerator + denominator / 2) / denominator;
    return count > PIT_MAX_COUNT ? PIT_MAX_COUNT : count ? (uint32_t)count : 1;
}

#endif
