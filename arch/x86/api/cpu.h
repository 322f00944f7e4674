/*
 * The physical CPU: who am I, what time is it, wait, stop. Each CPU has its own struct cpu (per_cpu.h).
 */
#ifndef ARCH_X86_API_CPU_H
#define ARCH_X86_API_CPU_H

#include "lib/base.h"

struct cpu {
    unsigned id;
    bool timer_fired; /* the one-shot's interrupt was taken since this was last cleared */
    uint64_t nmis;
    uint64_t smis_before; /* the CPU's count of SMIs at cpu_health_check() */
    uint32_t strays[256]; /* interrupts that nobody asked for, by vector */
};

/* Cycles per second of the host's TSC: measured at boot and rounded (tsc.c), or the word tsc=. */
uint64_t host_tsc_hz(void);

#ifdef VERGE_HOST
/* A host test supplies the CPU. */
struct cpu *this_cpu(void);
uint64_t host_tsc(void);
void cpu_open_interrupts(void);
void cpu_wait(void);
void cpu_relax(void);
#else
extern struct cpu cpu_here;

static inline struct cpu *this_cpu(void)
{
    return &cpu_here;
}

/* The host's time-stamp counter. Not ordered against other instructions: good for marks, not for the world
 * switch. */
static inline uint64_t host_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Takes what host interrupts are pending, in a window of one instruction. */
static inline void cpu_open_interrupts(void)
{
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

/* Sleeps until a host interrupt, takes it, returns with interrupts off. */
static inline void cpu_wait(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}
#endif

/* For a report: this CPU by its names, "under a hypervisor" where it is; and how its timer is used, once
 * cpu_init_virtualisation() has chosen. */
void cpu_describe(char *text, size_t size);
const char *cpu_timer_name(void);

/* Sets the one-shot for the idle loop: its interrupt comes `host_cycles` from now, within the timer's grain.
 */
void cpu_set_timer(uint64_t host_cycles);

/* timer=periodic:HZ: a free-running tick in place of the one-shot, the coarse baseline. */
void cpu_start_periodic_timer(uint32_t hz);

/* A machine check ended a guest's run: logs the banks and clears them. Panics unless the CPU says that it can
 * go on and its state is whole; then only who ran is lost. */
void cpu_take_machine_check(void);

/* Whether one is under way: it may have shut down the guest alone, whose CR4.MCE was clear (SVM). */
bool cpu_machine_check_waits(void);

/* What of this CPU bears on guest time, a line each: microcode, timer and idle states; what can be mended is.
 * Nothing of a CPU under a hypervisor. Once, on each CPU. */
void cpu_health_check(void);

/* SMIs since then where the CPU counts them, NMIs, stray interrupts by vector. Nothing where there were none,
 * but for the SMIs of one who `asked`. */
void cpu_health_show(bool asked);

/* Start of the machine, in the order of hv/main.c. */
struct boot_info;
void cpu_init_early(void);

/* One line on what this CPU lacks to run guests, NULL when it can; `warnings` receives up to `most` further
 * lines, returns their number in *count. */
const char *cpu_preflight(const char *warnings[], unsigned most, unsigned *count);
const char *cpu_backend_name(void);

/* Measures or takes over the TSC rate; override_hz 0: measure. Logs the rate with its error interval. */
void cpu_init_time(uint64_t override_hz);

/* Chooses the measures against speculative execution that this CPU needs and logs a line; `off`: none. */
void cpu_init_speculation(bool off);

/* What ends a guest's run at its deadline: the local APIC's timer by a count (one-shot mode) or by the moment
 * (TSC-deadline mode), whichever suits this CPU (auto), or VT-x's preemption timer; or the local APIC's
 * ticks, from cpu_start_periodic_timer() on; until then it is in one-shot mode. */
enum cpu_timer {
    CPU_TIMER_AUTO,
    CPU_TIMER_ONESHOT,
    CPU_TIMER_DEADLINE,
    CPU_TIMER_PREEMPTION,
    CPU_TIMER_PERIODIC
};

/* How the local APIC is reached: by MSRs (x2APIC mode) where this CPU can, or in memory (xAPIC mode). */
enum cpu_apic { CPU_APIC_AUTO, CPU_APIC_XAPIC };

/* Enables virtualisation, starts the timer, calibrates the world switch. False with a logged reason on
 * failure. */
bool cpu_init_virtualisation(enum cpu_timer timer, enum cpu_apic apic);

#endif
