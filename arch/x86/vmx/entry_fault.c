/* Why an entry failed: from the exit reason, the VM-instruction error and the VMCS. Source: Intel SDM vol. 3,
 * "VM-Entry Failures During or After Loading Guest State", "VM Instruction Error Numbers". */
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/vmx/backend.h"
#include "arch/x86/vmx/check.h"
#include "arch/x86/vmx/vmx.h"

#define ERROR_CONTROLS   7u
#define ERROR_HOST_STATE 8u

static void read_segments(struct vmx_guest_state *state)
{
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        state->segments[i] =
            (struct vmx_segment_state){.base = vmx_read(VMCS_GUEST_ES_BASE + 2 * i),
                                       .limit = (uint32_t)vmx_read(VMCS_GUEST_ES_LIMIT + 2 * i),
                                       .rights = (uint32_t)vmx_read(VMCS_GUEST_ES_RIGHTS + 2 * i),
                                       .selector = (uint16_t)vmx_read(VMCS_GUEST_ES + 2 * i)};
    state->gdtr =
        (struct vcpu_table){vmx_read(VMCS_GUEST_GDTR_BASE), (uint32_t)vmx_read(VMCS_GUEST_GDTR_LIMIT)};
    state->idtr =
        (struct vcpu_table){vmx_read(VMCS_GUEST_IDTR_BASE), (uint32_t)vmx_read(VMCS_GUEST_IDTR_LIMIT)};
}

static void read_state(struct vmx_guest_state *state)
{
    *state = (struct vmx_guest_state){
        .cr0_shadow = vmx_read(VMCS_CR0_SHADOW),
        .cr0 = vmx_read(VMCS_GUEST_CR0),
        .cr3 = vmx_read(VMCS_GUEST_CR3),
        .cr4 = vmx_read(VMCS_GUEST_CR4),
        .efer = vmx_read(VMCS_GUEST_EFER),
        .rflags = vmx_read(VMCS_GUEST_RFLAGS),
        .rip = vmx_read(VMCS_GUEST_RIP),
        .dr7 = vmx_read(VMCS_GUEST_DR7),
        .debugctl = vmx_read(VMCS_GUEST_DEBUGCTL),
        .pat = vmx_read(VMCS_GUEST_PAT),
        .sysenter_esp = vmx_read(VMCS_GUEST_SYSENTER_ESP),
        .sysenter_eip = vmx_read(VMCS_GUEST_SYSENTER_EIP),
        .pending_debug = vmx_read(VMCS_GUEST_PENDING_DEBUG),
        .link_pointer = vmx_read(VMCS_LINK_POINTER),
        .activity = (uint32_t)vmx_read(VMCS_GUEST_ACTIVITY),
        .interruptibility = (uint32_t)vmx_read(VMCS_GUEST_SHADOW),
        .event = (uint32_t)vmx_read(VMCS_ENTRY_EVENT),
        .event_length = (uint32_t)vmx_read(VMCS_ENTRY_LENGTH),
        .entry_64bit = vmx_read(VMCS_ENTRY_CONTROLS) & ENTRY_GUEST_64BIT,
        .cr0_fixed0 = vmx_features.cr0_fixed0,
        .cr0_fixed1 = vmx_features.cr0_fixed1,
        .cr4_fixed0 = vmx_features.cr4_fixed0,
        .cr4_fixed1 = vmx_features.cr4_fixed1,
        .physical_bits = vmx_features.physical_bits,
    };
    for (unsigned i = 0; i < 4; i++)
        state->pdpte[i] = vmx_read(VMCS_GUEST_PDPTE0 + 2 * i);
    read_segments(state);
}

const char *vmx_find_fault(const struct vcpu *vcpu)
{
    static PER_CPU struct vmx_guest_state state;

    vmx_select(vcpu);
    read_state(&state);
    return vmx_guest_fault(&state);
}

const char *vmx_vcpu_entry_fault(const struct vcpu *vcpu)
{
    uint32_t reason = vcpu->backend->reason & ~REASON_ENTRY_FAILED;
    uint64_t error;

    vmx_select(vcpu);
    switch (reason) {
    case REASON_MSR_LOADING:
        return "an MSR of the entry's list can't be loaded";
    case REASON_EPT_MISCONFIGURATION:
        return "the nested page tables hold an entry that doesn't exist";
    case REASON_INVALID_STATE:
        break;
    default: /* another exit reason, or the instruction itself failed */
        if (!vcpu->backend->instruction_failed)
            return "an exit that Verge knows nothing of";
        error = vmx_read(VMCS_INSTRUCTION_ERROR);
        if (error == ERROR_HOST_STATE)
            return "the monitor's own state in the VMCS is wrong";
        if (error != ERROR_CONTROLS)
            return "the VMCS can't be entered";
        break;
    }
    return vmx_find_fault(vcpu);
}
