/* The vCPU for the layers above: each call goes to this CPU's cpu_backend. Contract: api/vcpu.h. */
#include "arch/x86/asm.h"
#include "arch/x86/backend.h"

struct backend cpu_backend;
void (*vcpu_enter_of_backend)(struct vcpu *vcpu, uint64_t tsc, uint64_t distance);

void backend_choose(const struct backend *chosen)
{
    cpu_backend = *chosen;
    vcpu_enter_of_backend = cpu_backend.enter;
}

void vcpu_create(struct vcpu *vcpu, struct nested *nested)
{
    cpu_backend.create(vcpu, nested);
}

void vcpu_reset(struct vcpu *vcpu)
{
    cpu_backend.reset(vcpu);
}

void vcpu_switch(struct vcpu *from, struct vcpu *to)
{
    cpu_backend.switch_hands(from, to);
}

void vcpu_hold_host(void)
{
    cpu_backend.hold_host();
}

void vcpu_release_host(void)
{
    cpu_backend.release_host();
}

void vcpu_gather(const struct vcpu *vcpu)
{
    cpu_backend.gather(vcpu);
}

bool vcpu_nmi_blocked(const struct vcpu *vcpu)
{
    return *vcpu->shadow & VCPU_SHADOW || cpu_backend.in_nmi(vcpu);
}

/* ---- states that somebody else than the guest has set ---- */

void vcpu_check_at_entry(struct vcpu *vcpu)
{
    vcpu->unchecked = true;
    vcpu->attention = true;
}

bool entry_refused(struct vcpu *vcpu)
{
    if (!vcpu->unchecked)
        return false;
    vcpu->unchecked = false;
    vcpu->fault = cpu_backend.find_fault(vcpu);
    if (!vcpu->fault)
        return false;
    uint64_t now = rdtsc();
    vcpu->exit = (struct exit){.kind = EXIT_INVALID, .entered = now, .left = now};
    return true;
}

const char *vcpu_entry_fault(const struct vcpu *vcpu)
{
    const char *fault = vcpu->fault;

    if (!fault && cpu_backend.entry_fault)
        fault = cpu_backend.entry_fault(vcpu);
    else if (!fault)
        fault = cpu_backend.find_fault(vcpu);
    return fault ? fault : "nothing that Verge knows of";
}

uint64_t vcpu_exit_code(const struct vcpu *vcpu)
{
    return vcpu->fault ? 0 : cpu_backend.exit_code(vcpu);
}

/* ---- the backend's state ---- */

void vcpu_get_control(const struct vcpu *vcpu, struct vcpu_control *control)
{
    cpu_backend.get_control(vcpu, control);
}

void vcpu_set_control(struct vcpu *vcpu, const struct vcpu_control *control)
{
    cpu_backend.set_control(vcpu, control);
    vcpu_check_at_entry(vcpu);
}

void vcpu_get_segment(const struct vcpu *vcpu, enum segment_name name, struct vcpu_segment *segment)
{
    cpu_backend.get_segment(vcpu, name, segment);
}

uint64_t vcpu_cr0(const struct vcpu *vcpu)
{
    return cpu_backend.cr0(vcpu);
}

uint64_t vcpu_cr3(const struct vcpu *vcpu)
{
    return cpu_backend.cr3(vcpu);
}

uint64_t vcpu_cr4(const struct vcpu *vcpu)
{
    return cpu_backend.cr4(vcpu);
}

uint64_t vcpu_efer(const struct vcpu *vcpu)
{
    return cpu_backend.efer(vcpu);
}

uint64_t vcpu_dr6(const struct vcpu *vcpu)
{
    return cpu_backend.dr6(vcpu);
}

uint64_t vcpu_cs_base(const struct vcpu *vcpu)
{
    return cpu_backend.cs_base(vcpu);
}

bool vcpu_in_64bit_code(const struct vcpu *vcpu)
{
    return cpu_backend.in_64bit_code(vcpu);
}

bool vcpu_in_32bit_code(const struct vcpu *vcpu)
{
    return cpu_backend.in_32bit_code(vcpu);
}

unsigned vcpu_cpl(const struct vcpu *vcpu)
{
    return cpu_backend.cpl(vcpu);
}

bool vcpu_set_cr0(struct vcpu *vcpu, uint64_t value)
{
    return cpu_backend.set_cr0(vcpu, value);
}

bool vcpu_set_cr4(struct vcpu *vcpu, uint64_t value, uint64_t allowed)
{
    return cpu_backend.set_cr4(vcpu, value, allowed);
}

void vcpu_set_cr2(struct vcpu *vcpu, uint64_t value)
{
    cpu_backend.set_cr2(vcpu, value);
}

void vcpu_set_dr6(struct vcpu *vcpu, uint64_t value)
{
    cpu_backend.set_dr6(vcpu, value);
}

unsigned vcpu_read_msr(struct vcpu *vcpu, uint32_t index)
{
    return cpu_backend.read_msr(vcpu, index);
}

bool vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    return cpu_backend.set_msr(vcpu, index, value);
}

bool vcpu_set_xcr0(struct vcpu *vcpu, uint64_t value)
{
    return cpu_backend.set_xcr0(vcpu, value);
}

bool vcpu_kept_pdpte(const struct vcpu *vcpu, unsigned index, uint64_t *entry)
{
    return cpu_backend.kept_pdpte && cpu_backend.kept_pdpte(vcpu, index, entry);
}

uint64_t vcpu_xcr0(const struct vcpu *vcpu)
{
    return cpu_backend.xcr0(vcpu);
}

void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    struct cpuid_result r = cpuid(leaf, subleaf);

    out[0] = r.eax;
    out[1] = r.ebx;
    out[2] = r.ecx;
    out[3] = r.edx;
}

static const char *const kind_names[EXIT_KINDS] = {
    [EXIT_HOST_INTERRUPT] = "interrupt",
    [EXIT_HOST_NMI] = "nmi",
    [EXIT_WINDOW] = "window",
    [EXIT_NMI_WINDOW] = "nmi-window",
    [EXIT_PORT] = "port",
    [EXIT_STRING_IO] = "string-io",
    [EXIT_CPUID] = "cpuid",
    [EXIT_HLT] = "hlt",
    [EXIT_RDMSR] = "rdmsr",
    [EXIT_WRMSR] = "wrmsr",
    [EXIT_MEMORY] = "memory",
    [EXIT_CR_WRITE] = "cr",
    [EXIT_EXCEPTION] = "exception",
    [EXIT_XSETBV] = "xsetbv",
    [EXIT_FLUSH] = "flush",
    [EXIT_UNDEFINED] = "undefined",
    [EXIT_FORBIDDEN] = "forbidden",
    [EXIT_TASK_SWITCH] = "task-switch",
    [EXIT_SHUTDOWN] = "shutdown",
    [EXIT_HYPERCALL] = "hypercall",
    [EXIT_INVALID] = "invalid",
};

const char *exit_kind_name(enum exit_kind kind)
{
    return kind < EXIT_KINDS ? kind_names[kind] : "?";
}
