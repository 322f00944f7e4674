/*
 * Exact conversion between two clocks: floor and ceil of x * num / den in 128-bit arithmetic, without a
 * division at run time (the reciprocal is made once) and without ever dropping a remainder.
 *
 * A `struct grid` is the edge grid of a clock seen from guest cycles: edge k of a clock of `hz_num / hz_den`
 * Hz stands at ceil(k * f * hz_den / hz_num) guest cycles (docs/time.md). All device clocks use
 * it, so they cannot drift apart.
 *
 * Pure arithmetic: callable from any context. Results past 2^64 - 1 saturate to UINT64_MAX.
 */
#ifndef LIB_RATIO_H
#define LIB_RATIO_H

#include "lib/base.h"

/* x -> x * num / den. Fill with ratio_init() only. */
struct ratio {
    uint64_t num;
    uint64_t den;
    uint64_t reciprocal; /* num / den, normalised to 64 significant bits, rounded down */
    int shift;           /* reciprocal = floor(num / den * 2^shift) */
    bool quick;          /* ratio_floor() gets by with 64 bits: num < den, and den not huge */
};

/* num and den: 1 to 2^63 - 1. */
void ratio_init(struct ratio *ratio, uint64_t num, uint64_t den);
uint64_t ratio_floor_wide(const struct ratio *ratio, uint64_t x);
uint64_t ratio_ceil(const struct ratio *ratio, uint64_t x);

/*
 * With num < den shift is 64 or more, and the quotient fits 64 bits. It is low by at most 2 (see divide()),
 * so that the rest is below 3 den: its low 64 bits are all of it.
 */
static inline uint64_t ratio_floor(const struct ratio *ratio, uint64_t x)
{
    if (!ratio->quick)
        return ratio_floor_wide(ratio, x);
    uint64_t quotient = (uint64_t)((unsigned __int128)x * ratio->reciprocal >> 64) >> (ratio->shift & 63);
    uint64_t rest = x * ratio->num - quotient * ratio->den;
    for (; __builtin_expect(rest >= ratio->den, 0); rest -= ratio->den)
        quotient++;
    return quotient;
}

struct grid {
    struct ratio edges;  /* guest cycles -> edges */
    struct ratio cycles; /* edges -> guest cycles */
};

/* A clock of hz_num / hz_den Hz on a guest clock of guest_hz (each product below 2^63). */
void grid_init(struct grid *grid, uint64_t guest_hz, uint64_t hz_num, uint64_t hz_den);

/* How many edges have passed at `guest_cycles`; edge 0 stands at cycle 0. The last passed edge is at or
 * before it. */
static inline uint64_t grid_edges(const struct grid *grid, uint64_t guest_cycles)
{
    return ratio_floor(&grid->edges, guest_cycles);
}

/* The guest cycle of edge `edge`: the first whole cycle at or after its true moment. */
uint64_t grid_cycles(const struct grid *grid, uint64_t edge);

#endif
