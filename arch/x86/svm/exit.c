/*
 * SVM exit codes -> the neutral exit record. Source: AMD64 APM vol. 2 "#VMEXIT", "Intercept Exit Codes" (appendix C), "Event Injection"; the
 * quirks are those of platform-qemu.md (QEMU 7.2).
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/svm/backend.h"

enum exit_class svm_exit_class_rare(const struct vmcb *vmcb)
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
        if (vmcb->exit_int_info & EVENT_VALID && (vmcb->exit_int_info >> EVENT_TYPE_SHIFT & 7) == EVENT_SOFTWARE)
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

static void translate_port(const struct vmcb *vmcb, struct exit *exit)
{
    uint64_t info = vmcb->exit_info1;

    exit->kind = info & BIT(2) ? EXIT_STRING_IO : EXIT_PORT;
    exit->port.port = (uint16_t)(info >> 16);
    exit->port.width = (uint8_t)(info >> 4 & 7);
    exit->port.in = info & BIT(0);
    exit->port.rep = info & BIT(3);
    exit->length = (uint8_t)(vmcb->exit_info2 - vmcb->rip);
}

static void translate_exception(const struct vmcb *vmcb, struct exit *exit)
{
    exit->kind = EXIT_EXCEPTION;
    exit->exception.vector = (uint8_t)(vmcb->exit_code - VMEXIT_EXCEPTION);
    exit->exception.has_error = exit->exception.vector == 17;
    exit->exception.error = exit->exception.has_error ? (uint32_t)vmcb->exit_info1 : 0;
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
 * A delivery that the exit cut off. Hardware interrupts and exceptions come back to be delivered by the next entry; INT n, INT3 and INTO (types 3 with
 * vectors 3 and 4, and 4) are executed again, since RIP still stands on them. Only the valid bit of the field means anything.
 */
static void take_back_event(struct vcpu *vcpu)
{
    struct vmcb *vmcb = vcpu->backend->vmcb;
    uint64_t info = vmcb->exit_int_info;
    uint8_t type = info >> EVENT_TYPE_SHIFT & 7, vector = (uint8_t)info;

    if (type == EVENT_SOFTWARE || (type == EVENT_EXCEPTION && (vector == 3 || vector == 4)))
        return;
    vcpu->event = (struct vcpu_event){.valid = true,
                                      .vector = vector,
                                      .type = type,
                                      .has_error = info & EVENT_ERROR_VALID,
                                      .error = (uint32_t)(info >> 32)};
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

void svm_translate_exit(struct vcpu *vcpu, struct exit *exit)
{
    const struct vmcb *vmcb = vcpu->backend->vmcb;
    uint32_t code = (uint32_t)vmcb->exit_code; /* VMEXIT_INVALID is 32 ones in what QEMU writes */

    exit->code = code;
    exit->length = 0;
    if (svm_features.next_rip && vmcb->next_rip)
        exit->length = (uint8_t)(vmcb->next_rip - vmcb->rip);
    if (__builtin_expect(vmcb->exit_int_info & EVENT_VALID, 0))
        take_back_event(vcpu);
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

static const char *const kind_names[EXIT_KINDS] = {
    [EXIT_HOST_INTERRUPT] = "interrupt", [EXIT_HOST_NMI] = "nmi",
    [EXIT_WINDOW] = "window",            [EXIT_PORT] = "port",
    [EXIT_STRING_IO] = "string-io",      [EXIT_CPUID] = "cpuid",
    [EXIT_HLT] = "hlt",                  [EXIT_RDMSR] = "rdmsr",
    [EXIT_WRMSR] = "wrmsr",              [EXIT_MEMORY] = "memory",
    [EXIT_CR_WRITE] = "cr",              [EXIT_EXCEPTION] = "exception",
    [EXIT_XSETBV] = "xsetbv",            [EXIT_FLUSH] = "flush",
    [EXIT_UNDEFINED] = "undefined",      [EXIT_FORBIDDEN] = "forbidden",
    [EXIT_TASK_SWITCH] = "task-switch",  [EXIT_SHUTDOWN] = "shutdown",
    [EXIT_HYPERCALL] = "hypercall",      [EXIT_INVALID] = "invalid",
};

const char *exit_kind_name(enum exit_kind kind)
{
    return kind < EXIT_KINDS ? kind_names[kind] : "?";
}
