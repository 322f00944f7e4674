/* Exact clock conversion; the contract is in ratio.h. */
#include "lib/ratio.h"

typedef unsigned __int128 uint128; /* a scalar of the compiler, not a struct */

/*
 * reciprocal = floor(num / den * 2^shift) with shift chosen so that reciprocal has exactly 64 significant
 * bits (long division, bit by bit: no 128-bit library call in ring 0).
 */
void ratio_init(struct ratio *ratio, uint64_t num, uint64_t den)
{
    uint64_t quotient = num / den;
    uint64_t remainder = num % den;
    int shift = 0;

    while (!(quotient & BIT64(63))) {
        remainder <<= 1;
        quotient <<= 1;
        if (remainder >= den) {
            remainder -= den;
            quotient |= 1;
        }
        shift++;
    }
    ratio->num = num;
    ratio->den = den;
    ratio->reciprocal = quotient;
    ratio->shift = shift;
    ratio->quick = shift >= 64 && shift < 128 && den <= UINT64_MAX / 4;
}

/* Quotient and remainder of x * num / den; false when the quotient does not fit 64 bits. */
static bool divide(const struct ratio *ratio, uint64_t x, uint64_t *quotient, uint64_t *remainder)
{
    uint128 product = (uint128)x * ratio->num;
    uint128 estimate = (uint128)x * ratio->reciprocal;

    if (ratio->shift >= 128)
        estimate = 0;
    else
        estimate >>= ratio->shift;
    if (estimate >> 64)
        return false;
    /* The estimate is low by at most 2: reciprocal is low by less than one of 2^63 parts, and the shift
     * rounds down. */
    uint64_t q = (uint64_t)estimate;
    uint128 rest = product - (uint128)q * ratio->den;
    while (rest >= ratio->den) {
        rest -= ratio->den;
        if (++q == 0)
            return false;
    }
    *quotient = q;
    *remainder = (uint64_t)rest;
    return true;
}

uint64_t ratio_floor_wide(const struct ratio *ratio, uint64_t x)
{
    uint64_t quotient, remainder;

    return divide(ratio, x, &quotient, &remainder) ? quotient : UINT64_MAX;
}

uint64_t ratio_ceil(const struct ratio *ratio, uint64_t x)
{
    uint64_t quotient, remainder;

    if (!divide(ratio, x, &quotient, &remainder))
        return UINT64_MAX;
    return remainder && quotient != UINT64_MAX ? quotient + 1 : quotient;
}

void grid_init(struct grid *grid, uint64_t guest_hz, uint64_t hz_num, uint64_t hz_den)
{
    ratio_init(&grid->edges, hz_num, guest_hz * hz_den);
    ratio_init(&grid->cycles, guest_hz * hz_den, hz_num);
}

uint64_t grid_cycles(const struct grid *grid, uint64_t edge)
{
    return ratio_ceil(&grid->cycles, edge);
}
