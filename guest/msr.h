/*
 * Which model-specific registers a guest has, and what each does. A const table, sorted; an index that isn't
 * in it gives #GP, as hardware does. Guests probe with #GP handlers, so what a guest must not have is simply
 * absent: the local APIC's base (1Bh), TSC_ADJUST (3Bh), SMI count (34h), TSC deadline (6E0h), performance
 * counters, APERF and MPERF (E7h, E8h), energy counters, MISC_FEATURES, PLATFORM_INFO (CEh), FEATURE_CONTROL
 * (3Ah), ARCH_CAPABILITIES (10Ah).
 *
 * Present is what Linux 6.1 reads or writes without a handler on CPUs with guest/cpuid.h's features
 * (arch/x86/kernel/cpu/amd.c, intel.c, mtrr/, mce/, process.c, arch/x86/pci/amd_bus.c): HWCR with TscFreqSel,
 * or it warns that the TSC doesn't count with P0; SYSCFG, INT_PENDING, NB_CFG, MMIO_CFG_BASE; on Intel
 * MISC_ENABLE, BIOS_SIGN_ID, PLATFORM_ID. memtest86+ 6.10 reads EFER alone.
 *
 * Sources: APM vol. 2, appendix A "MSR Cross-Reference" and the sections named there; BKDG and PPR of the
 * families, "MSRs - MSRC001_0xxx"; SDM vol. 4, "Architectural MSRs"; SDM vol. 3, "Memory Type Range
 * Registers"; Linux as above.
 *
 * Choices:
 *  1. MTRRs are stored and read back and have no effect: nested paging takes memory types from elsewhere.
 * They start as firmware leaves them: enabled, write-back, 640 KB to 768 KB uncached, up to 1 MB
 * write-protected; with E = 0 Linux would switch its PAT off. (test_msr: firmware_mtrrs)
 *  2. DEBUGCTL keeps LBR and BTF and has no effect: no last-branch records (1DBh to 1DEh read 0), no
 * single-step on branches. (debugctl_is_kept)
 *  3. MCG_CAP is 0: machine checks with no bank, which Linux passes over in silence. (constants)
 *  4. DE_CFG reads as LFENCE serializing, and takes only that value. (same_value_only)
 *  5. Writes to constants that firmware or Linux makes for form's sake (BIOS_SIGN_ID, P5 machine check,
 * INT_PENDING, MMIO_CFG_BASE) are ignored. (constants)
 *
 * Pure tables and functions; on the path of an exit: no division, and one index for all but some of AMD's at
 * C001xxxxh, which are searched for.
 */
#ifndef GUEST_MSR_H
#define GUEST_MSR_H

#include "guest/cpuid.h"

enum msr_kind {
    MSR_VCPU,     /* lives in the vCPU: the caller reads and writes it there */
    MSR_TSC,      /* guest clock + bias: the caller's */
    MSR_COMMAND,  /* PRED_CMD: a write goes to the CPU at once; reading gives #GP */
    MSR_CONSTANT, /* reads `value` */
    MSR_STORED,   /* a slot of the VM that starts as `value`; no effect */
};

/* Which values a write may have; any other gives #GP. */
enum msr_rule {
    MSR_RULE_MASK,       /* all bits but those of `writable` are as in `value` */
    MSR_RULE_IGNORE,     /* any; nothing is stored */
    MSR_RULE_SAME,       /* just `value` */
    MSR_RULE_NEVER,      /* none */
    MSR_RULE_CANONICAL,  /* a canonical 48-bit address */
    MSR_RULE_PAT,        /* eight memory types of PAT */
    MSR_RULE_MTRR_TYPES, /* eight memory types of MTRRs */
    MSR_RULE_MTRR_DEFAULT,
    MSR_RULE_MTRR_BASE_MASK, /* even: base, odd: mask; below the physical address size */
    MSR_RULE_EFER,           /* the policy's efer_mask, and LMA, which the caller keeps as it is */
    MSR_RULE_SPEC_CTRL,      /* the policy's masks */
    MSR_RULE_PRED_CMD,
};

/* `first` to `last`, alike but for their slots. */
struct msr_entry {
    uint32_t first, last;
    const char *name;
    uint8_t kind;  /* enum msr_kind */
    uint8_t rule;  /* enum msr_rule */
    uint8_t needs; /* MSR_NEEDS_ bits, all */
    uint8_t slot;  /* MSR_STORED: that of `first` */
    uint64_t value;
    uint64_t writable; /* MSR_RULE_MASK */
};

enum {
    MSR_NEEDS_INTEL = 1,
    MSR_NEEDS_AMD = 2,
    MSR_NEEDS_TSC_AUX = 4, /* RDTSCP or RDPID */
    MSR_NEEDS_SPEC_CTRL = 8,
    MSR_NEEDS_PRED_CMD = 16,
};

extern const struct msr_entry msr_entries[];
extern const unsigned msr_entry_count;

#define MSR_SLOTS 40

/* The stored MSRs of a VM: guest-visible state, plain. */
struct msr_slots {
    uint64_t value[MSR_SLOTS];
};

/* The ranges in which nearly all MSRs lie: there an entry is found by one index. */
#define MSR_LOW        0x300u
#define MSR_HIGH_FIRST 0xC0000000u
#define MSR_HIGH       0x200u

#define MSR_IN_VCPU 0x80u /* of kind MSR_VCPU */

/* What the CPUID policy makes of the table. Const once built. */
struct msr_policy {
    uint8_t low[MSR_LOW];   /* index -> number of its entry + 1, and MSR_IN_VCPU; 0: none */
    uint8_t high[MSR_HIGH]; /* the same for index - MSR_HIGH_FIRST */
    uint8_t has;            /* MSR_NEEDS_ bits that this VM fulfils */
    uint8_t phys_bits;
    uint64_t efer_mask, spec_ctrl_mask, pred_cmd_mask;
};

void msr_policy_build(struct msr_policy *policy, const struct cpuid_policy *cpuid);

/* Fills `low` and `high`; to be called when `has` was changed. */
void msr_policy_index(struct msr_policy *policy);

/* The state at power-on. */
void msr_slots_reset(struct msr_slots *slots);

/* The entry of an index, or NULL: #GP. By search: for indices beyond the two ranges. */
const struct msr_entry *msr_policy_search(const struct msr_policy *policy, uint32_t index);

static inline const struct msr_entry *msr_policy_find(const struct msr_policy *policy, uint32_t index)
{
    unsigned number;

    if (index - MSR_HIGH_FIRST < MSR_HIGH)
        number = policy->high[index - MSR_HIGH_FIRST];
    else if (index < MSR_LOW)
        number = policy->low[index];
    else
        return msr_policy_search(policy, index);
    return number ? &msr_entries[(number & ~MSR_IN_VCPU) - 1] : NULL;
}

/* Reading it is just reading the vCPU. (False says nothing.) */
static inline bool msr_policy_in_vcpu(const struct msr_policy *policy, uint32_t index)
{
    if (index - MSR_HIGH_FIRST < MSR_HIGH)
        return policy->high[index - MSR_HIGH_FIRST] & MSR_IN_VCPU;
    return index < MSR_LOW && policy->low[index] & MSR_IN_VCPU;
}

/* May this value be written to `index` of `entry`? False: #GP. Of a stored or constant one, MSR_RULE_IGNORE
 * included, the rest is msr_policy_write()'s. */
bool msr_policy_write_ok(const struct msr_policy *policy, const struct msr_entry *entry, uint32_t index,
                         uint64_t value);

enum msr_result {
    MSR_DONE,    /* read into *value, or written */
    MSR_FAULT,   /* #GP(0) */
    MSR_ON_VCPU, /* the caller's: vcpu_get_msr(), vcpu_set_msr(); a write was checked */
    MSR_ON_TSC,  /* the caller's: guest clock and bias */
    MSR_ON_CPU,  /* the caller's: write it to the physical CPU */
};

/* All of RDMSR and WRMSR but what only the caller can do. */
static inline enum msr_result msr_policy_read(const struct msr_policy *policy, const struct msr_slots *slots,
                                              uint32_t index, uint64_t *value)
{
    const struct msr_entry *entry = msr_policy_find(policy, index);

    if (!entry)
        return MSR_FAULT;
    switch ((enum msr_kind)entry->kind) {
    case MSR_VCPU:
        return MSR_ON_VCPU;
    case MSR_TSC:
        return MSR_ON_TSC;
    case MSR_CONSTANT:
        *value = entry->value;
        return MSR_DONE;
    case MSR_STORED:
        *value = slots->value[entry->slot + (index - entry->first)];
        return MSR_DONE;
    default:
        return MSR_FAULT;
    }
}
enum msr_result msr_policy_write(const struct msr_policy *policy, struct msr_slots *slots, uint32_t index,
                                 uint64_t value);

#endif
