/*
 * The one-shot timer that ends guest runs: which moment it stands armed for, and the count that makes it land
 * on a given one. Kept per CPU; the write itself is done by the world switch (an entry's last act before T0)
 * or by oneshot_arm_now() in the idle loop.
 */
#ifndef ARCH_X86_HOST_ONESHOT_H
#define ARCH_X86_HOST_ONESHOT_H

#include "arch/x86/api/vcpu.h"
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

/* Measures the timer's rate against the TSC; false when it does not count. by_deadline: in TSC-deadline mode,
 * where a tick is a cycle of the TSC and nothing needs measuring. */
bool oneshot_init(bool by_deadline);

/* On a further CPU, whose timer has the rate that was measured. */
void oneshot_init_here(void);

/*
 * The timer stands armed for no later than a run of `distance` cycles needs: no monitor work can make it
 * late, for it only brings it nearer. One that has expired since the last exit is in time too: its interrupt
 * ends the run at once (see oneshot_fired() for what becomes of it otherwise). entry_cost: E of that run.
 */
static inline bool oneshot_in_time(const struct vcpu *vcpu, int64_t entry_cost, uint64_t distance)
{
    uint64_t fires_at = host_oneshot.fires_at;
    uint64_t ahead = fires_at - vcpu->exit.left - (uint64_t)entry_cost;

    return fires_at <= vcpu->host_latest && (ahead <= distance || (int64_t)ahead <= 0);
}

/* Cycles until the host wants the CPU back, as of the last exit. */
static inline uint64_t oneshot_to_host_limit(const struct vcpu *vcpu)
{
    uint64_t limit = vcpu->host_limit - vcpu->exit.left;

    return __builtin_expect((int64_t)limit < 0, 0) ? 0 : limit;
}

/* The count with which an entry arms the timer for a run of `distance` cycles, less the lead. */
uint32_t oneshot_aim(const struct vcpu *vcpu, uint64_t distance);

/* An entry at `entered` wrote that count. */
void oneshot_armed(uint64_t entered, uint32_t count);

/* The count for an expiry `cycles` after the write, at least 1. */
uint32_t oneshot_count(uint64_t cycles);

/* Its interrupt was taken: the trap handler's call. */
void oneshot_fired(void);

#endif
