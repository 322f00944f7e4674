/*
 * The oracle's arithmetic, written apart from Verge's: 64 x 64 -> 128 bits, and 128 / 64 by the CPU's own
 * division in two steps.
 */
#ifndef GUEST_MATH_H
#define GUEST_MATH_H

#include <stdint.h>

__extension__ typedef unsigned __int128 wide; /* no other name for it fits in a declaration */

static inline wide wide_multiply(uint64_t a, uint64_t b)
{
    return (wide)a * b;
}

/* floor(n / d); the quotient must fit in 64 bits, as all of ours do (else #DE, and the test fails loudly). */
static inline uint64_t wide_divide(wide n, uint64_t d)
{
    uint64_t low = (uint64_t)n, high = (uint64_t)(n >> 64), remainder;
    __asm__("divq %2" : "+a"(low), "=d"(remainder) : "r"(d), "1"(high) : "cc");
    return low;
}
static inline uint64_t wide_divide_up(wide n, uint64_t d)
{
    return wide_divide(n + d - 1, d);
}

/* A fixed generator (splitmix64): the same numbers everywhere. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* CRC-32 (the polynomial of IEEE 802.3, reflected); start with 0. */
uint32_t crc32_words(uint32_t crc, const uint64_t *words, uint64_t count);

#endif
