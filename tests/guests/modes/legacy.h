/*
 * Trials outside long mode. legacy_run() leaves long mode for 32-bit protected mode with a GDT, an IDT and a
 * TSS of its own, runs each trial there and comes back. A trial is a 32-bit function entered flat at CPL 0
 * with interrupts off; it may go on to V86 mode, ring 3, 16-bit code. It ends by a near return (vector
 * LEGACY_RETURNED) or by the first exception or INT LEGACY_STOP, whose frame is its result. Vectors from
 * LEGACY_SERVICE on and IRQ 0 are counted and returned from.
 */
#ifndef GUEST_LEGACY_H
#define GUEST_LEGACY_H

#include "tests/guests/modes/legacy_numbers.h"
#include "tests/guests/modes/modes.h"

/* In the order of the trap handler's stack (legacy.asm); `inner` is what a frame from V86 mode has besides.
 */
struct legacy_state {
    uint32_t gs, fs, es, ds; /* as the handler found them */
    uint32_t edi, esi, ebp, handler_esp, ebx, edx, ecx, eax;
    uint32_t vector, error, eip, cs, eflags, esp, ss; /* ESP and SS: from an outer ring only */
    struct {
        uint32_t es, ds, fs, gs;
    } inner;
    uint32_t cr2;
};

enum legacy_paging { LEGACY_FLAT, LEGACY_PAGED, LEGACY_PAE };

/* A trial's code is an assembler label: its address is all that counts here. */
typedef void legacy_code(void);

void legacy_run(enum legacy_paging paging, legacy_code *const *trials, struct legacy_state *results,
                unsigned count);

/* One trial, all counts from 0; its result holds until the next one. */
const struct legacy_state *legacy_run_one(enum legacy_paging paging, legacy_code *code);

/* The last frame of a vector that is returned from, and how many there were. */
extern struct legacy_state legacy_serviced;
extern uint32_t legacy_services, legacy_irqs;

/* Called by legacy_run(); between two runs what a group has changed stays. `access`: the descriptor's second
 * dword's bits 8-15, flags (G, D, L, AVL) at 20-23. */
void legacy_descriptor(unsigned selector, uint32_t base, uint32_t limit, uint32_t access);
void legacy_gate(unsigned vector, unsigned selector, uint32_t offset, unsigned type);
void legacy_prepare(void);          /* everything as it was at first */
extern uint32_t legacy_table[1024]; /* 4 KB pages of the first 4 MB under LEGACY_PAGED */
extern uint32_t legacy_tss[], legacy_tss2[];
void legacy_forbid_port(unsigned port); /* below 400h; all others are allowed */
extern uint8_t legacy_data[4096];
uint32_t legacy_data_at(unsigned at); /* four bytes of it */

/* SEL_CALL_GATE leads ring 3 to here, in ring 0. */
void legacy_call_gate(uint32_t offset);
struct __attribute__((packed)) legacy_pointer {
    uint16_t limit;
    uint64_t base;
};
extern struct legacy_pointer legacy_gdt_pointer, legacy_idt_pointer;

/* One trial and what should come of it; `error` counts with a vector that has one. */
struct legacy_case {
    const char *name;
    legacy_code *code;
    uint32_t vector, error;
    const char *limit; /* the named limit of an emulator that it may fail for, or NULL */
};
/* Runs them all and checks vector and error code; `results` has room for `count`. */
void legacy_check(enum legacy_paging paging, const struct legacy_case *cases, struct legacy_state *results,
                  unsigned count);

/* Copies code to LEGACY_LOW, below 1 MB. */
void legacy_place(const void *code, size_t size);

#endif
