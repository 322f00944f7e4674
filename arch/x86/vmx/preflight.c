/*
 * What a CPU lacks to run guests by VT-x, in one line, and the control words that hold on it; the contract is
 * in vmx.h. On each CPU, before vmx_enable(). Source: Intel SDM vol. 3, "Enabling and Entering VMX
 * Operation", appendix A "VMX Capability Reporting Facility".
 */
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/vmx/vmx.h"

#define IN_THE_FIRMWARE "\"Intel Virtualization Technology\" in the firmware's CPU settings"
#define OFF_AND_ON      " and switch the machine off and on"
#define EPT_NEEDED      (EPT_WALK_4 | EPT_WRITE_BACK | EPT_2M | EPT_INVEPT)

PER_CPU struct vmx_controls vmx_controls;

const char *vmx_unlock(void)
{
    uint64_t feature;

    if (!rdmsr_safe(MSR_FEATURE_CONTROL, &feature))
        return "this CPU's VT-x can't be asked for its lock (IA32_FEATURE_CONTROL): enable " IN_THE_FIRMWARE
               ", or in a virtual machine nested virtualisation";
    if (!(feature & FEATURE_LOCK)) {
        wrmsr_safe(MSR_FEATURE_CONTROL, feature | FEATURE_LOCK | FEATURE_VMX);
        if (!rdmsr_safe(MSR_FEATURE_CONTROL, &feature) || !(feature & FEATURE_LOCK))
            return "VT-x is off and can't be switched on (IA32_FEATURE_CONTROL): enable " IN_THE_FIRMWARE;
    }
    if (feature & FEATURE_VMX)
        return NULL;
    if (feature & FEATURE_VMX_IN_SMX)
        return "VT-x is locked by the firmware to what Intel TXT starts: disable \"Intel Trusted "
               "Execution\" (TXT) or enable " IN_THE_FIRMWARE OFF_AND_ON;
    return "VT-x is locked off by the firmware: enable " IN_THE_FIRMWARE OFF_AND_ON;
}

/* A control word: bits that must be 1 are in the MSR's low half, bits that may be 1 in its high half. */
static bool control_word(uint32_t msr, uint32_t needed, uint32_t wished, uint32_t *word)
{
    uint64_t allowed = rdmsr(msr);
    uint32_t must = (uint32_t)allowed, may = (uint32_t)(allowed >> 32);

    *word = ((needed | wished) & may) | must;
    return (needed & ~may) == 0;
}

/* The primary words; `exact`: by the MSRs that tell which of the bits once fixed to 1 may be 0. */
static bool choose_primary(bool exact)
{
    struct vmx_controls *c = &vmx_controls;
    bool pin =
        control_word(exact ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN,
                     PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS, PIN_PREEMPTION_TIMER, &c->pin);
    bool cpu = control_word(exact ? MSR_VMX_TRUE_CPU : MSR_VMX_CPU,
                            CPU_TSC_OFFSET | CPU_HLT | CPU_MWAIT | CPU_RDPMC | CPU_CR8_LOAD | CPU_TPR_SHADOW |
                                CPU_ALL_IO | CPU_MSR_BITMAP | CPU_MONITOR,
                            CPU_SECONDARY, &c->cpu);
    bool leave = control_word(exact ? MSR_VMX_TRUE_EXIT : MSR_VMX_EXIT,
                              LEAVE_HOST_64BIT | LEAVE_SAVE_DEBUG | LEAVE_SAVE_PAT | LEAVE_LOAD_PAT |
                                  LEAVE_SAVE_EFER | LEAVE_LOAD_EFER,
                              0, &c->exit);
    bool entry = control_word(exact ? MSR_VMX_TRUE_ENTRY : MSR_VMX_ENTRY,
                              ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER, 0, &c->entry);

    return pin && cpu && leave && entry;
}

static void choose_secondary(void)
{
    vmx_controls.cpu2 = 0;
    if (vmx_controls.cpu & CPU_SECONDARY)
        control_word(MSR_VMX_CPU2, CPU2_EPT | CPU2_UNRESTRICTED_GUEST,
                     CPU2_RDTSCP | CPU2_VPID | CPU2_WBINVD | CPU2_RDRAND | CPU2_RDSEED | CPU2_INVPCID |
                         CPU2_ENCLS | CPU2_PCONFIG | CPU2_NOTIFY_WINDOW,
                     &vmx_controls.cpu2);
}

/* Oldest CPUs lack most: what they have least is named first. */
static const char *choose_controls(void)
{
    bool exact = rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE;
    bool primary = choose_primary(exact);

    choose_secondary();
    if (!(vmx_controls.cpu2 & CPU2_EPT))
        return "this CPU's VT-x has no nested paging (EPT), which Verge needs";
    if (!(vmx_controls.cpu2 & CPU2_UNRESTRICTED_GUEST))
        return "this CPU's VT-x has no unrestricted guests, which Verge needs";
    if (vmx_controls.cpu & (CPU_CR3_LOAD | CPU_CR3_STORE | CPU_RDTSC))
        return exact ? "this CPU's VT-x forces exits at CR3 or RDTSC, which Verge can't have"
                     : "this CPU's VT-x reports no TRUE controls, without which each use of CR3 exits";
    if (!primary)
        return "this CPU's VT-x lacks virtual NMIs, the TPR shadow, the MSR bitmap, or the switch of PAT and "
               "EFER, which Verge needs";
    return NULL;
}

const char *vmx_preflight(void)
{
    if (!(cpuid(1, 0).ecx & BIT(5)))
        return "this CPU has no Intel VT-x, or the firmware hides it: enable " IN_THE_FIRMWARE;
    const char *reason = vmx_unlock();
    if (!reason)
        reason = choose_controls();
    if (!reason && (rdmsr(MSR_VMX_EPT_VPID) & EPT_NEEDED) != EPT_NEEDED)
        reason = "this CPU's EPT lacks 2 MB pages, write-back memory or INVEPT, which Verge needs";
    return reason;
}
