/*
 * Reading and setting a vCPU's state in the VMCS, for loaders, handlers and debuggers alike. Contract:
 * api/vcpu.h. CR0 and CR4 are owned by the monitor but for CR0's MP and TS: the guest reads the shadows, the
 * real registers have what VT-x needs besides. Source: Intel SDM vol. 3, "Guest-State Area", "Guest/Host
 * Masks and Read Shadows for CR0 and CR4".
 */
#include "arch/x86/asm.h"
#include "arch/x86/control.h"
#include "arch/x86/paging.h"
#include "arch/x86/vmx/backend.h"
#include "arch/x86/vmx/vmx.h"

#define CR0_GUESTS (CR0_MP | CR0_TS)
/* MOV CR0 and MOV CR4 that change one of these load the entries of PAE paging. */
#define CR0_RELOADS     (CR0_CD | CR0_NW | CR0_PG)
#define CR4_RELOADS     (CR4_PAE | CR4_SMEP | BIT64(7) | BIT64(4)) /* and PGE, PSE */
#define TYPE_TSS16_BUSY 3u

/* Attributes of api/vcpu.h and access rights of the VMCS: bits 8 to 11 stand at 12 to 15 there. */
static uint32_t rights_of(uint16_t attributes)
{
    uint32_t rights = (attributes & 0xFFu) | (attributes & 0xF00u) << 4;

    return attributes & BIT(7) ? rights : rights | RIGHTS_UNUSABLE;
}

static uint16_t attributes_of(uint64_t rights)
{
    uint16_t attributes = (rights & 0xFF) | (rights >> 4 & 0xF00);

    return rights & RIGHTS_UNUSABLE ? attributes & (uint16_t)~BIT(7) : attributes;
}

void vmx_vcpu_get_segment(const struct vcpu *vcpu, enum segment_name name, struct vcpu_segment *segment)
{
    vmx_select(vcpu);
    *segment = (struct vcpu_segment){.base = vmx_read(VMCS_GUEST_ES_BASE + 2 * name),
                                     .limit = (uint32_t)vmx_read(VMCS_GUEST_ES_LIMIT + 2 * name),
                                     .selector = (uint16_t)vmx_read(VMCS_GUEST_ES + 2 * name),
                                     .attributes = attributes_of(vmx_read(VMCS_GUEST_ES_RIGHTS + 2 * name))};
}

uint64_t vmx_vcpu_cr0(const struct vcpu *vcpu)
{
    vmx_select(vcpu);
    return (vmx_read(VMCS_CR0_SHADOW) & ~CR0_GUESTS) | (vmx_read(VMCS_GUEST_CR0) & CR0_GUESTS);
}

uint64_t vmx_vcpu_cr3(const struct vcpu *vcpu)
{
    vmx_select(vcpu);
    return vmx_read(VMCS_GUEST_CR3);
}

uint64_t vmx_vcpu_cr4(const struct vcpu *vcpu)
{
    vmx_select(vcpu);
    return vmx_read(VMCS_CR4_SHADOW);
}

uint64_t vmx_vcpu_efer(const struct vcpu *vcpu)
{
    vmx_select(vcpu);
    return vmx_read(VMCS_GUEST_EFER);
}

static uint64_t read_dr6(void)
{
    uint64_t value;

    __asm__ volatile("mov %%db6, %0" : "=r"(value));
    return value;
}

uint64_t vmx_vcpu_dr6(const struct vcpu *vcpu)
{
    return vmx_holds(vcpu) ? read_dr6() : vcpu->backend->dr6;
}

static uint64_t code_rights(const struct vcpu *vcpu)
{
    vmx_select(vcpu);
    return vmx_read(VMCS_GUEST_ES_RIGHTS + 2 * SEGMENT_CS);
}

bool vmx_vcpu_in_64bit_code(const struct vcpu *vcpu)
{
    return code_rights(vcpu) & BIT(13) && vmx_vcpu_efer(vcpu) & EFER_LMA;
}

bool vmx_vcpu_in_32bit_code(const struct vcpu *vcpu)
{
    return code_rights(vcpu) & BIT(14);
}

uint64_t vmx_vcpu_cs_base(const struct vcpu *vcpu)
{
    return vmx_vcpu_in_64bit_code(vcpu) ? 0 : vmx_read(VMCS_GUEST_ES_BASE + 2 * SEGMENT_CS);
}

unsigned vmx_vcpu_cpl(const struct vcpu *vcpu)
{
    vmx_select(vcpu);
    return vmx_read(VMCS_GUEST_ES_RIGHTS + 2 * SEGMENT_SS) >> 5 & 3;
}

static void set_real_cr0(uint64_t value)
{
    uint64_t real = value & ~(CR0_CD | CR0_NW); /* memory types are the host's */

    /* an unrestricted guest is free of PE and PG */
    real |= vmx_features.cr0_fixed0 & ~(CR0_PE | CR0_PG);
    vmx_write(VMCS_GUEST_CR0, real);
    vmx_write(VMCS_CR0_SHADOW, value);
}

static void set_real_cr4(uint64_t value)
{
    /* with the host's MCE: a machine check would shut the CPU down else */
    vmx_write(VMCS_GUEST_CR4, value | vmx_features.cr4_fixed0 | (read_cr4() & CR4_MCE));
    vmx_write(VMCS_CR4_SHADOW, value);
}

/* The entry control says what EFER.LMA says. */
static void write_efer(uint64_t value)
{
    vmx_write(VMCS_GUEST_EFER, value);
    vmx_write(VMCS_ENTRY_CONTROLS, vmx_controls.entry | (value & EFER_LMA ? ENTRY_GUEST_64BIT : 0));
}

static struct control_state control_state(const struct vcpu *vcpu)
{
    vmx_select(vcpu);
    uint64_t tr = vmx_read(VMCS_GUEST_ES_RIGHTS + 2 * SEGMENT_TR);

    return (struct control_state){.cr0 = vmx_vcpu_cr0(vcpu),
                                  .cr3 = vmx_vcpu_cr3(vcpu),
                                  .cr4 = vmx_vcpu_cr4(vcpu),
                                  .efer = vmx_vcpu_efer(vcpu),
                                  .long_code_segment = code_rights(vcpu) & BIT(13),
                                  .short_tss = (tr & 0xF) == TYPE_TSS16_BUSY};
}

/*
 * PAE paging outside long mode has four entries that the CPU keeps: MOV CR3 loads them from memory, MOV CR0
 * and CR4 do when they change certain bits, and a VM entry takes them from the VMCS (SDM vol. 3, "PDPTE
 * Registers", "Loading Page-Directory-Pointer-Table Entries").
 */
static const uint64_t *pdptes(const struct vcpu *vcpu, uint64_t cr3)
{
    return nested_pointer(vcpu->nested, cr3 & 0xFFFFFFE0);
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LMA);
}

/* An entry that is present with a reserved bit gives #GP, and so does a table where no memory is, which reads
 * as all ones. */
static bool pdptes_good(const struct vcpu *vcpu, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    const uint64_t *entries = pdptes(vcpu, vmx_vcpu_cr3(vcpu));

    for (unsigned i = 0; i < 4 && pae_paging(cr0, cr4, efer); i++)
        if (!entries || (entries[i] & PTE_P && entries[i] & vmx_features.pdpte_reserved))
            return false;
    return true;
}

static void load_pdptes(struct vcpu *vcpu)
{
    const uint64_t *entries = pdptes(vcpu, vmx_read(VMCS_GUEST_CR3));

    if (!pae_paging(vmx_read(VMCS_CR0_SHADOW), vmx_read(VMCS_CR4_SHADOW), vmx_read(VMCS_GUEST_EFER)))
        return;
    for (unsigned i = 0; i < 4; i++)
        vmx_write(VMCS_GUEST_PDPTE0 + 2 * i, entries ? entries[i] : 0);
}

bool vmx_vcpu_kept_pdpte(const struct vcpu *vcpu, unsigned index, uint64_t *entry)
{
    vmx_select(vcpu);
    *entry = vmx_read(VMCS_GUEST_PDPTE0 + 2 * index);
    return true;
}

bool vmx_vcpu_set_cr0(struct vcpu *vcpu, uint64_t value)
{
    struct control_state now = control_state(vcpu);
    uint64_t cr0, efer;

    if (!control_write_cr0(&now, value, &cr0, &efer))
        return false;
    bool reloads = (cr0 ^ now.cr0) & CR0_RELOADS;
    if (reloads && !pdptes_good(vcpu, cr0, now.cr4, efer))
        return false;
    set_real_cr0(cr0);
    write_efer(efer);
    if (reloads)
        load_pdptes(vcpu);
    nested_owe_flush(vcpu->nested);
    return true;
}

bool vmx_vcpu_set_cr4(struct vcpu *vcpu, uint64_t value, uint64_t allowed)
{
    struct control_state now = control_state(vcpu);

    bool reloads = (value ^ now.cr4) & CR4_RELOADS;

    if (!control_write_cr4(&now, value, allowed) || (reloads && !pdptes_good(vcpu, now.cr0, value, now.efer)))
        return false;
    set_real_cr4(value);
    if (reloads)
        load_pdptes(vcpu);
    nested_owe_flush(vcpu->nested);
    return true;
}

void vmx_vcpu_set_cr2(struct vcpu *vcpu, uint64_t value)
{
    if (vmx_holds(vcpu))
        write_cr2(value);
    vcpu->backend->cr2 = value;
}

void vmx_vcpu_set_dr6(struct vcpu *vcpu, uint64_t value)
{
    if (vmx_holds(vcpu))
        __asm__ volatile("mov %0, %%db6" : : "r"(value));
    vcpu->backend->dr6 = value;
}

void vmx_vcpu_get_control(const struct vcpu *vcpu, struct vcpu_control *control)
{
    control->cr0 = vmx_vcpu_cr0(vcpu);
    control->cr2 = vmx_holds(vcpu) ? read_cr2() : vcpu->backend->cr2;
    control->cr3 = vmx_vcpu_cr3(vcpu);
    control->cr4 = vmx_vcpu_cr4(vcpu);
    control->efer = vmx_vcpu_efer(vcpu);
    control->dr6 = vmx_vcpu_dr6(vcpu);
    control->dr7 = vmx_read(VMCS_GUEST_DR7);
    control->gdtr =
        (struct vcpu_table){vmx_read(VMCS_GUEST_GDTR_BASE), (uint32_t)vmx_read(VMCS_GUEST_GDTR_LIMIT)};
    control->idtr =
        (struct vcpu_table){vmx_read(VMCS_GUEST_IDTR_BASE), (uint32_t)vmx_read(VMCS_GUEST_IDTR_LIMIT)};
    for (unsigned name = 0; name < SEGMENT_COUNT; name++)
        vmx_vcpu_get_segment(vcpu, (enum segment_name)name, &control->segments[name]);
}

void vmx_vcpu_set_control(struct vcpu *vcpu, const struct vcpu_control *control)
{
    vmx_select(vcpu);
    set_real_cr0(control->cr0);
    set_real_cr4(control->cr4);
    write_efer(control->efer);
    vmx_write(VMCS_GUEST_CR3, control->cr3);
    vmx_vcpu_set_cr2(vcpu, control->cr2);
    vmx_vcpu_set_dr6(vcpu, control->dr6);
    vmx_write(VMCS_GUEST_DR7, control->dr7);
    vmx_write(VMCS_GUEST_GDTR_BASE, control->gdtr.base);
    vmx_write(VMCS_GUEST_GDTR_LIMIT, control->gdtr.limit);
    vmx_write(VMCS_GUEST_IDTR_BASE, control->idtr.base);
    vmx_write(VMCS_GUEST_IDTR_LIMIT, control->idtr.limit);
    for (unsigned name = 0; name < SEGMENT_COUNT; name++) {
        const struct vcpu_segment *from = &control->segments[name];

        vmx_write(VMCS_GUEST_ES_BASE + 2 * name, from->base);
        vmx_write(VMCS_GUEST_ES_LIMIT + 2 * name, from->limit);
        vmx_write(VMCS_GUEST_ES + 2 * name, from->selector);
        vmx_write(VMCS_GUEST_ES_RIGHTS + 2 * name, rights_of(from->attributes));
    }
    load_pdptes(vcpu);
    nested_owe_flush(vcpu->nested);
}

/* ---- MSRs ---- */

const uint32_t vmx_syscall_msrs[SYSCALL_MSRS] = {
    [SYSCALL_STAR] = MSR_STAR,
    [SYSCALL_LSTAR] = MSR_LSTAR,
    [SYSCALL_CSTAR] = MSR_CSTAR,
    [SYSCALL_SFMASK] = MSR_SFMASK,
    [SYSCALL_KERNEL_GS] = MSR_KERNEL_GS_BASE,
};

static enum vmcs_field field_of_msr(uint32_t index)
{
    switch (index) {
    case MSR_FS_BASE:
        return VMCS_GUEST_FS_BASE;
    case MSR_GS_BASE:
        return VMCS_GUEST_GS_BASE;
    case MSR_SYSENTER_CS:
        return VMCS_GUEST_SYSENTER_CS;
    case MSR_SYSENTER_ESP:
        return VMCS_GUEST_SYSENTER_ESP;
    case MSR_SYSENTER_EIP:
        return VMCS_GUEST_SYSENTER_EIP;
    case MSR_PAT:
        return VMCS_GUEST_PAT;
    case MSR_EFER:
        return VMCS_GUEST_EFER;
    default:
        return VMCS_VPID; /* none: no MSR stands there */
    }
}

static uint64_t *syscall_slot(struct vcpu *vcpu, uint32_t index)
{
    for (unsigned i = 0; i < SYSCALL_MSRS; i++)
        if (vmx_syscall_msrs[i] == index)
            return &vcpu->backend->syscall[i];
    return NULL;
}

static uint64_t read_msr(struct vcpu *vcpu, uint32_t index)
{
    if (index == MSR_EFER) /* with PAT and TSC_AUX, all that a guest's RDMSR exits for */
        return vmx_vcpu_efer(vcpu);
    if (index == MSR_TSC_AUX)
        return hands_read_tsc_aux();
    enum vmcs_field field = field_of_msr(index);
    if (field != VMCS_VPID) {
        vmx_select(vcpu);
        return vmx_read(field);
    }
    const uint64_t *slot = syscall_slot(vcpu, index);
    if (!slot)
        return 0;
    return vmx_holds(vcpu) ? rdmsr(index) : *slot;
}

unsigned vmx_vcpu_read_msr(struct vcpu *vcpu, uint32_t index)
{
    uint64_t value = read_msr(vcpu, index);

    *vcpu->gpr[REG_RAX] = (uint32_t)value;
    *vcpu->gpr[REG_RDX] = value >> 32;
    return VCPU_DONE;
}

bool vmx_vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    uint64_t *slot = syscall_slot(vcpu, index);
    enum vmcs_field field = field_of_msr(index);

    if (index == MSR_EFER) {
        struct control_state now = control_state(vcpu);
        uint64_t efer;

        if (!control_write_efer(&now, value, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE, &efer))
            return false;
        write_efer(efer);
        nested_owe_flush(vcpu->nested); /* NXE changes what the guest's entries mean */
        return true;
    }
    if (index == MSR_TSC_AUX) {
        if (value >> 32)
            return false;
        hands_write_tsc_aux(value);
        return true;
    }
    if (index == MSR_PAT && !control_pat_valid(value))
        return false;
    if (!slot && field == VMCS_VPID)
        return false;
    if (index != MSR_PAT && index != MSR_STAR && index != MSR_SFMASK && index != MSR_SYSENTER_CS &&
        !control_canonical(value))
        return false;
    if (slot) {
        *slot = value;
        if (vmx_holds(vcpu))
            wrmsr(index, value);
        return true;
    }
    vmx_select(vcpu);
    vmx_write(field, value);
    return true;
}

uint64_t vmx_vcpu_xcr0(const struct vcpu *vcpu)
{
    return vcpu->backend->hands.xcr0;
}

bool vmx_vcpu_set_xcr0(struct vcpu *vcpu, uint64_t value)
{
    return hands_set_xcr0(&vcpu->backend->hands, value);
}
