/* Our own bugs end here: registers, a symbolised backtrace, the last trace records, then halt (or power off
 * under onexit=). Never a guest's doing. */
#ifndef ARCH_X86_API_PANIC_H
#define ARCH_X86_API_PANIC_H

#include "lib/base.h"

_Noreturn void panic(const char *format, ...) PRINTF_LIKE(1, 2);

/* Another CPU has panicked, and tells why: this one is to go to sleep for good. */
bool panic_elsewhere(void);

/* This one has. */
bool panic_here(void);

/* What the layer above adds to a panic (the trace, the end of the machine); called once, after the backtrace.
 */
void panic_set_hook(void (*hook)(void));

/* Replaces the stack protector's guard. Only from a function that never returns: frames in use keep the old
 * value. */
extern uintptr_t __stack_chk_guard;
static inline void stack_guard_seed(uint64_t seed)
{
    __stack_chk_guard ^= seed * UINT64_C(0x9E3779B97F4A7C15);
}

/* Type-checked in every build, evaluated in every build: they stand off the hot path. */
#define ASSERT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            panic("%s:%d: %s", __FILE__, __LINE__, #condition);                                              \
    } while (0)

/* On the hot path: evaluated only in builds with VERGE_CHECKS (make EXTRA_CFLAGS=-DVERGE_CHECKS),
 * type-checked in all. */
#ifdef VERGE_CHECKS
#define CHECKS 1
#else
#define CHECKS 0
#endif
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (CHECKS)                                                                                          \
            ASSERT(condition);                                                                               \
    } while (0)

#endif
