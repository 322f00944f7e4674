/*
 * The machine's CPUs. The boot CPU is number 0, the others follow as the firmware's tables list them. Each of
 * the others sleeps until it is called or has a job; nothing is done on a CPU but by its own code.
 */
#ifndef ARCH_X86_API_CPUS_H
#define ARCH_X86_API_CPUS_H

#include "lib/base.h"

#define CPUS_MAX 64u

/*
 * Starts all of them, one after the other, makes them ready for guests, and logs a line each: those that
 * don't answer, and those that can't run guests, too. After cpu_init_virtualisation() on the boot CPU, and
 * after everything of the machine that is mapped. Source: Intel SDM vol. 3, "MP Initialization Protocol
 * Algorithm".
 */
void cpus_start(void);

/* Numbers that were given out, the boot CPU's among them; and whether that one can run guests. */
unsigned cpus_count(void);
bool cpus_ready(unsigned id);

/* What a CPU is given to do: `argument` is in memory that all share, so not on a stack (per_cpu.h).
 *
 * Runs a function on that CPU, which may be this one, and waits for its end. False with a logged reason: it
 * did not come back in 10 s. Boot CPU only. */
bool cpus_call(unsigned id, void (*function)(void *), void *argument);

/* Has it run a job, and goes on, on another CPU than this one. A job that takes long looks after calls by
 * cpus_serve(). */
void cpus_begin(unsigned id, void (*job)(void *), void *argument);
bool cpus_busy(unsigned id);

/* Sleeps until its job has ended, however long that takes; a line every ten seconds says that it does. */
void cpus_wait(unsigned id);

/* Does what the boot CPU asks of this one, if anything. */
void cpus_serve(void);

/* Asks that CPU by an NMI where it stands and logs it; one that takes none (SVM's monitor, mostly) says
 * nothing. */
void cpus_ask_where(unsigned id);

/* In the handler of an NMI: answers, if that was it. */
void cpus_tell_where(uint64_t rip, uint64_t rbp);

/* A panic: the other CPUs go to sleep for good. */
void cpus_stop_others(void);

#endif
