/*
 * What follows an exit: the neutral record, and what the guest consumed. Source: Intel SDM vol. 3, "VM
 * Exits", "Information for VM Exits Due to Event Delivery", appendix C "VMX Basic Exit Reasons".
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/speculation.h"
#include "arch/x86/trap.h"
#include "arch/x86/vmx/backend.h"
#include "arch/x86/vmx/vmx.h"

#define EVENT_TYPES 7u /* mask */
#define TYPE_NMI    2u
#define TYPE_INT1   5u
#define DR7_GD      BIT64(13)
/* What the qualification has of DR6: B0 to B3, BD, BS. */
#define DR6_CONDITIONS UINT64_C(0x600F)

/* An instruction that the CPU handed over, about which there is no more to ask but its length. 0: another
 * kind, for EXIT_HOST_INTERRUPT is none of these. */
static const uint8_t plain_kinds[REASONS] = {
    [REASON_CPUID] = EXIT_CPUID, [REASON_HLT] = EXIT_HLT,     [REASON_IO] = EXIT_PORT,
    [REASON_RDMSR] = EXIT_RDMSR, [REASON_WRMSR] = EXIT_WRMSR,
};
_Static_assert(EXIT_HOST_INTERRUPT == 0, "what plain_kinds leaves out");

/* 0: see kind_of(). */
static const enum exit_kind kinds[REASONS] = {
    [REASON_TRIPLE_FAULT] = EXIT_SHUTDOWN,
    [REASON_INTERRUPT_WINDOW] = EXIT_WINDOW,
    [REASON_NMI_WINDOW] = EXIT_NMI_WINDOW,
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
    [REASON_ENCLS] = EXIT_UNDEFINED,
    [REASON_RDSEED] = EXIT_UNDEFINED,
    [REASON_PCONFIG] = EXIT_UNDEFINED,
    [REASON_SEAMCALL] = EXIT_UNDEFINED,
    [REASON_TDCALL] = EXIT_UNDEFINED,
};

static enum exit_kind kind_of(uint32_t reason)
{
    switch (reason) {
    case REASON_EXTERNAL_INTERRUPT:
    case REASON_PREEMPTION_TIMER:
    case REASON_INIT:
    case REASON_NOTIFY:
        return EXIT_HOST_INTERRUPT;
    case REASON_EXCEPTION:
        return EXIT_EXCEPTION;
    default:
        return reason < REASONS && kinds[reason] ? kinds[reason] : EXIT_INVALID;
    }
}

uint64_t vmx_vcpu_exit_code(const struct vcpu *vcpu)
{
    return vcpu->backend->reason;
}

static enum exit_class class_of(uint32_t reason, uint32_t vectoring, const struct exit *exit)
{
    switch (reason) {
    case REASON_EXTERNAL_INTERRUPT:
    case REASON_INIT:
    case REASON_NOTIFY:
        return CLASS_INTERRUPT;
    case REASON_PREEMPTION_TIMER:
        return CLASS_PREEMPTION;
    case REASON_INTERRUPT_WINDOW:
    case REASON_NMI_WINDOW:
        return CLASS_WINDOW;
    case REASON_EPT_VIOLATION:
        if (vectoring & EVENT_VALID && (vectoring >> EVENT_TYPE_SHIFT & EVENT_TYPES) == EVENT_SOFTWARE)
            return CLASS_MEMORY_SOFT;
        return CLASS_MEMORY;
    case REASON_EXCEPTION:
        if (exit->kind == EXIT_HOST_NMI)
            return CLASS_INTERRUPT;
        return exit->exception.vector == VECTOR_DB ? CLASS_STEP : CLASS_SOFTWARE;
    default:
        return CLASS_INSTRUCTION;
    }
}

/* The exits for which the CPU gives the instruction's length. Source: SDM vol. 3 "Information for VM Exits
 * Due to Instruction Execution". */
static bool handed_over_instruction(enum exit_kind kind)
{
    switch (kind) {
    case EXIT_HOST_INTERRUPT:
    case EXIT_HOST_NMI:
    case EXIT_WINDOW:
    case EXIT_NMI_WINDOW:
    case EXIT_MEMORY:
    case EXIT_EXCEPTION:
    case EXIT_TASK_SWITCH:
    case EXIT_SHUTDOWN:
    case EXIT_INVALID:
        return false;
    default:
        return true;
    }
}

#define PORT(width, in)                                                                                      \
    {                                                                                                        \
        0, width, in                                                                                         \
    }
#define PORTS(in)                                                                                            \
    PORT(1, in), PORT(2, in), {0}, PORT(4, in), {0}, {0}, {0},                                               \
    {                                                                                                        \
        0                                                                                                    \
    }

static void translate_port(struct exit *exit)
{
    /* by bits 0 to 3 of the qualification: width less one, direction */
    static const struct exit_port accesses[16] = {PORTS(false), PORTS(true)};
    uint32_t qualification = (uint32_t)vmx_read(VMCS_QUALIFICATION);

    exit->port = accesses[qualification & 15];
    exit->port.port = (uint16_t)(qualification >> 16);
    if (qualification & BIT(4))
        exit->kind = EXIT_STRING_IO;
}

bool vmx_vcpu_in_nmi(const struct vcpu *vcpu)
{
    return vcpu->backend->held_shadow & SHADOW_NMI;
}

static void set_nmi_blocking(struct vcpu_backend *backend, bool blocked)
{
    backend->held_shadow = (backend->held_shadow & ~(uint64_t)SHADOW_NMI) | (blocked ? SHADOW_NMI : 0);
    backend->shadow = backend->held_shadow;
    backend->vcpu->attention = true;
    vmx_write(VMCS_GUEST_SHADOW, backend->shadow);
}

/*
 * An IRET that was cut off, since its stack wasn't mapped, has ended the blocking of NMIs already and is
 * executed again: they are blocked again. `info`: what has the flag. Source: SDM vol. 3 "Information About
 * NMI Unblocking Due to IRET".
 */
static void block_nmis_again(struct vcpu_backend *backend, uint64_t info, uint32_t vectoring)
{
    if (!(info & NMI_UNBLOCKED) || vectoring & EVENT_VALID)
        return;
    set_nmi_blocking(backend, true);
}

/* #DB leaves DR6 to the monitor, and DR7.GD: the qualification has what the CPU would have written (SDM vol.
 * 3, "Exit Qualification for Debug Exceptions"). */
static void take_debug_exception(struct vcpu *vcpu)
{
    uint64_t conditions = vmx_read(VMCS_QUALIFICATION) & DR6_CONDITIONS, dr6 = vmx_vcpu_dr6(vcpu);

    vmx_vcpu_set_dr6(vcpu, (dr6 & ~UINT64_C(0xF)) | conditions);
}

static uint32_t exception_type(uint32_t info)
{
    return info >> EVENT_TYPE_SHIFT & EVENT_TYPES;
}

/* A trap: RIP stands on INT1, and DR6 is not concerned. */
static void complete_int1(struct vcpu_backend *backend)
{
    const struct vcpu *vcpu = backend->vcpu;

    backend->rip += vmx_read(VMCS_EXIT_LENGTH);
    if (!vmx_vcpu_in_64bit_code(vcpu))
        backend->rip &= vmx_vcpu_in_32bit_code(vcpu) ? UINT32_MAX : UINT16_MAX;
}

/* Verge hands it on, so that an IRET which raised it counts as executed: NMIs stay unblocked. */
static void translate_exception(struct vcpu_backend *backend, struct exit *exit)
{
    uint32_t info = (uint32_t)vmx_read(VMCS_EXIT_EVENT);

    if (exception_type(info) == TYPE_NMI) {
        exit->kind = EXIT_HOST_NMI;
        return;
    }
    exit->exception.vector = (uint8_t)info;
    exit->exception.has_error = info & EVENT_ERROR_VALID;
    exit->exception.error = exit->exception.has_error ? (uint32_t)vmx_read(VMCS_EXIT_EVENT_ERROR) : 0;
    if (exit->exception.vector == VECTOR_DB)
        vmx_write(VMCS_GUEST_DR7, vmx_read(VMCS_GUEST_DR7) & ~DR7_GD);
    if (exception_type(info) == TYPE_INT1)
        complete_int1(backend);
    else if (exit->exception.vector == VECTOR_DB)
        take_debug_exception(backend->vcpu);
}

static void translate_memory(struct vcpu_backend *backend, struct exit *exit, uint32_t vectoring)
{
    uint64_t qualification = vmx_read(VMCS_QUALIFICATION);

    exit->memory.gpa = vmx_read(VMCS_GUEST_PHYSICAL);
    exit->memory.write = qualification & BIT(1);
    exit->memory.fetch = qualification & BIT(2);
    exit->memory.walk = qualification & BIT(7) && !(qualification & BIT(8));
    block_nmis_again(backend, qualification, vectoring);
}

/* The details of an exit of `exit->kind`. */
static void translate(struct vcpu_backend *backend, struct exit *exit, uint32_t vectoring)
{
    switch (backend->reason) {
    case REASON_IO:
        translate_port(exit);
        break;
    case REASON_EXCEPTION:
        translate_exception(backend, exit);
        break;
    case REASON_EPT_VIOLATION:
        translate_memory(backend, exit, vectoring);
        break;
    case REASON_CR_ACCESS:
        exit->cr = (uint8_t)(vmx_read(VMCS_QUALIFICATION) & 15);
        break;
    case REASON_NOTIFY: /* one instruction kept all interrupts waiting: a microcode loop */
        if (vmx_read(VMCS_QUALIFICATION) & BIT(0)) /* and the guest's state is lost */
            exit->kind = EXIT_SHUTDOWN;
        block_nmis_again(backend, vmx_read(VMCS_QUALIFICATION), vectoring);
        break;
    default:
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
    if (type == EVENT_NMI)
        set_nmi_blocking(vcpu->backend, false); /* by itself, which is not to keep it out */
    bool has_error = info & EVENT_ERROR_VALID;
    vcpu_inject(vcpu,
                (struct vcpu_event){.vector = (uint8_t)info,
                                    .type = type,
                                    .has_error = has_error,
                                    .error = has_error ? (uint32_t)vmx_read(VMCS_IDT_VECTORING_ERROR) : 0});
}

/* Takes what ended the run, and what else waits. `armed`: this entry armed the one-shot; `set`:
 * it, or the preemption timer. */
static void take_host_interrupts(const struct vcpu_backend *backend, struct exit *exit, bool armed, bool set)
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
    if (backend->reason == REASON_PREEMPTION_TIMER) {
        exit->timer = true;
        exit->aimed = set && backend->aimed;
        backend->vcpu->attention = true; /* it is to be set anew, for longer */
    }
}

/*
 * Whether a run that took less than E + X tells that X is less: not one that an interrupt ended which was
 * pending at the entry (halfway, before an instruction), nor a triple fault, which may come anywhere.
 */
static bool tells_of_exit_cost(const struct vcpu_backend *backend, enum exit_class class)
{
    if (class == CLASS_INTERRUPT || class == CLASS_PREEMPTION)
        return !backend->inject && backend->rip != backend->entry_rip;
    if (class == CLASS_WINDOW && backend->inject)
        return false;
    return backend->reason != REASON_TRIPLE_FAULT;
}

void vmx_vcpu_gather(const struct vcpu *vcpu)
{
    if (vcpu->backend->rsp != vcpu->backend->held_rsp)
        return; /* set since, and to be written yet */
    vmx_select(vcpu);
    vcpu->backend->rsp = vcpu->backend->held_rsp = vmx_read(VMCS_GUEST_RSP);
}

/* No guest ran. */
static void entry_failed(struct vcpu_backend *backend)
{
    struct exit *exit = &backend->vcpu->exit;

    backend->armed = false;
    backend->entry.arm_count = 0;
    exit->kind = EXIT_INVALID;
    exit->consumed = 0;
    exit->overhead = exit->left - exit->entered;
    exit->length = 0;
    if ((backend->reason & ~REASON_ENTRY_FAILED) != REASON_MACHINE_CHECK)
        return;
    exit->kind = EXIT_EXCEPTION;
    exit->exception.vector = VECTOR_MC;
    exit->exception.has_error = false;
}

/* An exit of the rare kinds, or one that needs more than the usual. */
static __attribute__((noinline)) void left_otherwise(struct vcpu_backend *backend, uint32_t reason,
                                                     uint64_t shadow)
{
    struct vcpu *vcpu = backend->vcpu;
    struct exit *exit = &vcpu->exit;
    uint32_t vectoring = (uint32_t)vmx_read(VMCS_IDT_VECTORING);
    bool set = backend->armed, armed = backend->entry.arm_count;

    backend->reason = reason;
    backend->shadow = backend->held_shadow = shadow;
    if (shadow)
        vcpu->attention = true; /* an entry without it takes for granted that there is none */
    if (reason & REASON_ENTRY_FAILED) {
        backend->instruction_failed = false;
        entry_failed(backend);
        return;
    }
    vmx_vcpu_gather(vcpu);
    if (backend->entry.arm_count)
        oneshot_armed(exit->entered, backend->entry.arm_count);
    backend->entry.arm_count = 0;
    backend->armed = false;
    exit->kind = kind_of(backend->reason);
    translate(backend, exit, vectoring);
    enum exit_class class = class_of(backend->reason, vectoring, exit);
    exit->length = handed_over_instruction(exit->kind) ? (uint8_t)vmx_read(VMCS_EXIT_LENGTH) : 0;
    bool cut_off = backend->inject && vectoring & EVENT_VALID; /* at the entry, before any instruction */
    figures_account(exit, class, backend->entry_cost, backend->inject,
                    !cut_off && tells_of_exit_cost(backend, class));
    if (vectoring & EVENT_VALID)
        take_back_event(vcpu, vectoring);
    if (exit->kind == EXIT_HOST_INTERRUPT || exit->kind == EXIT_HOST_NMI)
        take_host_interrupts(backend, exit, armed, set);
}

void vmx_left(struct vmx_switch *state)
{
    struct vcpu_backend *backend = container_of(state, struct vcpu_backend, entry);
    struct exit *exit = &backend->vcpu->exit;
    uint32_t reason = (uint32_t)vmx_read(VMCS_EXIT_REASON);
    uint64_t shadow = vmx_read(VMCS_GUEST_SHADOW);

    exit->entered = state->t0;
    exit->left = state->t1;
    backend->rip = backend->held_rip = vmx_read(VMCS_GUEST_RIP);
    backend->rflags = backend->held_rflags = vmx_read(VMCS_GUEST_RFLAGS);
    int64_t overhead = backend->entry_cost + figures.exit[CLASS_INSTRUCTION];
    int64_t consumed = (int64_t)(state->t1 - state->t0) - overhead;
    if (__builtin_expect(consumed < 0 || shadow | backend->armed || reason >= REASONS || !plain_kinds[reason],
                         0)) {
        left_otherwise(backend, reason, shadow);
        return;
    }
    exit->overhead = (uint64_t)overhead;
    exit->consumed = (uint64_t)consumed;
    exit->kind = plain_kinds[reason];
    exit->length = (unsigned)vmx_read(VMCS_EXIT_LENGTH);
    if (reason == REASON_IO)
        translate_port(exit);
}

void vmx_not_entered(struct vmx_switch *state)
{
    struct vcpu_backend *backend = container_of(state, struct vcpu_backend, entry);

    backend->instruction_failed = true;
    backend->reason = REASON_ENTRY_FAILED;
    if (speculation.guards & GUARD_IBRS) /* clear for the guest, and there was no exit */
        wrmsr(MSR_SPEC_CTRL, guard_spec_ctrl_monitor);
    backend->vcpu->exit.entered = backend->vcpu->exit.left = state->t0;
    entry_failed(backend);
}
