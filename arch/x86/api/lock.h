/*
 * Spin locks. What they are for is few, and none is taken between an exit and the next entry:
 * docs/architecture.md names them all.
 */
#ifndef ARCH_X86_API_LOCK_H
#define ARCH_X86_API_LOCK_H

#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"

struct lock {
    bool held;
};

#define LOCK_CYCLES (UINT64_C(1) << 33) /* some seconds */

/* Not again by the CPU that holds it. Nobody waits for ever, and in a panic not at all: a torn line says more
 * than a second CPU that hangs, and the holder may be asleep. */
static inline void lock_take(struct lock *lock)
{
    uint64_t start = host_tsc();

    while (__atomic_exchange_n(&lock->held, true, __ATOMIC_ACQUIRE) && !panicking &&
           host_tsc() - start < LOCK_CYCLES)
        cpu_relax();
}

static inline void lock_give(struct lock *lock)
{
    __atomic_store_n(&lock->held, false, __ATOMIC_RELEASE);
}

#endif
