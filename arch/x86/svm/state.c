/*
 * Reading and setting a vCPU's state in the VMCB, for loaders, handlers and debuggers alike. Contract:
 * api/vcpu.h. Each setter names the VMCB parts that it makes dirty (AMD64 APM vol. 2 "VMCB State Caching").
 */
#include "arch/x86/asm.h"
#include "arch/x86/control.h"
#include "arch/x86/svm/backend.h"
#include "arch/x86/svm/svm.h"

static struct vmcb_segment *segment_of(struct vmcb *vmcb, enum segment_name name)
{
    switch (name) {
    case SEGMENT_ES:
        return &vmcb->es;
    case SEGMENT_CS:
        return &vmcb->cs;
    case SEGMENT_SS:
        return &vmcb->ss;
    case SEGMENT_DS:
        return &vmcb->ds;
    case SEGMENT_FS:
        return &vmcb->fs;
    case SEGMENT_GS:
        return &vmcb->gs;
    case SEGMENT_LDTR:
        return &vmcb->ldtr;
    default:
        return &vmcb->tr;
    }
}

void svm_vcpu_get_segment(const struct vcpu *vcpu, enum segment_name name, struct vcpu_segment *segment)
{
    const struct vmcb_segment *from = segment_of(vcpu->backend->vmcb, name);

    *segment = (struct vcpu_segment){from->base, from->limit, from->selector, from->attributes};
}

void svm_vcpu_get_control(const struct vcpu *vcpu, struct vcpu_control *control)
{
    const struct vmcb *vmcb = vcpu->backend->vmcb;

    control->cr0 = vmcb->cr0;
    control->cr2 = vmcb->cr2;
    control->cr3 = vmcb->cr3;
    control->cr4 = vmcb->cr4;
    control->efer = vmcb->efer & ~EFER_SVME;
    control->dr6 = vmcb->dr6;
    control->dr7 = vmcb->dr7;
    control->gdtr = (struct vcpu_table){vmcb->gdtr.base, vmcb->gdtr.limit};
    control->idtr = (struct vcpu_table){vmcb->idtr.base, vmcb->idtr.limit};
    for (unsigned name = 0; name < SEGMENT_COUNT; name++)
        svm_vcpu_get_segment(vcpu, (enum segment_name)name, &control->segments[name]);
}

void svm_vcpu_set_control(struct vcpu *vcpu, const struct vcpu_control *control)
{
    struct vmcb *vmcb = vcpu->backend->vmcb;

    vmcb->cr0 = control->cr0;
    vmcb->cr2 = control->cr2;
    vmcb->cr3 = control->cr3;
    vmcb->cr4 = control->cr4;
    vmcb->efer = control->efer | EFER_SVME;
    vmcb->dr6 = control->dr6;
    vmcb->dr7 = control->dr7;
    vmcb->gdtr.base = control->gdtr.base;
    vmcb->gdtr.limit = control->gdtr.limit;
    vmcb->idtr.base = control->idtr.base;
    vmcb->idtr.limit = control->idtr.limit;
    for (unsigned name = 0; name < SEGMENT_COUNT; name++) {
        struct vmcb_segment *to = segment_of(vmcb, (enum segment_name)name);
        const struct vcpu_segment *from = &control->segments[name];

        *to = (struct vmcb_segment){from->selector, from->attributes, from->limit, from->base};
    }
    vmcb->cpl = (uint8_t)(control->segments[SEGMENT_SS].attributes >> 5 & 3);
    svm_dirty(vcpu, SVM_ALL_DIRTY);
    nested_owe_flush(vcpu->nested);
}

uint64_t svm_vcpu_cr0(const struct vcpu *vcpu)
{
    return vcpu->backend->vmcb->cr0;
}

uint64_t svm_vcpu_cr3(const struct vcpu *vcpu)
{
    return vcpu->backend->vmcb->cr3;
}

uint64_t svm_vcpu_cr4(const struct vcpu *vcpu)
{
    return vcpu->backend->vmcb->cr4;
}

uint64_t svm_vcpu_efer(const struct vcpu *vcpu)
{
    return vcpu->backend->vmcb->efer & ~EFER_SVME;
}

uint64_t svm_vcpu_dr6(const struct vcpu *vcpu)
{
    return vcpu->backend->vmcb->dr6;
}

uint64_t svm_vcpu_cs_base(const struct vcpu *vcpu)
{
    return svm_vcpu_in_64bit_code(vcpu) ? 0 : vcpu->backend->vmcb->cs.base;
}

bool svm_vcpu_in_64bit_code(const struct vcpu *vcpu)
{
    const struct vmcb *vmcb = vcpu->backend->vmcb;

    return vmcb->efer & EFER_LMA && vmcb->cs.attributes & SEGMENT_ATTRIBUTE_L;
}

bool svm_vcpu_in_32bit_code(const struct vcpu *vcpu)
{
    return vcpu->backend->vmcb->cs.attributes & SEGMENT_ATTRIBUTE_DB;
}

unsigned svm_vcpu_cpl(const struct vcpu *vcpu)
{
    return vcpu->backend->vmcb->cpl;
}

static struct control_state control_state(const struct vmcb *vmcb)
{
    return (struct control_state){.cr0 = vmcb->cr0,
                                  .cr3 = vmcb->cr3,
                                  .cr4 = vmcb->cr4,
                                  .efer = vmcb->efer & ~EFER_SVME,
                                  .long_code_segment = vmcb->cs.attributes & SEGMENT_ATTRIBUTE_L};
}

bool svm_vcpu_set_cr0(struct vcpu *vcpu, uint64_t value)
{
    struct vmcb *vmcb = vcpu->backend->vmcb;
    struct control_state now = control_state(vmcb);
    uint64_t efer;

    if (!control_write_cr0(&now, value, &vmcb->cr0, &efer))
        return false;
    vmcb->efer = efer | EFER_SVME;
    svm_dirty(vcpu, CLEAN_CR);
    nested_owe_flush(vcpu->nested);
    return true;
}

bool svm_vcpu_set_cr4(struct vcpu *vcpu, uint64_t value, uint64_t allowed)
{
    struct vmcb *vmcb = vcpu->backend->vmcb;
    struct control_state now = control_state(vmcb);

    if (!control_write_cr4(&now, value, allowed))
        return false;
    vmcb->cr4 = value;
    svm_dirty(vcpu, CLEAN_CR);
    nested_owe_flush(vcpu->nested);
    return true;
}

void svm_vcpu_set_cr2(struct vcpu *vcpu, uint64_t value)
{
    vcpu->backend->vmcb->cr2 = value;
    write_cr2(value); /* VMRUN of Bochs 2.7 doesn't load it */
    svm_dirty(vcpu, CLEAN_CR2);
}

void svm_vcpu_set_dr6(struct vcpu *vcpu, uint64_t value)
{
    vcpu->backend->vmcb->dr6 = value;
    svm_dirty(vcpu, CLEAN_DR);
}

static uint64_t *msr_slot(struct vcpu_backend *backend, uint32_t index)
{
    struct vmcb *vmcb = backend->vmcb;

    switch (index) {
    case MSR_STAR:
        return &vmcb->star;
    case MSR_LSTAR:
        return &vmcb->lstar;
    case MSR_CSTAR:
        return &vmcb->cstar;
    case MSR_SFMASK:
        return &vmcb->sfmask;
    case MSR_KERNEL_GS_BASE:
        return &vmcb->kernel_gs_base;
    case MSR_FS_BASE:
        return &vmcb->fs.base;
    case MSR_GS_BASE:
        return &vmcb->gs.base;
    case MSR_SYSENTER_CS:
        return &vmcb->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &vmcb->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &vmcb->sysenter_eip;
    case MSR_PAT:
        return &vmcb->g_pat;
    default:
        return NULL;
    }
}

static inline unsigned give_msr(struct vcpu *vcpu, uint64_t value)
{
    *vcpu->gpr[REG_RAX] = (uint32_t)value;
    *vcpu->gpr[REG_RDX] = value >> 32;
    return VCPU_DONE;
}

static __attribute__((noinline)) unsigned read_other_msr(struct vcpu *vcpu, uint32_t index)
{
    if (index == MSR_TSC_AUX)
        return give_msr(vcpu, hands_read_tsc_aux());
    const uint64_t *slot = msr_slot(vcpu->backend, index);
    return give_msr(vcpu, slot ? *slot : 0);
}

unsigned svm_vcpu_read_msr(struct vcpu *vcpu, uint32_t index)
{
    if (index == MSR_EFER)
        return give_msr(vcpu, vcpu->backend->vmcb->efer & ~EFER_SVME);
    return read_other_msr(vcpu, index);
}

static bool set_efer(struct vcpu *vcpu, uint64_t value)
{
    struct vmcb *vmcb = vcpu->backend->vmcb;
    struct control_state now = control_state(vmcb);
    uint64_t efer;

    if (!control_write_efer(&now, value, svm_features.efer_bits, &efer))
        return false;
    vmcb->efer = efer | EFER_SVME;
    svm_dirty(vcpu, CLEAN_CR);
    nested_owe_flush(vcpu->nested); /* NXE changes what the guest's entries mean */
    return true;
}

bool svm_vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    struct vcpu_backend *backend = vcpu->backend;

    if (index == MSR_EFER)
        return set_efer(vcpu, value);
    if (index == MSR_TSC_AUX) {
        if (value >> 32)
            return false;
        hands_write_tsc_aux(value);
        return true;
    }
    if (index == MSR_PAT) {
        if (!control_pat_valid(value))
            return false;
        backend->vmcb->g_pat = value;
        svm_dirty(vcpu, CLEAN_NP);
        return true;
    }
    uint64_t *slot = msr_slot(backend, index);
    if (!slot)
        return false;
    if (index != MSR_STAR && index != MSR_SFMASK && index != MSR_SYSENTER_CS && !control_canonical(value))
        return false;
    *slot = value;
    svm_dirty(vcpu, CLEAN_SEG);
    return true;
}

uint64_t svm_vcpu_xcr0(const struct vcpu *vcpu)
{
    return vcpu->backend->hands.xcr0;
}

bool svm_vcpu_set_xcr0(struct vcpu *vcpu, uint64_t value)
{
    return hands_set_xcr0(&vcpu->backend->hands, value);
}
