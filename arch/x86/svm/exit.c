/*
 * What follows an exit: the neutral record, and what the guest consumed. Source: AMD64 APM vol. 2 "#VMEXIT",
 * "Intercept Exit Codes" (appendix C), "Event Injection"; the quirks are those of QEMU 7.2.
 *
 * Port I/O, CPUID, MSRs and HLT are by far the most frequent exits and alike: an instruction that the CPU
 * handed over. svm_left() deals with these alone, left_otherwise() with everything.
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/svm/backend.h"
#include "lib/string.h"

#define PLAIN_CODES (VMEXIT_MSR + 1)

/* Exit codes of the frequent exits; 0 for others. MSR: the kind for reading; writing is the next one. */
static const enum exit_kind plain_kinds[PLAIN_CODES] = {
    [VMEXIT_CPUID] = EXIT_CPUID,
    [VMEXIT_HLT] = EXIT_HLT,
    [VMEXIT_IOIO] = EXIT_PORT,
    [VMEXIT_MSR] = EXIT_RDMSR,
};
_Static_assert(EXIT_HOST_INTERRUPT == 0, "no kind of these is 0");
_Static_assert(EXIT_WRMSR == EXIT_RDMSR + 1, "EXITINFO1 of an MSR exit is added to the kind");

#define IOIO_IN     BIT(0)
#define IOIO_STRING BIT(2)
#define DR7_GD      BIT64(13)
#define RFLAGS_VM   BIT64(17)

uint64_t svm_vcpu_exit_code(const struct vcpu *vcpu)
{
    return vcpu->backend->vmcb->exit_code;
}

enum exit_class svm_exit_class(const struct vmcb *vmcb)
{
    uint32_t code = (uint32_t)vmcb->exit_code;

    switch (code) {
    case VMEXIT_INTR:
    case VMEXIT_NMI:
    case VMEXIT_SMI:
    case VMEXIT_INIT:
        return CLASS_INTERRUPT;
    case VMEXIT_VINTR:
        return CLASS_WINDOW;
    case VMEXIT_NPF:
        if (vmcb->exit_int_info & EVENT_VALID &&
            (vmcb->exit_int_info >> EVENT_TYPE_SHIFT & 7) == EVENT_SOFTWARE)
            return CLASS_MEMORY_SOFT;
        return CLASS_MEMORY;
    case VMEXIT_SOFTINT:
    case VMEXIT_EXCEPTION + 6:
        return CLASS_SOFTWARE;
    case VMEXIT_EXCEPTION + 1:
        return CLASS_STEP;
    default:
        return CLASS_INSTRUCTION;
    }
}

/* ---- the length of the instruction ---- */

static inline bool in_64bit_code(const struct vmcb *vmcb)
{
    return vmcb->efer & EFER_LMA && vmcb->cs.attributes & SEGMENT_ATTRIBUTE_L;
}

/* Contract: struct instruction_memo. */
static inline bool remembered(const struct vmcb *vmcb, const struct instruction_memo *memo)
{
    uint64_t bytes;

    if (vmcb->rip != memo->rip || vmcb->cr3 != memo->cr3 || !in_64bit_code(vmcb))
        return false;
    if (*memo->entry[0] != memo->value[0] || *memo->entry[1] != memo->value[1] ||
        *memo->entry[2] != memo->value[2] || *memo->entry[3] != memo->value[3])
        return false;
    memcpy(&bytes, memo->host, sizeof bytes);
    return bytes == memo->bytes;
}

/* From the CPU, or else from the memo, or else 0: the layer above has to decode. next_rip stays 0 where the
 * CPU doesn't write it. */
static inline void set_length(struct vcpu *vcpu, const struct vmcb *vmcb)
{
    if (vmcb->next_rip)
        vcpu->exit.length = (uint8_t)(vmcb->next_rip - vmcb->rip);
    else if (__builtin_expect(remembered(vmcb, &vcpu->memo), 1))
        vcpu->exit.length = vcpu->memo.length;
    else
        vcpu->exit.length = 0;
}

/* ---- kinds of exits ---- */

static inline void translate_port(const struct vmcb *vmcb, struct exit *exit)
{
    uint64_t info = vmcb->exit_info1;

    exit->port.port = (uint16_t)(info >> 16);
    exit->port.width = (uint8_t)(info >> 4 & 7);
    exit->port.in = info & IOIO_IN;
    exit->length = (uint8_t)(vmcb->exit_info2 - vmcb->rip); /* RIP may wrap */
}

static void translate_exception(const struct vmcb *vmcb, struct exit *exit)
{
    exit->kind = EXIT_EXCEPTION;
    exit->exception.vector = (uint8_t)(vmcb->exit_code - VMEXIT_EXCEPTION);
    exit->exception.has_error = exit->exception.vector == 17;
    exit->exception.error = exit->exception.has_error ? (uint32_t)vmcb->exit_info1 : 0;
}

/* The delivery of a #DB clears DR7.GD (APM vol. 2, "Debug-Control Register (DR7)"), else its handler could
 * not touch a debug register. An intercept comes before that on some CPUs (Bochs), and an injection doesn't
 * do it. */
static void clear_general_detect(struct vcpu *vcpu)
{
    vcpu->backend->vmcb->dr7 &= ~DR7_GD;
    svm_dirty(vcpu, CLEAN_DR);
}

static void translate_memory(const struct vmcb *vmcb, struct exit *exit)
{
    exit->kind = EXIT_MEMORY;
    exit->memory.gpa = vmcb->exit_info2;
    exit->memory.write = vmcb->exit_info1 & BIT(1);
    exit->memory.fetch = vmcb->exit_info1 & BIT(4);
    exit->memory.walk = vmcb->exit_info1 & BIT64(33);
}

/*
 * A delivery that the exit cut off. Hardware interrupts and exceptions come back to be delivered by the next
 * entry; INT n, INT3 and INTO (types 3 with vectors 3 and 4, and 4) are executed again, since RIP still
 * stands on them. Only the valid bit of the field means anything.
 */
static void take_back_event(struct vcpu *vcpu)
{
    struct vmcb *vmcb = vcpu->backend->vmcb;
    uint64_t info = vmcb->exit_int_info;
    uint8_t type = info >> EVENT_TYPE_SHIFT & 7, vector = (uint8_t)info;

    if (type == EVENT_SOFTWARE || (type == EVENT_EXCEPTION && (vector == 3 || vector == 4)))
        return;
    vcpu_inject(vcpu, (struct vcpu_event){.vector = vector,
                                          .type = type,
                                          .has_error = info & EVENT_ERROR_VALID,
                                          .error = (uint32_t)(info >> 32)});
}

static void translate_rare(uint32_t code, struct exit *exit)
{
    switch (code) {
    case VMEXIT_CR0_SELECTIVE:
        exit->kind = EXIT_CR_WRITE;
        exit->cr = 0;
        break;
    case VMEXIT_CR_WRITE + 4:
    case VMEXIT_CR_WRITE + 8:
        exit->kind = EXIT_CR_WRITE;
        exit->cr = (uint8_t)(code - VMEXIT_CR_WRITE);
        break;
    case VMEXIT_INVD:
    case VMEXIT_WBINVD:
        exit->kind = EXIT_FLUSH;
        break;
    case VMEXIT_XSETBV:
        exit->kind = EXIT_XSETBV;
        break;
    case VMEXIT_IRET:
        exit->kind = EXIT_NMI_WINDOW;
        break;
    case VMEXIT_RDPMC:
        exit->kind = EXIT_FORBIDDEN;
        break;
    case VMEXIT_TASK_SWITCH:
        exit->kind = EXIT_TASK_SWITCH;
        break;
    case VMEXIT_SHUTDOWN:
        exit->kind = EXIT_SHUTDOWN;
        break;
    case VMEXIT_VMMCALL:
        exit->kind = EXIT_HYPERCALL;
        break;
    case VMEXIT_VMRUN:
    case VMEXIT_VMLOAD:
    case VMEXIT_VMSAVE:
    case VMEXIT_STGI:
    case VMEXIT_CLGI:
    case VMEXIT_SKINIT:
    case VMEXIT_INVLPGA:
    case VMEXIT_MONITOR:
    case VMEXIT_MWAIT:
    case VMEXIT_MWAIT_ARMED:
    case VMEXIT_RDPRU:
        exit->kind = EXIT_UNDEFINED;
        break;
    default:
        exit->kind = EXIT_INVALID;
        break;
    }
}

static void translate(const struct vmcb *vmcb, struct exit *exit)
{
    uint32_t code = (uint32_t)vmcb->exit_code; /* VMEXIT_INVALID is 32 ones in what QEMU writes */

    switch (code) {
    case VMEXIT_INTR:
    case VMEXIT_SMI:
    case VMEXIT_INIT:
        exit->kind = EXIT_HOST_INTERRUPT;
        break;
    case VMEXIT_NMI:
        exit->kind = EXIT_HOST_NMI;
        break;
    case VMEXIT_VINTR:
        exit->kind = EXIT_WINDOW;
        break;
    case VMEXIT_IOIO:
        exit->kind = vmcb->exit_info1 & IOIO_STRING ? EXIT_STRING_IO : EXIT_PORT;
        translate_port(vmcb, exit);
        break;
    case VMEXIT_CPUID:
        exit->kind = EXIT_CPUID;
        break;
    case VMEXIT_MSR:
        exit->kind = vmcb->exit_info1 & 1 ? EXIT_WRMSR : EXIT_RDMSR;
        break;
    case VMEXIT_HLT:
        exit->kind = EXIT_HLT;
        break;
    case VMEXIT_NPF:
        translate_memory(vmcb, exit);
        break;
    default:
        if (code >= VMEXIT_EXCEPTION && code < VMEXIT_EXCEPTION + 32)
            translate_exception(vmcb, exit);
        else
            translate_rare(code, exit);
        break;
    }
}

/* ---- after an exit ---- */

/* Takes what ended the run, and what else waits. `armed`: this entry armed the timer; else it stood armed
 * before, for whatever moment. */
static void take_host_interrupts(struct exit *exit, bool armed)
{
    struct cpu *cpu = this_cpu();

    cpu->timer_fired = false;
    __asm__ volatile("stgi; nop; clgi" : : : "memory");
    exit->timer = cpu->timer_fired;
    /* An older shot, which expired while the monitor worked, may end an entry that has just armed a new one:
     * then that one still counts. */
    exit->aimed = exit->timer && armed && host_oneshot.aimed && host_oneshot.fires_at == UINT64_MAX;
}

/* The IRET that ends the blocking of NMIs: it is executed next, without another exit. */
static void let_iret(struct vcpu_backend *backend)
{
    const struct vmcb *vmcb = backend->vmcb;

    backend->nmi = NMI_IRET;
    backend->iret.rip = vmcb->rip;
    backend->iret.rsp = vmcb->rsp;
    backend->iret.cs_base = vmcb->cs.base;
    backend->iret.rflags = vmcb->rflags;
    backend->vmcb->intercept[0] &= ~SVM_IRET;
    backend->vcpu->attention = true;
}

/* Nothing has moved where it is still to be executed. */
static bool stands_on_iret(const struct vcpu_backend *backend)
{
    const struct vmcb *vmcb = backend->vmcb;

    return backend->iret.rip == vmcb->rip && backend->iret.rsp == vmcb->rsp &&
           backend->iret.cs_base == vmcb->cs.base && !((backend->iret.rflags ^ vmcb->rflags) & RFLAGS_VM);
}

/* Behind an entry that asked for it: what of the guest's state the CPU doesn't keep. */
static void see_to(struct vcpu_backend *backend, unsigned after)
{
    struct vcpu *vcpu = backend->vcpu;

    if (after & AFTER_SHADOW && backend->vmcb->rip == backend->entry_rip)
        *vcpu->shadow = 1; /* an instruction in it exits, or a timer before it */
    if (after & AFTER_IRET && !stands_on_iret(backend))
        backend->nmi = NMI_NONE;
    if (backend->nmi == NMI_IRET || (figures.shadow_lost && *vcpu->shadow & VCPU_SHADOW))
        vcpu->attention = true; /* the next entry has to ask for it again */
}

/* LMA as the CR0 says that was in force: Bochs 2.7 has changed it already for the one that is to come. */
static void set_lma(struct vmcb *vmcb)
{
    bool active = vmcb->efer & EFER_LME && vmcb->cr0 & CR0_PG;

    vmcb->efer = active ? vmcb->efer | EFER_LMA : vmcb->efer & ~EFER_LMA;
}

/*
 * Whether a run that took less than E + X tells that X is less: not one that an interrupt ended which was
 * pending at the entry (halfway, before an instruction), nor one whose injected event could not be delivered
 * (Bochs delivers within VMRUN, a tick sooner), nor a shutdown, nor an entry that was refused.
 */
static bool tells_of_exit_cost(const struct vcpu_backend *backend, enum exit_class class)
{
    const struct vmcb *vmcb = backend->vmcb;
    uint32_t code = (uint32_t)vmcb->exit_code;

    if (class == CLASS_INTERRUPT)
        return !backend->inject && vmcb->rip != backend->entry_rip;
    if (class == CLASS_WINDOW && backend->inject)
        return false;
    if (backend->inject && vmcb->exit_int_info & EVENT_VALID)
        return false;
    return code != VMEXIT_SHUTDOWN && code != UINT32_MAX;
}

static __attribute__((noinline)) void left_otherwise(struct vcpu_backend *backend)
{
    struct vcpu *vcpu = backend->vcpu;
    struct exit *exit = &vcpu->exit;
    const struct vmcb *vmcb = backend->vmcb;
    unsigned after = backend->after;
    bool armed = after & AFTER_ARMED;

    backend->after = 0;
    if (armed) {
        oneshot_armed(exit->entered, backend->entry.arm_count);
        backend->entry.arm_count = 0;
    }
    see_to(backend, after);
    enum exit_class class = svm_exit_class(vmcb);
    figures_account(exit, class, backend->entry_cost, backend->inject, tells_of_exit_cost(backend, class));
    if ((uint32_t)vmcb->exit_code == VMEXIT_CR0_SELECTIVE)
        set_lma(backend->vmcb);
    set_length(vcpu, vmcb);
    translate(vmcb, exit);
    if ((uint32_t)vmcb->exit_code == VMEXIT_EXCEPTION + 1)
        clear_general_detect(vcpu);
    if (vmcb->exit_int_info & EVENT_VALID)
        take_back_event(vcpu);
    if (exit->kind == EXIT_NMI_WINDOW)
        let_iret(backend);
    if (exit->kind == EXIT_HOST_INTERRUPT || exit->kind == EXIT_HOST_NMI)
        take_host_interrupts(exit, armed);
}

void svm_left(struct svm_switch *state)
{
    struct vcpu_backend *backend = container_of(state, struct vcpu_backend, entry);
    const struct vmcb *vmcb = backend->vmcb;
    struct vcpu *vcpu = backend->vcpu;
    struct exit *exit = &vcpu->exit;
    uint32_t code = (uint32_t)vmcb->exit_code;
    uint64_t entered = state->t0, left = state->t1;
    int64_t overhead = backend->entry_cost + figures.exit[CLASS_INSTRUCTION];
    int64_t consumed = (int64_t)(left - entered) - overhead;

    exit->entered = entered;
    exit->left = left;
    if (__builtin_expect(code >= PLAIN_CODES || !plain_kinds[code] || consumed < 0 || backend->after, 0)) {
        left_otherwise(backend);
        return;
    }
    exit->overhead = (uint64_t)overhead;
    exit->consumed = (uint64_t)consumed;
    exit->kind = plain_kinds[code];
    if (plain_kinds[code] != EXIT_PORT) {
        if (plain_kinds[code] == EXIT_RDMSR)
            exit->kind += vmcb->exit_info1 & 1;
        set_length(vcpu, vmcb);
    } else if (__builtin_expect(!(vmcb->exit_info1 & IOIO_STRING), 1)) {
        translate_port(vmcb, exit);
    } else {
        left_otherwise(backend);
    }
}
