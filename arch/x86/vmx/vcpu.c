/*
 * The vCPU of VT-x: creation, reset, the change of hands. Contract: api/vcpu.h. Entries are in entry.c, what
 * follows an exit in exit.c. Source: Intel SDM vol. 3, "Virtual Machine Control Structures".
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/paging.h"
#include "arch/x86/speculation.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmx/backend.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/string.h"

#define RFLAGS_RESERVED BIT64(1)
#define DR6_RESET       0xFFFF0FF0u
#define DR7_RESET       0x400u
#define PAT_RESET       0x0007040600070406u
#define NO_LINK         UINT64_MAX
#define EPT_WALK_LENGTH (UINT64_C(3) << 3)
#define EPT_MEMORY_WB   UINT64_C(6)
#define EPTP_AD         BIT64(6)
/* TSC cycles, beside what the CPU adds itself, that one instruction may keep all interrupts waiting. */
#define NOTIFY_WINDOW 0x20000u

PER_CPU const struct vcpu *vmx_selected;
static PER_CPU struct vcpu *holder; /* whose state the CPU's own registers hold */

void vmx_make_current(const struct vcpu *vcpu)
{
    __asm__ volatile("vmptrld %0" : : "m"(vcpu->backend->vmcs) : "cc", "memory");
    vmx_selected = vcpu;
}

void vmx_select_holder(void)
{
    if (holder)
        vmx_select(holder);
}

bool vmx_holds(const struct vcpu *vcpu)
{
    return holder == vcpu;
}

/* ---- creation and reset ---- */

static void place_registers(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;

    for (unsigned i = 0; i < REG_COUNT; i++)
        vcpu->gpr[i] = &backend->entry.gpr[i];
    vcpu->gpr[REG_RSP] = &backend->rsp;
    vcpu->rip = &backend->rip;
    vcpu->rflags = &backend->rflags;
    vcpu->shadow = &backend->shadow;
}

/* GDTR, IDTR, TR and the stack stay where they are for the life of the monitor; CR3 too. */
static void write_host_state(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdtr, idtr;

    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
    vmx_write(VMCS_HOST_CS, SELECTOR_CODE);
    vmx_write(VMCS_HOST_SS, SELECTOR_DATA);
    vmx_write(VMCS_HOST_DS, SELECTOR_DATA);
    vmx_write(VMCS_HOST_ES, SELECTOR_DATA);
    vmx_write(VMCS_HOST_FS, 0);
    vmx_write(VMCS_HOST_GS, 0);
    vmx_write(VMCS_HOST_TR, SELECTOR_TSS);
    vmx_write(VMCS_HOST_CR0, read_cr0());
    vmx_write(VMCS_HOST_CR3, read_cr3());
    vmx_write(VMCS_HOST_CR4, read_cr4());
    vmx_write(VMCS_HOST_FS_BASE, 0);
    vmx_write(VMCS_HOST_GS_BASE, 0);
    vmx_write(VMCS_HOST_TR_BASE, trap_tss_base());
    vmx_write(VMCS_HOST_GDTR_BASE, gdtr.base);
    vmx_write(VMCS_HOST_IDTR_BASE, idtr.base);
    vmx_write(VMCS_HOST_SYSENTER_CS, 0);
    vmx_write(VMCS_HOST_SYSENTER_ESP, 0);
    vmx_write(VMCS_HOST_SYSENTER_EIP, 0);
    vmx_write(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmx_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    vmx_write(VMCS_HOST_RIP,
              (uint64_t)(uintptr_t)(speculation.guards ? vmx_exit_point_guarded : vmx_exit_point));
}

void vmx_vcpu_create(struct vcpu *vcpu, struct nested *nested)
{
    struct vcpu_backend *backend = phys_alloc_own(sizeof *backend);
    uint32_t *region = phys_alloc_own(PAGE_SIZE);

    _Static_assert(sizeof *backend <= PAGE_SIZE, "vcpu_backend fits a page");
    vcpu->backend = backend;
    vcpu->nested = nested;
    backend->vcpu = vcpu;
    nested->attention = &vcpu->attention;
    *region = vmx_features.revision;
    backend->vmcs = virt_to_phys(region);
    hands_create(&backend->hands);
    backend->entry.timer_register = host_lapic_initial_count();
    place_registers(vcpu);
    vmx_vcpu_reset(vcpu);
}

static void reset_controls(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;

    backend->cpu_controls = vmx_controls.cpu;
    vmx_write(VMCS_PIN_CONTROLS, preemption_timer.spared != PREEMPTION_UNUSED
                                     ? vmx_controls.pin
                                     : vmx_controls.pin & ~PIN_PREEMPTION_TIMER);
    backend->held_run = VMX_TIMER_RESTS;
    if (preemption_timer.spared != PREEMPTION_UNUSED)
        vmx_write(VMCS_PREEMPTION_TIMER, UINT32_MAX);
    if (vmx_controls.cpu2 & CPU2_ENCLS)
        vmx_write(VMCS_ENCLS_BITMAP, UINT64_MAX);
    if (vmx_controls.cpu2 & CPU2_NOTIFY_WINDOW)
        vmx_write(VMCS_NOTIFY_WINDOW, NOTIFY_WINDOW);
    vmx_write(VMCS_CPU_CONTROLS, backend->cpu_controls);
    vmx_write(VMCS_CPU_CONTROLS2, vmx_controls.cpu2);
    vmx_write(VMCS_EXIT_CONTROLS, vmx_controls.exit);
    vmx_write(VMCS_EXCEPTIONS, VMX_EXCEPTIONS);
    vmx_write(VMCS_PF_ERROR_MASK, 0);
    vmx_write(VMCS_PF_ERROR_MATCH, 0);
    vmx_write(VMCS_CR3_TARGETS, 0);
    vmx_write(VMCS_EXIT_MSR_STORES, 0);
    vmx_write(VMCS_EXIT_MSR_LOADS, 0);
    vmx_write(VMCS_ENTRY_MSR_LOADS, 0);
    vmx_write(VMCS_ENTRY_EVENT, 0);
    vmx_write(VMCS_TPR_THRESHOLD, 0);
    vmx_write(VMCS_VIRTUAL_APIC, vmx_virtual_apic());
    vmx_write(VMCS_MSR_BITMAP, vmx_msr_bitmap());
    vmx_write(VMCS_EPT_POINTER, vcpu->nested->root | EPT_WALK_LENGTH | EPT_MEMORY_WB |
                                    (vmx_features.ept_accessed_dirty ? EPTP_AD : 0));
    if (vmx_features.vpid)
        vmx_write(VMCS_VPID, vcpu->nested->tag);
    vmx_write(VMCS_CR0_MASK, ~(CR0_MP | CR0_TS));
    vmx_write(VMCS_CR4_MASK, UINT64_MAX);
    vmx_write(VMCS_LINK_POINTER, NO_LINK);
}

/* The next entry is by VMLAUNCH. */
static void clear(struct vcpu *vcpu)
{
    __asm__ volatile("vmclear %0" : : "m"(vcpu->backend->vmcs) : "cc", "memory");
    vmx_make_current(vcpu);
    vcpu->backend->launched = false;
}

void vmx_vcpu_reset(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;
    const struct vcpu_control control = {.cr0 = CR0_ET, .dr6 = DR6_RESET, .dr7 = DR7_RESET};

    clear(vcpu);
    write_host_state();
    backend->entry.host_rsp = 0;
    reset_controls(vcpu);
    memset(backend->entry.gpr, 0, sizeof backend->entry.gpr);
    memset(backend->syscall, 0, sizeof backend->syscall);
    backend->rip = backend->rsp = backend->shadow = 0;
    backend->rflags = RFLAGS_RESERVED;
    backend->held_rip = backend->held_rsp = backend->held_rflags = UINT64_MAX;
    backend->held_shadow = 0;
    vmx_write(VMCS_GUEST_SHADOW, 0);
    vmx_vcpu_set_control(vcpu, &control);
    vmx_write(VMCS_GUEST_DEBUGCTL, 0);
    vmx_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmx_write(VMCS_GUEST_ACTIVITY, 0);
    vmx_write(VMCS_GUEST_SYSENTER_CS, 0);
    vmx_write(VMCS_GUEST_SYSENTER_ESP, 0);
    vmx_write(VMCS_GUEST_SYSENTER_EIP, 0);
    vmx_write(VMCS_GUEST_PAT, PAT_RESET);
    vcpu->window = vcpu->nmi_window = false;
    vcpu->event = (struct vcpu_event){0};
    vcpu->memo.rip = INSTRUCTION_MEMO_NONE;
    hands_reset(&backend->hands);
    if (holder == vcpu) {
        hands_load(&backend->hands);
        for (unsigned i = 0; i < SYSCALL_MSRS; i++)
            wrmsr(vmx_syscall_msrs[i], 0);
    }
    backend->inject = false;
    nested_owe_flush(vcpu->nested);
}

/* ---- the change of hands ---- */

static void save_hands(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;

    hands_save(&backend->hands);
    for (unsigned i = 0; i < SYSCALL_MSRS; i++)
        backend->syscall[i] = rdmsr(vmx_syscall_msrs[i]);
    backend->dr6 = vmx_vcpu_dr6(vcpu);
    backend->cr2 = read_cr2();
}

static void load_hands(struct vcpu *vcpu)
{
    const struct vcpu_backend *backend = vcpu->backend;

    hands_load(&backend->hands);
    for (unsigned i = 0; i < SYSCALL_MSRS; i++)
        wrmsr(vmx_syscall_msrs[i], backend->syscall[i]);
    write_cr2(backend->cr2);
    __asm__ volatile("mov %0, %%db6" : : "r"(backend->dr6));
}

void vmx_vcpu_switch(struct vcpu *from, struct vcpu *to)
{
    if (from) {
        save_hands(from);
        hands_forget_branches();
    }
    holder = NULL;
    load_hands(to);
    holder = to;
    vmx_select(to);
    to->backend->cold = true;
    if (to->nested->shared_tag)
        nested_owe_flush(to->nested);
    to->attention = true;
}
