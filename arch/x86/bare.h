/*
 * The bare guest of the calibration: a few instructions in real mode, run again and again without any policy.
 * Its TSC offset is minus T0, so that it reads the cycles since T0. One guest, reused; interrupts are off.
 */
#ifndef ARCH_X86_BARE_H
#define ARCH_X86_BARE_H

#include "arch/x86/backend.h"

#define BARE_RUNS     32
#define BARE_SP       0x0F00u
#define BARE_UNMAPPED 0x8000u /* a guest-physical address where nothing is */
#define BARE_HANDLER  0x0F00u /* offset of the interrupt handler in the code page: RDTSC; CPUID */
#define BARE_VECTOR   0x20    /* its vector */
#define BARE_LOOP_ROUNDS                                                                                     \
    (1u << 24) /* CX at the start of each run: far longer than a timer is set for, on an                     \
                emulator in real time too */
#define BARE_RFLAGS_TF BIT64(8)
#define BARE_RFLAGS_IF BIT64(9)

extern struct vcpu bare_vcpu;
extern uint64_t bare_total;   /* T1 - T0 of the last run */
extern uint64_t bare_reading; /* EDX:EAX of the guest after it */

/* Makes the guest. Allocates. */
void bare_create(void);

/* The guest's program: `length` bytes at the start of the code page, NOPs up to the handler. */
void bare_load(const uint8_t *program, size_t length);
#define BARE_LOAD(program) bare_load(program, sizeof(program))

/* `count` NOPs and what follows them, in place of a program. */
void bare_load_nops(unsigned count);

/* Prepares runs of the program with this setting. */
void bare_prepare(const struct bare_setting *setting);

/* One run; again after another one: only what the guest itself has changed is written. */
void bare_run(const struct bare_setting *setting);

/* Sorts a value into `count` sorted ones. */
void insert_sorted(int64_t *values, unsigned count, int64_t value);

/* How far sorted values lie apart but for outliers (one of eight may be one: an SMI); 0 only if all are the
 * same. */
uint64_t spread_of(const int64_t *values, unsigned count);

/* What a kind of run yields, given what it read. */
typedef int64_t bare_yield(void);

int64_t bare_yield_reading(void);
int64_t bare_yield_total(void);

/* The least of what runs of the loaded program yield; their spread goes into figures.spread. */
int64_t bare_measure(const struct bare_setting *setting, bare_yield *of);

#endif
