/*
 * The one-shot timer that ends guest runs: which moment it stands armed for, and the count that makes it land
 * on a given one. Kept per CPU; the write itself is done by the world switch (an entry's last act before T0)
 * or by oneshot_arm_now() in the idle loop.
 */
#ifndef ARCH_X86_HOST_ONESHOT_H
#define ARCH_X86_HOST_ONESHOT_H

#include "lib/base.h"
#include "lib/ratio.h"

struct oneshot {
    struct ratio ticks_per_cycle; /* timer ticks from TSC cycles, rounded down: early is safe, late never */
    struct ratio cycles_per_tick;
    uint64_t ticks_hz;
    uint64_t distance; /* cycles from the count's write to the guest's first instruction less the timer's own
                          latency: A */
    uint64_t fires_at; /* host TSC, not before it fires; UINT64_MAX: not armed */
    bool chased;       /* charges ate up the last arming before it fired: arm with slack */
    bool aimed;        /* the last count was chosen for the deadline alone: no host limit, no slack */
    bool periodic;     /* timer=periodic: a free-running tick instead, never re-armed */
};

extern struct oneshot host_oneshot;

/* Measures the timer's rate against the TSC; false when it does not count. */
bool oneshot_init(void);

/* The count for an expiry `cycles` after the write, at least 1. */
uint32_t oneshot_count(uint64_t cycles);

/* Its interrupt was taken: the trap handler's call. */
void oneshot_fired(void);

#endif
