/*
 * The vCPU of VT-x: creation, reset, the change of hands, and what leads up to an entry. Contract:
 * api/vcpu.h. What follows an exit is in exit.c. Source: Intel SDM vol. 3, "Virtual Machine Control
 * Structures", "VM Entries".
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/paging.h"
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
#define INVEPT_SINGLE   1u
#define INVEPT_ALL      2u
/* #DB and #AC can loop in microcode and lock up the host; #MC is the host's. */
#define EXCEPTIONS (BIT(1) | BIT(17) | BIT(18))

static const struct vcpu *selected; /* whose VMCS is the current one */
static struct vcpu *holder;         /* whose state the CPU's own registers hold */

void vmx_select(const struct vcpu *vcpu)
{
    if (__builtin_expect(selected == vcpu, 1))
        return;
    __asm__ volatile("vmptrld %0" : : "m"(vcpu->backend->vmcs) : "cc", "memory");
    selected = vcpu;
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
    vmx_write(VMCS_HOST_GS_BASE, rdmsr(MSR_GS_BASE));
    vmx_write(VMCS_HOST_TR_BASE, trap_tss_base());
    vmx_write(VMCS_HOST_GDTR_BASE, gdtr.base);
    vmx_write(VMCS_HOST_IDTR_BASE, idtr.base);
    vmx_write(VMCS_HOST_SYSENTER_CS, 0);
    vmx_write(VMCS_HOST_SYSENTER_ESP, 0);
    vmx_write(VMCS_HOST_SYSENTER_EIP, 0);
    vmx_write(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmx_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    vmx_write(VMCS_HOST_RIP, (uint64_t)(uintptr_t)vmx_exit_point);
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
    __asm__ volatile("vmclear %0" : : "m"(backend->vmcs) : "cc", "memory");
    vmx_vcpu_reset(vcpu);
}

static void reset_controls(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;

    backend->cpu_controls = vmx_controls.cpu;
    vmx_write(VMCS_PIN_CONTROLS, vmx_controls.pin & ~PIN_PREEMPTION_TIMER);
    vmx_write(VMCS_CPU_CONTROLS, backend->cpu_controls);
    vmx_write(VMCS_CPU_CONTROLS2, vmx_controls.cpu2);
    vmx_write(VMCS_EXIT_CONTROLS, vmx_controls.exit);
    vmx_write(VMCS_EXCEPTIONS, EXCEPTIONS);
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

void vmx_vcpu_reset(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;
    const struct vcpu_control control = {.cr0 = CR0_ET, .dr6 = DR6_RESET, .dr7 = DR7_RESET};

    vmx_select(vcpu);
    write_host_state();
    backend->entry.host_rsp = 0;
    reset_controls(vcpu);
    memset(backend->entry.gpr, 0, sizeof backend->entry.gpr);
    memset(backend->syscall, 0, sizeof backend->syscall);
    backend->rip = backend->rsp = backend->shadow = 0;
    backend->rflags = RFLAGS_RESERVED;
    backend->held_rip = backend->held_rsp = backend->held_rflags = backend->held_shadow = UINT64_MAX;
    vmx_vcpu_set_control(vcpu, &control);
    vmx_write(VMCS_GUEST_DEBUGCTL, 0);
    vmx_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmx_write(VMCS_GUEST_ACTIVITY, 0);
    vmx_write(VMCS_GUEST_SYSENTER_CS, 0);
    vmx_write(VMCS_GUEST_SYSENTER_ESP, 0);
    vmx_write(VMCS_GUEST_SYSENTER_EIP, 0);
    vmx_write(VMCS_GUEST_PAT, PAT_RESET);
    vcpu->window = false;
    vcpu->event = (struct vcpu_event){0};
    vcpu->memo.rip = INSTRUCTION_MEMO_NONE;
    hands_reset(&backend->hands);
    if (holder == vcpu) {
        hands_load(&backend->hands);
        for (unsigned i = 0; i < SYSCALL_MSRS; i++)
            wrmsr(vmx_syscall_msrs[i], 0);
    }
    backend->window = backend->inject = false;
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
    if (to->nested->shared_tag)
        nested_owe_flush(to->nested);
    to->attention = true;
}

/* ---- what an entry needs beside entering ---- */

/* The entry delivers vcpu->event, or nothing. */
static void place_event(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct vcpu_event event = vcpu->event;

    backend->inject = event.valid;
    backend->entry_cost = figures.entry[event.valid];
    if (!event.valid)
        return;
    vmx_write(VMCS_ENTRY_EVENT, EVENT_VALID | event.vector | (uint32_t)event.type << EVENT_TYPE_SHIFT |
                                    (event.has_error ? EVENT_ERROR_VALID : 0));
    if (event.has_error)
        vmx_write(VMCS_ENTRY_EVENT_ERROR, event.error);
    vcpu->event.valid = false;
}

/* Asks for an exit when the guest can take an interrupt, or no longer. */
static void place_window(struct vcpu *vcpu, bool wanted)
{
    struct vcpu_backend *backend = vcpu->backend;

    if (wanted == backend->window)
        return;
    backend->cpu_controls = wanted ? backend->cpu_controls | CPU_INTERRUPT_WINDOW
                                   : backend->cpu_controls & ~CPU_INTERRUPT_WINDOW;
    vmx_write(VMCS_CPU_CONTROLS, backend->cpu_controls);
    backend->window = wanted;
}

static void invept(uint64_t root)
{
    struct {
        uint64_t pointer, zero;
    } descriptor = {root, 0};
    uint64_t type = vmx_features.invept_single ? INVEPT_SINGLE : INVEPT_ALL;

    __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

static void invvpid(uint64_t vpid)
{
    struct {
        uint64_t vpid, address;
    } descriptor = {vpid, 0};

    __asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"(UINT64_C(1)) : "cc", "memory");
}

/* A flush that is owed: what was derived from the nested tables, and from the guest's own. */
static void place_flush(struct vcpu *vcpu)
{
    if (!vcpu->nested->flush_owed)
        return;
    invept(vmx_read(VMCS_EPT_POINTER));
    if (vmx_features.vpid)
        invvpid(vcpu->nested->tag);
    vcpu->nested->flush_owed = false;
}

/* Attention stays on for one more entry after an injection, which takes it away again. */
static void attend(struct vcpu *vcpu)
{
    place_event(vcpu);
    place_flush(vcpu);
    place_window(vcpu, vcpu->window);
    vcpu->attention = vcpu->backend->inject;
}

/* ---- entering ---- */

void vmx_vcpu_hold_host(void)
{
}

static inline void write_registers(struct vcpu_backend *backend)
{
    if (backend->rip != backend->held_rip)
        vmx_write(VMCS_GUEST_RIP, backend->rip);
    if (__builtin_expect(backend->rsp != backend->held_rsp, 0))
        vmx_write(VMCS_GUEST_RSP, backend->rsp);
    if (__builtin_expect(backend->rflags != backend->held_rflags, 0))
        vmx_write(VMCS_GUEST_RFLAGS, backend->rflags);
    if (__builtin_expect(backend->shadow != backend->held_shadow, 0))
        vmx_write(VMCS_GUEST_SHADOW, backend->shadow);
}

void vmx_vcpu_enter(struct vcpu *vcpu, uint64_t tsc, uint64_t distance)
{
    struct vcpu_backend *backend = vcpu->backend;

    if (vcpu->attention)
        attend(vcpu);
    if (!oneshot_in_time(vcpu, backend->entry_cost, distance)) {
        backend->armed = true;
        backend->entry.arm_count = oneshot_aim(vcpu, distance);
    }
    write_registers(backend);
    backend->entry.tsc_base = tsc - (uint64_t)backend->entry_cost;
    backend->entry_rip = backend->rip;
    vmx_enter(&backend->entry);
}

/* ---- for calibration ---- */

void vmx_bare_set(struct vcpu *vcpu, const struct bare_setting *setting)
{
    vmx_select(vcpu);
    vmx_write(VMCS_EXCEPTIONS, EXCEPTIONS | setting->exceptions);
    place_window(vcpu, setting->window);
}

uint64_t vmx_bare_run(struct vcpu *vcpu, const struct bare_setting *setting, uint32_t arm_count)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct vmx_switch *state = &backend->entry;

    vmx_select(vcpu);
    if (setting->cold)
        nested_owe_flush(vcpu->nested);
    place_flush(vcpu);
    backend->shadow = setting->shadow ? SHADOW_STI : 0;
    write_registers(backend);
    vmx_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmx_write(VMCS_ENTRY_EVENT, setting->inject ? EVENT_VALID | setting->vector : 0);
    backend->entry_cost = 0;
    state->tsc_base = 0;
    state->arm_count = arm_count;
    backend->armed = arm_count;
    __asm__ volatile("call vmx_enter"
                     : "+D"(state)
                     :
                     : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "cc", "memory");
    return backend->entry.t1 - backend->entry.t0;
}
