/* VT-x of this CPU: what its capability MSRs allow, switching it on, tables that all guests share. */
#ifndef ARCH_X86_VMX_VMX_H
#define ARCH_X86_VMX_VMX_H

#include "arch/x86/vmx/vmcs.h"
#include "lib/base.h"

/* Control words that hold on this CPU: what Verge wants, and what the CPU forces. */
struct vmx_controls {
    uint32_t pin, cpu, cpu2, exit, entry;
};
extern struct vmx_controls vmx_controls;

/* What a CPU may have beside what Verge needs. */
struct vmx_features {
    bool vpid, ept_accessed_dirty, invept_single;
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    uint32_t revision;
    unsigned physical_bits;  /* of the CPU's addresses */
    uint64_t pdpte_reserved; /* bits of a present entry that must be 0 */
};
extern struct vmx_features vmx_features;

/* NULL when guests can run; else one line with the reason and the firmware setting to change (preflight.c).
 * vmx_controls is then valid. */
const char *vmx_preflight(void);

/* IA32_FEATURE_CONTROL of this CPU allows VMXON: firmware has set it, or has left that to us. NULL, or the
 * line. */
const char *vmx_unlock(void);

/* VMXON and the tables. False with a logged reason. */
bool vmx_enable(void);

/* Physical addresses, shared by all guests. */
uint64_t vmx_msr_bitmap(void);
uint64_t vmx_virtual_apic(void);

#endif
