/*
 * What the boot CPU shares with each further CPU, for the files that start them and call them: cpus.c,
 * start_cpus.c, compare_tsc.c.
 */
#ifndef ARCH_X86_SEATS_H
#define ARCH_X86_SEATS_H

#include "arch/x86/api/cpus.h"
#include "arch/x86/backtrace.h"

struct work {
    void (*function)(void *);
    void *argument;
    bool wanted; /* set by the boot CPU, cleared by the other when it is done: then the rest is the boot CPU's
                  */
};

struct seat {
    uint32_t apic_id;
    bool answered; /* it runs */
    bool ready;    /* for guests */
    struct work call, job;
    struct {
        bool asked, told;
        unsigned count;
        uint64_t rips[BACKTRACE_MOST];
    } where;
} __attribute__((aligned(64)));

extern struct seat seats[CPUS_MAX];
extern unsigned seats_count; /* the boot CPU's among them */
extern uint64_t seats_pat;   /* the boot CPU's PAT, for all */

#define SEATS_PATIENCE_US 10000000u /* that a CPU that runs is waited for */

uint64_t seats_cycles_of(uint64_t us);

/*
 * Sleeps until *flag is `value`, by a CPU that then sends VECTOR_WAKE; false: not within that time. Never by
 * polling: an emulator that runs one CPU at a time would count that as the other's time, too.
 */
bool seats_wait_for(const bool *flag, bool value, uint64_t us);

/* Until a started CPU's job has ended: panics where that doesn't come. */
void seats_await_job(unsigned id);

#endif
