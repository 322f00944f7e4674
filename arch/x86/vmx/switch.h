/* What the assembler part of the world switch reads and writes (enter.asm). */
#ifndef ARCH_X86_VMX_SWITCH_H
#define ARCH_X86_VMX_SWITCH_H

#include "lib/base.h"

struct vmx_switch {
    uint64_t gpr[16];  /* RSP stands in the VMCS instead */
    uint64_t tsc_base; /* first RDTSC of the guest less E: the TSC offset is this less T0 */
    uint64_t t0, t1;
    uint64_t host_rsp; /* as the VMCS has it */
    volatile uint32_t *timer_register;
    uint32_t arm_count; /* for the timer (oneshot_count()); 0: leave it alone */
};

/* Enters the guest whose VMCS is current, for the first time since its VMCLEAR or again; goes on in
 * vmx_left() after its exit. All registers but RSP and RBP are changed when that returns. */
void vmx_launch(struct vmx_switch *state);
void vmx_resume(struct vmx_switch *state);
void vmx_launch_x2apic(struct vmx_switch *state); /* the timer's register is an MSR */
void vmx_resume_x2apic(struct vmx_switch *state);
void vmx_launch_deadline(struct vmx_switch *state); /* the timer is in TSC-deadline mode */
void vmx_resume_deadline(struct vmx_switch *state);
void vmx_resume_unarmed(struct vmx_switch *state); /* without looking at arm_count */
void vmx_launch_guarded(struct vmx_switch *state); /* with guard_flags (speculation.h) */
void vmx_resume_guarded(struct vmx_switch *state);

/* Where exits arrive: the VMCS's host RIP. */
void vmx_exit_point(void);
void vmx_exit_point_guarded(void);

/* exit.c: the first C code after an exit. */
void vmx_left(struct vmx_switch *state);

/* And when VMLAUNCH or VMRESUME itself failed. */
void vmx_not_entered(struct vmx_switch *state);

#endif
