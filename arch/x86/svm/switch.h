/* What the assembler part of the world switch reads and writes (enter.asm). */
#ifndef ARCH_X86_SVM_SWITCH_H
#define ARCH_X86_SVM_SWITCH_H

#include "arch/x86/svm/vmcb.h"
#include "lib/base.h"

struct svm_switch {
    uint64_t gpr[16]; /* RAX and RSP stand in the VMCB instead */
    struct vmcb *vmcb;
    uint64_t vmcb_pa, host_vmcb_pa;
    uint64_t tsc_base; /* first RDTSC of the guest less E: the TSC offset is this less T0 */
    uint64_t t0, t1;
    volatile uint32_t *timer_register;
    uint32_t arm_count; /* for the timer (oneshot_count()); 0: leave it alone */
};

/* Enters the guest; goes on in svm_left() after its exit. All registers but RSP and RBP are changed when that
 * returns. */
void svm_enter(struct svm_switch *state);
void svm_enter_x2apic(struct svm_switch *state);   /* the timer's register is an MSR */
void svm_enter_deadline(struct svm_switch *state); /* the timer is in TSC-deadline mode */
void svm_enter_guarded(struct svm_switch *state);  /* with guard_flags (speculation.h) */

/* exit.c: the first C code after an exit. */
void svm_left(struct svm_switch *state);

#endif
