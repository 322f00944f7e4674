/*
 * Spin locks. What they are for is few, and no frequent exit takes one: docs/architecture.md names them all.
 */
#ifndef ARCH_X86_API_LOCK_H
#define ARCH_X86_API_LOCK_H

#include "arch/x86/api/cpu.h"
#include "arch/x86/api/machine.h"
#include "arch/x86/api/panic.h"

struct lock {
    bool held;
};

#define LOCK_CYCLES (UINT64_C(1) << 36) /* twenty seconds or so: longer than a UART is waited for */

/*
 * Not again by the CPU that holds it. Nobody waits for ever: false, and the caller goes on without, for a
 * torn line says more than a CPU that hangs. In a panic the CPU that panics doesn't wait at all, the holder
 * may be asleep, and the others end here.
 */
static inline bool lock_take(struct lock *lock)
{
    uint64_t start = host_tsc();

    for (;;) {
        if (panic_elsewhere())
            machine_halt();
        if (!__atomic_exchange_n(&lock->held, true, __ATOMIC_ACQUIRE))
            return true;
        if (panic_here() || host_tsc() - start > LOCK_CYCLES)
            return false;
        cpu_relax();
    }
}

/* `taken`: what lock_take() returned. */
static inline void lock_give(struct lock *lock, bool taken)
{
    if (taken)
        __atomic_store_n(&lock->held, false, __ATOMIC_RELEASE);
}

#endif
