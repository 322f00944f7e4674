/* What the files of the VT-x backend share. */
#ifndef ARCH_X86_VMX_BACKEND_H
#define ARCH_X86_VMX_BACKEND_H

#include "arch/x86/backend.h"
#include "arch/x86/hands.h"
#include "arch/x86/vmx/switch.h"
#include "arch/x86/vmx/vmcs.h"

/* MSRs that neither the VMCS nor the monitor touches: they change hands with the CPU. */
enum { SYSCALL_STAR, SYSCALL_LSTAR, SYSCALL_CSTAR, SYSCALL_SFMASK, SYSCALL_KERNEL_GS, SYSCALL_MSRS };
extern const uint32_t vmx_syscall_msrs[SYSCALL_MSRS];

struct vcpu_backend {
    struct vmx_switch entry;
    struct vcpu *vcpu;
    uint64_t vmcs; /* physical */
    /* The guest's registers that stand in the VMCS, as read at the last exit or set since; and what the VMCS
     * holds, so that only what has changed is written. */
    uint64_t rip, rsp, rflags;
    uint64_t shadow; /* the interruptibility state; whoever ends the shadow writes 0 */
    uint64_t held_rip, held_rsp, held_rflags, held_shadow;
    uint64_t held_run; /* cycles for which the preemption timer is set */
    uint64_t dr6, cr2;
    uint64_t syscall[SYSCALL_MSRS];
    uint64_t entry_rip; /* where the guest went on at this entry */
    int64_t entry_cost; /* E of this entry */
    uint32_t cpu_controls;
    uint32_t reason;         /* of the last exit, as the VMCS has it */
    bool instruction_failed; /* VMLAUNCH or VMRESUME itself failed: the VMCS has no exit reason */
    bool inject;             /* this entry delivers an event */
    bool armed;              /* this entry arms the one-shot or sets the preemption timer */
    bool aimed;              /* the preemption timer was set at this entry, for the deadline alone */
    bool launched;           /* VMRESUME, no longer VMLAUNCH */
    bool cold;               /* the VMCS has not been entered since it was made current */
    struct hands hands;
};

/* #DB and #AC can loop in microcode and lock up the host; #MC is the host's. */
#define VMX_EXCEPTIONS (BIT(1) | BIT(17) | BIT(18))

/* held_run of a preemption timer that is set for nothing: beyond any run. */
#define VMX_TIMER_RESTS ((uint64_t)INT64_MAX)

/* Makes a vCPU's VMCS the current one, if it isn't. Reads and writes below are of the current one. */
extern const struct vcpu *vmx_selected;
void vmx_make_current(const struct vcpu *vcpu);
static inline void vmx_select(const struct vcpu *vcpu)
{
    if (__builtin_expect(vmx_selected != vcpu, 0))
        vmx_make_current(vcpu);
}

/* All reading and writing but the two writes of enter.asm. A build with COUNT_VMCS_ACCESSES counts. */
#ifdef COUNT_VMCS_ACCESSES
extern unsigned vmx_accesses;
#define VMX_COUNT_ACCESS() (vmx_accesses++)
#else
#define VMX_COUNT_ACCESS() ((void)0)
#endif

static inline uint64_t vmx_read(enum vmcs_field field)
{
    uint64_t value;

    VMX_COUNT_ACCESS();
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
    return value;
}

static inline void vmx_write(enum vmcs_field field, uint64_t value)
{
    VMX_COUNT_ACCESS();
    __asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "r"(value) : "cc");
}

/* Makes the VMCS current of the vCPU whose registers the CPU holds. */
void vmx_select_holder(void);

/* Whether the CPU's own registers (hands) are this vCPU's. */
bool vmx_holds(const struct vcpu *vcpu);

/* vcpu.c, entry.c and state.c: what stands in vmx_backend. */
void vmx_vcpu_create(struct vcpu *vcpu, struct nested *nested);
void vmx_vcpu_reset(struct vcpu *vcpu);
void vmx_vcpu_switch(struct vcpu *from, struct vcpu *to);
void vmx_vcpu_arm_by(enum lapic_way way);
void vmx_vcpu_use_guards(void);
void vmx_vcpu_hold_host(void);
void vmx_vcpu_release_host(void);
void vmx_vcpu_enter(struct vcpu *vcpu, uint64_t tsc, uint64_t distance);
uint64_t vmx_vcpu_exit_code(const struct vcpu *vcpu);
const char *vmx_vcpu_entry_fault(const struct vcpu *vcpu); /* entry_fault.c */
/* What CPUs check at an entry; NULL: nothing is wrong. */
const char *vmx_find_fault(const struct vcpu *vcpu);
void vmx_vcpu_gather(const struct vcpu *vcpu);
bool vmx_vcpu_in_nmi(const struct vcpu *vcpu);
void vmx_vcpu_get_control(const struct vcpu *vcpu, struct vcpu_control *control);
void vmx_vcpu_set_control(struct vcpu *vcpu, const struct vcpu_control *control);
void vmx_vcpu_get_segment(const struct vcpu *vcpu, enum segment_name name, struct vcpu_segment *segment);
uint64_t vmx_vcpu_cr0(const struct vcpu *vcpu);
uint64_t vmx_vcpu_cr3(const struct vcpu *vcpu);
uint64_t vmx_vcpu_cr4(const struct vcpu *vcpu);
uint64_t vmx_vcpu_efer(const struct vcpu *vcpu);
uint64_t vmx_vcpu_dr6(const struct vcpu *vcpu);
uint64_t vmx_vcpu_cs_base(const struct vcpu *vcpu);
bool vmx_vcpu_in_64bit_code(const struct vcpu *vcpu);
bool vmx_vcpu_in_32bit_code(const struct vcpu *vcpu);
unsigned vmx_vcpu_cpl(const struct vcpu *vcpu);
bool vmx_vcpu_set_cr0(struct vcpu *vcpu, uint64_t value);
bool vmx_vcpu_set_cr4(struct vcpu *vcpu, uint64_t value, uint64_t allowed);
void vmx_vcpu_set_cr2(struct vcpu *vcpu, uint64_t value);
void vmx_vcpu_set_dr6(struct vcpu *vcpu, uint64_t value);
unsigned vmx_vcpu_read_msr(struct vcpu *vcpu, uint32_t index);
bool vmx_vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);
bool vmx_vcpu_set_xcr0(struct vcpu *vcpu, uint64_t value);
uint64_t vmx_vcpu_xcr0(const struct vcpu *vcpu);
bool vmx_vcpu_kept_pdpte(const struct vcpu *vcpu, unsigned index, uint64_t *entry);

/* For calibration (struct backend). */
void vmx_bare_set(struct vcpu *vcpu, const struct bare_setting *setting);
uint64_t vmx_bare_run(struct vcpu *vcpu, const struct bare_setting *setting);

#endif
