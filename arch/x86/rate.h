/*
 * The rate of one clock measured with another: arithmetic and sampling only, the hardware behind two
 * functions, so that it is tested on the host (tests/unit/test_rate.c). Used at boot by tsc.c: the TSC
 * against a free-running counter of known period.
 *
 * A measurement is an interval that holds the true rate whatever the phase of the boot and however long one
 * read takes: each read of the counter is bracketed by two of the TSC, and n counts between two reads are
 * taken as anything between n - s and n + s periods. The step s is 1, or what the counter is seen to move by
 * at least where reads come faster than it moves: some emulators count by the microsecond.
 */
#ifndef ARCH_X86_RATE_H
#define ARCH_X86_RATE_H

#include "lib/base.h"

/* Bounds of a rate in Hz, both included. */
struct rate_interval {
    uint64_t low, high;
};

/* A counter that counts up and wraps at `mask`, not within a second. Its period in attoseconds (10^-18 s):
 * bounds, since few are whole numbers. */
struct rate_counter {
    uint32_t (*read)(const void *device);
    const void *device;
    uint32_t mask;                          /* 2^n - 1 */
    uint64_t period_low_as, period_high_as; /* 10^8 (10 GHz) to 10^12 (1 MHz) */
};

/* Reads the clock that is measured, ordered against the counter's reads. */
typedef uint64_t rate_clock(void);

/* Cycles of the measured clock after which a counter counts as dead: 10 ms are over by then on any clock
 * below 100 GHz. */
#define RATE_TIMEOUT_CYCLES (UINT64_C(1) << 30)

/*
 * Measures `clock` over 10 ms of `counter`, up to three times while the interval is wider than 500 ppm (a
 * host below us took the CPU away); the narrowest is the result. False: the counter stands still (after one
 * time-out), or its values make no sense.
 */
bool rate_measure(const struct rate_counter *counter, rate_clock *clock, struct rate_interval *interval);

/* `cycles` in `time` units of which there are `units_per_second`, in Hz, rounded down or up. All of them 1 to
 * 2^63 - 1. */
uint64_t rate_per_second(uint64_t cycles, uint64_t units_per_second, uint64_t time, bool up);

/* The value in [low, high] with the most trailing decimal zeros; of several the one nearest to the middle.
 * low <= high < 2^62. */
uint64_t rate_coarsest(uint64_t low, uint64_t high);

#endif
