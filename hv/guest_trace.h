/*
 * The guest-visible trace: one line for each thing that a guest can see of the monitor, written to port E9h
 * (QEMU: -debugcon, Bochs: port_e9_hack), to compare runs on two machines by (tools/compare_traces.py,
 * docs/equivalence.md). Only in a test build, make BUILD=build/traced EXTRA_CFLAGS=-DGUEST_TRACE=1
 * EXTRA_SRC=tests/image/guest_trace.c: elsewhere the calls below are nothing at all, since the path from exit
 * to entry formats nothing. A line is
 *
 *     ~VM G RIP REGISTERS EVENT ARGUMENTS
 *
 * VM's number, the guest clock in cycles (decimal, with those of the event's instruction), the guest's RIP
 * and a checksum of its registers before the event, all else hexadecimal. What a guest can't see is not in
 * it: host interrupts, slices, windows, a page that was only unmapped.
 */
#ifndef HV_GUEST_TRACE_H
#define HV_GUEST_TRACE_H

#include "hv/vm.h"

#ifndef GUEST_TRACE
#define GUEST_TRACE 0
#endif

/* The build of the other kind has none of these. */
void guest_trace_take(const struct vm *vm);
void guest_trace_put_exit(const struct vm *vm);
void guest_trace_put(const struct vm *vm, const char *event, unsigned count, const uint64_t *arguments);
void guest_trace_put_end(const struct vm *vm);

/* Before the handler of an exit: the registers and the clock of what follows. */
static inline void guest_trace_exit(const struct vm *vm)
{
    if (GUEST_TRACE)
        guest_trace_take(vm);
}

/* Behind the handler: the instruction and its result. */
static inline void guest_trace_handled(const struct vm *vm)
{
    if (GUEST_TRACE)
        guest_trace_put_exit(vm);
}

/* An access of the emulator: "read", "write" (memory that is none), "in", "out". */
static inline void guest_trace_access(const struct vm *vm, const char *event, uint64_t address, unsigned size,
                                      uint64_t value)
{
    if (GUEST_TRACE)
        guest_trace_put(vm, event, 3, (const uint64_t[]){address, size, value});
}

/* An interrupt that is delivered now. */
static inline void guest_trace_irq(const struct vm *vm, uint8_t vector)
{
    if (GUEST_TRACE) {
        guest_trace_take(vm);
        guest_trace_put(vm, "irq", 1, (const uint64_t[]){vector});
    }
}

/* An exception by the monitor. */
static inline void guest_trace_raise(const struct vm *vm, uint8_t vector, uint32_t error)
{
    if (GUEST_TRACE)
        guest_trace_put(vm, "raise", 2, (const uint64_t[]){vector, error});
}

/* The end of a halt. */
static inline void guest_trace_wake(const struct vm *vm)
{
    if (GUEST_TRACE) {
        guest_trace_take(vm);
        guest_trace_put(vm, "wake", 0, NULL);
    }
}

/* The guest's end, or a reset: a checksum of each page of its RAM that isn't zero, then its code. */
static inline void guest_trace_end(const struct vm *vm)
{
    if (GUEST_TRACE)
        guest_trace_put_end(vm);
}

#endif
