/*
 * Measures against speculative execution, chosen by what the CPU enumerates: what the monitor does so that no
 * guest steers its branches and none reads what it or another guest left in the CPU. speculation_choose() and
 * speculation_describe() are pure. Boot only; what costs at each exit is done by entry stubs of their own
 * (guard.inc).
 */
#ifndef ARCH_X86_SPECULATION_H
#define ARCH_X86_SPECULATION_H

#include "arch/x86/api/per_cpu.h"
#include "lib/base.h"

/* What the choice depends on. */
struct speculation_facts {
    bool amd, intel;
    bool threads;                               /* the core has more than one */
    uint32_t leaf7_ebx, leaf7_edx, leaf7_2_edx; /* CPUID 7.0 and 7.2 */
    uint32_t amd8_ebx, amd21_eax, amd21_ecx;    /* CPUID 80000008h and 80000021h */
    unsigned family, model, stepping;           /* base and extended in one */
    uint64_t arch_capabilities;                 /* the MSR, 0 where there is none */
};

/* Done at each entry and exit, by the guarded stubs; none: they are not used. */
#define GUARD_VERW     BIT(0) /* before an entry: buffers overwritten (MD_CLEAR, VERW_CLEAR) */
#define GUARD_FLUSH    BIT(1) /* before an entry: the L1 data cache flushed, which does that, too */
#define GUARD_IBRS     BIT(2) /* IBRS set anew behind each exit, and clear for the guest */
#define GUARD_FILL_RSB BIT(3) /* behind an exit: no return goes where a guest's call came from */
#define GUARD_X2APIC   BIT(6) /* no measure: the timer is armed by a count in an MSR */
#define GUARD_DEADLINE BIT(7) /* no measure: the timer is in TSC-deadline mode */

struct speculation {
    bool enumerated;     /* the CPU tells of any control at all */
    bool automatic_ibrs; /* in EFER */
    bool ibpb;           /* between two guests: hands_forget_branches() */
    uint32_t spec_ctrl;  /* IA32_SPEC_CTRL for good, GUARD_IBRS's bit left out */
    uint32_t guards;
    /* what is known of this CPU and has no measure here */
    bool open_branches, open_bhi, open_its, open_returns, open_cache, open_buffers;
};
extern PER_CPU struct speculation speculation; /* this CPU's; none until speculation_init() */

#define PRED_CMD_IBPB     BIT64(0)
#define FLUSH_CMD_L1D     BIT64(0)
#define SPEC_CTRL_IBRS    BIT(0)
#define SPEC_CTRL_STIBP   BIT(1)
#define SPEC_CTRL_BHI_DIS BIT(10)

struct speculation speculation_choose(const struct speculation_facts *facts);

/* What is on, as words; likewise what is open. */
void speculation_describe(const struct speculation *chosen, char *text, size_t size);
void speculation_describe_open(const struct speculation *chosen, char *text, size_t size);

/* On each CPU, before the backend's enabling: chooses, or chooses nothing (`off`), tries each MSR that a
 * measure writes, writes what holds for good, and logs lines: of a further CPU only where it isn't as CPU 0.
 */
void speculation_init(bool off);

/* For guard.inc. */
extern PER_CPU uint32_t guard_flags, guard_spec_ctrl_guest, guard_spec_ctrl_monitor;
extern uint16_t guard_selector;

#endif
