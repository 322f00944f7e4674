/*
 * What follows an exit: the neutral record, and what the guest consumed. Source: Intel SDM vol. 3, "VM Exits",
 * "Information for VM Exits Due to Event Delivery", appendix C "VMX Basic Exit Reasons".
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmx/backend.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/log.h"

#define EVENT_TYPES 7u /* mask */
#define TYPE_NMI    2u

static const enum exit_kind kinds[REASONS] = {
    [REASON_EXTERNAL_INTERRUPT] = EXIT_HOST_INTERRUPT,
    [REASON_PREEMPTION_TIMER] = EXIT_HOST_INTERRUPT,
    [REASON_INIT] = EXIT_HOST_INTERRUPT,
    [REASON_TRIPLE_FAULT] = EXIT_SHUTDOWN,
    [REASON_INTERRUPT_WINDOW] = EXIT_WINDOW,
    [REASON_TASK_SWITCH] = EXIT_TASK_SWITCH,
    [REASON_CPUID] = EXIT_CPUID,
    [REASON_GETSEC] = EXIT_UNDEFINED,
    [REASON_HLT] = EXIT_HLT,
    [REASON_INVD] = EXIT_FLUSH,
    [REASON_WBINVD] = EXIT_FLUSH,
    [REASON_RDPMC] = EXIT_FORBIDDEN,
    [REASON_VMCALL] = EXIT_HYPERCALL,
    [19] = EXIT_UNDEFINED, /* VMCLEAR to VMXON */
    [20] = EXIT_UNDEFINED,
    [21] = EXIT_UNDEFINED,
    [22] = EXIT_UNDEFINED,
    [23] = EXIT_UNDEFINED,
    [24] = EXIT_UNDEFINED,
    [25] = EXIT_UNDEFINED,
    [26] = EXIT_UNDEFINED,
    [REASON_VMXON] = EXIT_UNDEFINED,
    [REASON_INVEPT] = EXIT_UNDEFINED,
    [REASON_INVVPID] = EXIT_UNDEFINED,
    [REASON_CR_ACCESS] = EXIT_CR_WRITE,
    [REASON_IO] = EXIT_PORT,
    [REASON_RDMSR] = EXIT_RDMSR,
    [REASON_WRMSR] = EXIT_WRMSR,
    [REASON_MWAIT] = EXIT_UNDEFINED,
    [REASON_MONITOR] = EXIT_UNDEFINED,
    [REASON_EPT_VIOLATION] = EXIT_MEMORY,
    [REASON_XSETBV] = EXIT_XSETBV,
    [REASON_RDRAND] = EXIT_UNDEFINED,
    [REASON_RDSEED] = EXIT_UNDEFINED,
};

uint64_t vmx_vcpu_exit_code(const struct vcpu *vcpu)
{
    return vcpu->backend->reason;
}

static enum exit_class class_of(uint32_t reason, uint32_t vectoring, const struct exit *exit)
{
    switch (reason) {
    case REASON_EXTERNAL_INTERRUPT:
        return CLASS_INTERRUPT;
    case REASON_INTERRUPT_WINDOW:
        return CLASS_WINDOW;
    case REASON_EPT_VIOLATION:
        if (vectoring & EVENT_VALID && (vectoring >> EVENT_TYPE_SHIFT & EVENT_TYPES) == EVENT_SOFTWARE)
            return CLASS_MEMORY_SOFT;
        return CLASS_MEMORY;
    case REASON_EXCEPTION:
        if (exit->kind == EXIT_HOST_NMI)
            return CLASS_INTERRUPT;
        return exit->exception.vector == 1 ? CLASS_STEP : CLASS_SOFTWARE;
    default:
        return CLASS_INSTRUCTION;
    }
}

static void translate_port(struct exit *exit)
{
    uint64_t qualification = vmx_read(VMCS_QUALIFICATION);

    exit->kind = qualification & BIT(4) ? EXIT_STRING_IO : EXIT_PORT;
    exit->port.port = (uint16_t)(qualification >> 16);
    exit->port.width = (uint8_t)((qualification & 7) + 1);
    exit->port.in = qualification & BIT(3);
}

/* #DB leaves DR6 and DR7.GD to the monitor: the qualification has what the CPU would have written (SDM vol. 3,
 * "Exit Qualification for Debug Exceptions"). */
static void take_debug_exception(struct vcpu *vcpu)
{
    uint64_t conditions = vmx_read(VMCS_QUALIFICATION) & 0x600F, dr6 = vmx_vcpu_dr6(vcpu);

    vmx_vcpu_set_dr6(vcpu, (dr6 & ~UINT64_C(0xF)) | conditions);
    vmx_write(VMCS_GUEST_DR7, vmx_read(VMCS_GUEST_DR7) & ~BIT64(13));
}

static void translate_exception(struct vcpu *vcpu, struct exit *exit)
{
    uint32_t info = (uint32_t)vmx_read(VMCS_EXIT_EVENT);

    if ((info >> EVENT_TYPE_SHIFT & EVENT_TYPES) == TYPE_NMI) {
        exit->kind = EXIT_HOST_NMI;
        return;
    }
    exit->kind = EXIT_EXCEPTION;
    exit->exception.vector = (uint8_t)info;
    exit->exception.has_error = info & EVENT_ERROR_VALID;
    exit->exception.error =
        exit->exception.has_error ? (uint32_t)vmx_read(VMCS_EXIT_EVENT_ERROR) : 0;
    if (exit->exception.vector == 1)
        take_debug_exception(vcpu);
}

static void translate_memory(struct exit *exit)
{
    uint64_t qualification = vmx_read(VMCS_QUALIFICATION);

    exit->memory.gpa = vmx_read(VMCS_GUEST_PHYSICAL);
    exit->memory.write = qualification & BIT(1);
    exit->memory.fetch = qualification & BIT(2);
    exit->memory.walk = qualification & BIT(7) && !(qualification & BIT(8));
}

/* MOV to CR0, CR4, CR8; CLTS and LMSW change CR0. */
static void translate_cr(struct exit *exit)
{
    uint64_t qualification = vmx_read(VMCS_QUALIFICATION);

    exit->cr = (uint8_t)(qualification & 15);
}

static void translate(struct vcpu *vcpu, uint32_t reason)
{
    struct exit *exit = &vcpu->exit;

    exit->kind = reason < REASONS ? kinds[reason] : EXIT_INVALID;
    switch (reason) {
    case REASON_IO:
        translate_port(exit);
        break;
    case REASON_EXCEPTION:
        translate_exception(vcpu, exit);
        break;
    case REASON_EPT_VIOLATION:
        translate_memory(exit);
        break;
    case REASON_CR_ACCESS:
        translate_cr(exit);
        break;
    case REASON_EXTERNAL_INTERRUPT:
    case REASON_PREEMPTION_TIMER:
    case REASON_INIT:
        break;
    default:
        if (exit->kind == EXIT_HOST_INTERRUPT)
            exit->kind = EXIT_INVALID;
        break;
    }
}

/*
 * A delivery that the exit cut off. Hardware interrupts and exceptions come back to be delivered by the next
 * entry; INT n, INT1, INT3 and INTO (types 4 to 6) are executed again, since RIP still stands on them.
 */
static void take_back_event(struct vcpu *vcpu, uint32_t info)
{
    uint8_t type = info >> EVENT_TYPE_SHIFT & EVENT_TYPES;

    if (type >= EVENT_SOFTWARE)
        return;
    bool has_error = info & EVENT_ERROR_VALID;
    vcpu_inject(vcpu, (struct vcpu_event){.vector = (uint8_t)info,
                                          .type = type,
                                          .has_error = has_error,
                                          .error = has_error ? (uint32_t)vmx_read(VMCS_IDT_VECTORING_ERROR)
                                                             : 0});
}

/* Takes what ended the run, and what else waits. `armed`: this entry armed the timer. */
static void take_host_interrupts(struct exit *exit, bool armed)
{
    struct cpu *cpu = this_cpu();

    cpu->timer_fired = false;
    if (exit->kind == EXIT_HOST_NMI)
        __asm__ volatile("int $2" : : : "memory"); /* its IRET ends the blocking of further ones */
    __asm__ volatile("sti; nop; cli" : : : "memory");
    exit->timer = cpu->timer_fired;
    /* An older shot, which expired while the monitor worked, may end an entry that has just armed a new one:
     * then that one still counts. */
    exit->aimed = exit->timer && armed && host_oneshot.aimed && host_oneshot.fires_at == UINT64_MAX;
}

/*
 * Whether a run that took less than E + X tells that X is less: not one that an interrupt ended which was
 * pending at the entry (halfway, before an instruction), nor a triple fault, which may come anywhere.
 */
static bool tells_of_exit_cost(const struct vcpu_backend *backend, enum exit_class class)
{
    if (class == CLASS_INTERRUPT)
        return !backend->inject && backend->rip != backend->entry_rip;
    return backend->reason != REASON_TRIPLE_FAULT;
}

static void read_registers(struct vcpu_backend *backend)
{
    backend->rip = backend->held_rip = vmx_read(VMCS_GUEST_RIP);
    backend->rsp = backend->held_rsp = vmx_read(VMCS_GUEST_RSP);
    backend->rflags = backend->held_rflags = vmx_read(VMCS_GUEST_RFLAGS);
    backend->held_shadow = vmx_read(VMCS_GUEST_SHADOW);
    backend->shadow = backend->held_shadow & (SHADOW_STI | SHADOW_MOV_SS) ? backend->held_shadow | 1
                                                                         : backend->held_shadow;
}

static void entry_failed(struct vcpu *vcpu, uint32_t reason)
{
    struct vcpu_backend *backend = vcpu->backend;

    backend->entry.failed = 0;
    backend->reason = reason;
    vcpu->exit.kind = EXIT_INVALID;
    vcpu->exit.consumed = 0;
    vcpu->exit.overhead = vcpu->exit.left - vcpu->exit.entered;
    vcpu->exit.length = 0;
    log_error("VM entry failed: reason %x, qualification %llx, instruction error %llu", reason,
              (unsigned long long)vmx_read(VMCS_QUALIFICATION),
              (unsigned long long)vmx_read(VMCS_INSTRUCTION_ERROR));
}

void vmx_left(struct vmx_switch *state)
{
    struct vcpu_backend *backend = container_of(state, struct vcpu_backend, entry);
    struct vcpu *vcpu = backend->vcpu;
    struct exit *exit = &vcpu->exit;
    uint32_t reason = state->failed ? REASON_ENTRY_FAILED : (uint32_t)vmx_read(VMCS_EXIT_REASON);
    bool armed = backend->armed;

    exit->entered = state->t0;
    exit->left = state->t1;
    if (armed) {
        oneshot_armed(exit->entered, backend->entry.arm_count);
        backend->entry.arm_count = 0;
        backend->armed = false;
    }
    if (__builtin_expect(reason & REASON_ENTRY_FAILED, 0)) {
        entry_failed(vcpu, reason);
        return;
    }
    backend->reason = reason;
    read_registers(backend);
    translate(vcpu, reason);
    exit->length = (uint8_t)vmx_read(VMCS_EXIT_LENGTH);
    uint32_t vectoring = reason == REASON_EPT_VIOLATION || reason == REASON_EXCEPTION ||
                                 reason == REASON_TASK_SWITCH || reason == REASON_EPT_MISCONFIGURATION
                             ? (uint32_t)vmx_read(VMCS_IDT_VECTORING)
                             : 0;
    enum exit_class class = class_of(reason, vectoring, exit);
    figures_account(exit, class, backend->entry_cost, backend->inject,
                    tells_of_exit_cost(backend, class));
    if (vectoring & EVENT_VALID)
        take_back_event(vcpu, vectoring);
    if (exit->kind == EXIT_HOST_INTERRUPT || exit->kind == EXIT_HOST_NMI)
        take_host_interrupts(exit, armed);
}
