/*
 * Why a VM entry refuses a guest's state, in words. VT-x says no more than that it does; here are its checks
 * once more, in the manual's order. Pure. Source: Intel SDM vol. 3, "Checks on the Guest State Area", "Checks
 * on VMX Controls", "Loading Page-Directory-Pointer-Table Entries".
 */
#ifndef ARCH_X86_VMX_CHECK_H
#define ARCH_X86_VMX_CHECK_H

#include "arch/x86/api/vcpu.h"

struct vmx_segment_state {
    uint64_t base;
    uint32_t limit, rights; /* rights as the VMCS has them */
    uint16_t selector;
};

/* What the VMCS holds of a guest, and what the CPU allows. */
struct vmx_guest_state {
    uint64_t cr0_shadow; /* as the guest reads it; not looked at by the CPU */
    uint64_t cr0, cr3, cr4, efer, rflags, rip, dr7, debugctl, pat;
    uint64_t sysenter_esp, sysenter_eip, pending_debug, link_pointer;
    uint64_t pdpte[4];
    struct vmx_segment_state segments[SEGMENT_COUNT];
    struct vcpu_table gdtr, idtr;
    uint32_t activity, interruptibility;
    uint32_t event, event_length;
    bool entry_64bit; /* the control "IA-32e mode guest" */
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    unsigned physical_bits; /* of the CPU's addresses */
};

/* One sentence without its full stop; NULL when all checks pass. */
const char *vmx_guest_fault(const struct vmx_guest_state *state);

#endif
