/* The watchdog; the contract is in watchdog.h. */
#include "hv/watchdog.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/per_cpu.h"
#include "lib/log.h"

#ifndef STUCK_SECONDS /* a test build waits less long */
#define STUCK_SECONDS 60u
#endif
#define BLIND_SECONDS                                                                                        \
    5u /* who has not looked for so long has been stopped itself, and so have the others, perhaps */

/* What a CPU says of itself. */
static struct {
    uint64_t turns;
    bool on;
} __attribute__((aligned(64))) pulses[CPUS_MAX];

/* What this CPU saw of the others last. */
static PER_CPU struct {
    uint64_t turns;
    uint64_t since; /* host TSC */
} seen[CPUS_MAX];
static PER_CPU uint64_t looked; /* host TSC */

static _Noreturn void tell_of(unsigned id)
{
    log_error("cpu%u has been in the monitor for %u s: it is stuck", id, STUCK_SECONDS);
    cpus_ask_where(id);
    panic("cpu%u is stuck", id);
}

static void look_at_others(uint64_t now)
{
    bool blind = now - looked > BLIND_SECONDS * host_tsc_hz();

    for (unsigned id = 0; id < cpus_count(); id++) {
        uint64_t turns = __atomic_load_n(&pulses[id].turns, __ATOMIC_RELAXED);

        if (id == this_cpu()->id)
            continue;
        if (blind || turns != seen[id].turns || !__atomic_load_n(&pulses[id].on, __ATOMIC_RELAXED)) {
            seen[id].turns = turns;
            seen[id].since = now;
        } else if (now - seen[id].since > STUCK_SECONDS * host_tsc_hz()) {
            tell_of(id);
        }
    }
}

void watchdog_look(uint64_t now)
{
    unsigned id = this_cpu()->id;

    __atomic_store_n(&pulses[id].turns, pulses[id].turns + 1, __ATOMIC_RELAXED);
    if (now - looked < host_tsc_hz() || cpus_count() == 1)
        return;
    look_at_others(now);
    looked = now;
}

void watchdog_turn(uint64_t now)
{
    __atomic_store_n(&pulses[this_cpu()->id].on, true, __ATOMIC_RELAXED);
    watchdog_look(now);
}

void watchdog_rest(void)
{
    __atomic_store_n(&pulses[this_cpu()->id].on, false, __ATOMIC_RELAXED);
}

void watchdog_watch(void *nothing)
{
    (void)nothing;
    for (;;) {
        cpus_serve();
        look_at_others(host_tsc());
        looked = host_tsc();
        cpu_set_timer(host_tsc_hz());
        cpu_wait();
    }
}
