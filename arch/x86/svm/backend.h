/* What the files of the SVM backend share. */
#ifndef ARCH_X86_SVM_BACKEND_H
#define ARCH_X86_SVM_BACKEND_H

#include "arch/x86/backend.h"
#include "arch/x86/hands.h"
#include "arch/x86/svm/switch.h"
#include "arch/x86/svm/vmcb.h"

struct svm_features {
    bool next_rip, flush_by_asid, clean_bits, decode_assists;
    uint32_t asids;
    uint64_t efer_bits; /* that a guest may set */
};
extern struct svm_features svm_features;

/* The clean bits of a VMCB in which nothing was changed: all but the intercepts, which share theirs with the
 * TSC offset. */
extern uint32_t svm_all_clean;

struct vcpu_backend {
    struct svm_switch entry;
    struct vcpu *vcpu;
    struct vmcb *vmcb;
    int64_t entry_cost; /* E of this entry */
    uint64_t entry_rip; /* where the guest went on at this entry */
    uint32_t dirty;     /* VMCB parts changed since the last entry (clean bits) */
    bool inject;        /* this entry delivers an event */
    uint8_t after;      /* what the exit of this entry has to see to: AFTER_X */
    bool window;        /* the VMCB asks for an interrupt window */
    uint8_t nmi;        /* enum nmi_stage */
    struct {
        uint64_t rip, rsp, cs_base, rflags;
    } iret; /* where the guest stood when it came to IRET: valid in NMI_IRET */
    struct hands hands;
};

#define SVM_ALL_DIRTY UINT32_MAX
#define AFTER_ARMED   BIT(0) /* the timer was armed */
#define AFTER_SHADOW  BIT(1) /* a shadow was asked for, which this CPU ignores (struct switch_figures) */
#define AFTER_IRET    BIT(2) /* the IRET of an NMI's handler was to be executed */

/* A guest's NMI: its handler's IRET is intercepted; it has come, and is the next instruction. */
enum nmi_stage { NMI_NONE, NMI_HANDLER, NMI_IRET };

/* Parts of the VMCB were changed. */
static inline void svm_dirty(struct vcpu *vcpu, uint32_t parts)
{
    vcpu->backend->dirty |= parts;
    vcpu->attention = true;
}

/* state.c and vcpu.c: what stands in svm_backend. */
void svm_vcpu_create(struct vcpu *vcpu, struct nested *nested);
void svm_vcpu_reset(struct vcpu *vcpu);
void svm_vcpu_switch(struct vcpu *from, struct vcpu *to);
void svm_vcpu_arm_by(enum lapic_way way);
void svm_vcpu_use_guards(void);
void svm_vcpu_hold_host(void);
void svm_vcpu_release_host(void);
void svm_vcpu_enter(struct vcpu *vcpu, uint64_t tsc, uint64_t distance);
uint64_t svm_vcpu_exit_code(const struct vcpu *vcpu);
/* What CPUs check at an entry; NULL: nothing is wrong. */
const char *svm_find_fault(const struct vcpu *vcpu);
void svm_vcpu_gather(const struct vcpu *vcpu);
bool svm_vcpu_in_nmi(const struct vcpu *vcpu);
void svm_vcpu_get_control(const struct vcpu *vcpu, struct vcpu_control *control);
void svm_vcpu_set_control(struct vcpu *vcpu, const struct vcpu_control *control);
void svm_vcpu_get_segment(const struct vcpu *vcpu, enum segment_name name, struct vcpu_segment *segment);
uint64_t svm_vcpu_cr0(const struct vcpu *vcpu);
uint64_t svm_vcpu_cr3(const struct vcpu *vcpu);
uint64_t svm_vcpu_cr4(const struct vcpu *vcpu);
uint64_t svm_vcpu_efer(const struct vcpu *vcpu);
uint64_t svm_vcpu_dr6(const struct vcpu *vcpu);
uint64_t svm_vcpu_cs_base(const struct vcpu *vcpu);
bool svm_vcpu_in_64bit_code(const struct vcpu *vcpu);
bool svm_vcpu_in_32bit_code(const struct vcpu *vcpu);
unsigned svm_vcpu_cpl(const struct vcpu *vcpu);
bool svm_vcpu_set_cr0(struct vcpu *vcpu, uint64_t value);
bool svm_vcpu_set_cr4(struct vcpu *vcpu, uint64_t value, uint64_t allowed);
void svm_vcpu_set_cr2(struct vcpu *vcpu, uint64_t value);
void svm_vcpu_set_dr6(struct vcpu *vcpu, uint64_t value);
unsigned svm_vcpu_read_msr(struct vcpu *vcpu, uint32_t index);
bool svm_vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);
bool svm_vcpu_set_xcr0(struct vcpu *vcpu, uint64_t value);
uint64_t svm_vcpu_xcr0(const struct vcpu *vcpu);

/* For calibration (struct backend). */
void svm_bare_set(struct vcpu *vcpu, const struct bare_setting *setting);
uint64_t svm_bare_run(struct vcpu *vcpu, const struct bare_setting *setting);

enum exit_class svm_exit_class(const struct vmcb *vmcb);

#endif
