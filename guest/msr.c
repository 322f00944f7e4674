/* The table of a guest's MSRs and the few functions over it. The contract, the sources and the choices are in
 * msr.h. */
#include "guest/msr.h"

/* One slot each, in the order of the stored entries. */
enum {
    SLOT_MCG_STATUS,
    SLOT_MISC_ENABLE,
    SLOT_DEBUGCTL,
    SLOT_MTRR_VARIABLE,
    SLOT_MTRR_FIX64K = SLOT_MTRR_VARIABLE + 16,
    SLOT_MTRR_FIX16K,
    SLOT_MTRR_FIX16K_A0000,
    SLOT_MTRR_FIX4K,
    SLOT_MTRR_DEFAULT = SLOT_MTRR_FIX4K + 8,
    SLOT_SYSCFG,
    SLOT_HWCR,
    SLOT_TOP_MEM,
    SLOT_TOP_MEM2,
    SLOT_NB_CFG,
    SLOT_COUNT
};
_Static_assert(SLOT_COUNT <= MSR_SLOTS, "more slots than a VM has");

#define ALL_WRITE_BACK      UINT64_C(0x0606060606060606)
#define ALL_WRITE_PROTECTED UINT64_C(0x0505050505050505)

#define VCPU(rule_)             .kind = MSR_VCPU, .rule = MSR_RULE_##rule_
#define CONSTANT(value_, rule_) .kind = MSR_CONSTANT, .value = value_, .rule = MSR_RULE_##rule_
#define STORED(slot_, value_, writable_)                                                                     \
    .kind = MSR_STORED, .slot = SLOT_##slot_, .value = value_, .writable = writable_, .rule = MSR_RULE_MASK
#define STORED_AS(slot_, value_, rule_)                                                                      \
    .kind = MSR_STORED, .slot = SLOT_##slot_, .value = value_, .rule = MSR_RULE_##rule_
#define INTEL .needs = MSR_NEEDS_INTEL
#define AMD   .needs = MSR_NEEDS_AMD

/* Sorted by `first`; an index with one entry for each vendor has Intel's first. */
const struct msr_entry msr_entries[] = {
    {0x0, 0x1, "P5_MC_ADDR, P5_MC_TYPE", CONSTANT(0, IGNORE)},
    {0x10, 0x10, "TSC", .kind = MSR_TSC, .rule = MSR_RULE_MASK, .writable = UINT64_MAX},
    {0x17, 0x17, "PLATFORM_ID", CONSTANT(0, NEVER), INTEL},
    {0x48, 0x48, "SPEC_CTRL", VCPU(SPEC_CTRL), .needs = MSR_NEEDS_SPEC_CTRL},
    {0x49, 0x49, "PRED_CMD", .kind = MSR_COMMAND, .rule = MSR_RULE_PRED_CMD, .needs = MSR_NEEDS_PRED_CMD},
    {0x8B, 0x8B, "BIOS_SIGN_ID", CONSTANT(UINT64_C(1) << 32, IGNORE),
     INTEL}, /* the revision is in the high half */
    {0x8B, 0x8B, "PATCH_LEVEL", CONSTANT(0x01000065, NEVER), AMD},
    {0xFE, 0xFE, "MTRRcap", CONSTANT(0x508, NEVER)}, /* 8 variable ranges, fixed ones, write combining */
    {0x174, 0x174, "SYSENTER_CS", VCPU(MASK), .writable = UINT64_MAX},
    {0x175, 0x176, "SYSENTER_ESP, SYSENTER_EIP", VCPU(CANONICAL)},
    {0x179, 0x179, "MCG_CAP", CONSTANT(0, NEVER)},
    {0x17A, 0x17A, "MCG_STATUS", STORED(MCG_STATUS, 0, 7)},
    /* Fast strings on; branch trace and PEBS unavailable. Firmware and Linux may clear the CPUID limit and XD
       disable: they are. */
    {0x1A0, 0x1A0, "MISC_ENABLE", STORED(MISC_ENABLE, 0x1801, 1), INTEL},
    {0x1D9, 0x1D9, "DEBUGCTL", STORED(DEBUGCTL, 0, 3)},
    {0x1DB, 0x1DE, "LAST_BRANCH, LAST_INT", CONSTANT(0, NEVER)},
    {0x200, 0x20F, "MTRRphysBase, MTRRphysMask", STORED_AS(MTRR_VARIABLE, 0, MTRR_BASE_MASK)},
    {0x250, 0x250, "MTRRfix64K_00000", STORED_AS(MTRR_FIX64K, ALL_WRITE_BACK, MTRR_TYPES)},
    {0x258, 0x258, "MTRRfix16K_80000", STORED_AS(MTRR_FIX16K, ALL_WRITE_BACK, MTRR_TYPES)},
    {0x259, 0x259, "MTRRfix16K_A0000", STORED_AS(MTRR_FIX16K_A0000, 0, MTRR_TYPES)},
    {0x268, 0x26F, "MTRRfix4K_C0000 to F8000", STORED_AS(MTRR_FIX4K, ALL_WRITE_PROTECTED, MTRR_TYPES)},
    {0x277, 0x277, "PAT", VCPU(PAT)},
    {0x2FF, 0x2FF, "MTRRdefType", STORED_AS(MTRR_DEFAULT, 0xC06, MTRR_DEFAULT)}, /* E, FE, write-back */
    {0xC0000080, 0xC0000080, "EFER", VCPU(EFER)},
    {0xC0000081, 0xC0000081, "STAR", VCPU(MASK), .writable = UINT64_MAX},
    {0xC0000082, 0xC0000083, "LSTAR, CSTAR", VCPU(CANONICAL)},
    {0xC0000084, 0xC0000084, "SFMASK", VCPU(MASK), .writable = UINT64_MAX},
    {0xC0000100, 0xC0000102, "FS_BASE, GS_BASE, KERNEL_GS_BASE", VCPU(CANONICAL)},
    {0xC0000103, 0xC0000103, "TSC_AUX", VCPU(MASK), .writable = UINT32_MAX, .needs = MSR_NEEDS_TSC_AUX},
    {0xC0010010, 0xC0010010, "SYSCFG", STORED(SYSCFG, 0, 0x7C0000),
     AMD}, /* MtrrFixDramEn to Tom2ForceMemTypeWB */
    /* TscFreqSel (24) set; TLBCACHEDIS, FFDIS, IgnneEm, McStatusWrEn may be. */
    {0xC0010015, 0xC0010015, "HWCR", STORED(HWCR, 0x1000000, 0x40148), AMD},
    {0xC001001A, 0xC001001A, "TOP_MEM", STORED(TOP_MEM, 0, UINT64_C(0x000FFFFFFF800000)), AMD},
    {0xC001001D, 0xC001001D, "TOP_MEM2", STORED(TOP_MEM2, 0, UINT64_C(0x000FFFFFFF800000)), AMD},
    {0xC001001F, 0xC001001F, "NB_CFG", STORED(NB_CFG, 0, BIT64(46)),
     AMD}, /* EnableCf8ExtCfg: Linux sets it */
    {0xC0010055, 0xC0010055, "INT_PENDING", CONSTANT(0, IGNORE), AMD},
    {0xC0010058, 0xC0010058, "MMIO_CFG_BASE", CONSTANT(0, IGNORE), AMD},
    {0xC0011029, 0xC0011029, "DE_CFG", CONSTANT(2, SAME), AMD},
};

const unsigned msr_entry_count = ARRAY_SIZE(msr_entries);

void msr_slots_reset(struct msr_slots *slots)
{
    *slots = (struct msr_slots){{0}};
    for (unsigned i = 0; i < ARRAY_SIZE(msr_entries); i++) {
        const struct msr_entry *entry = &msr_entries[i];

        for (uint32_t index = entry->first; entry->kind == MSR_STORED && index <= entry->last; index++)
            slots->value[entry->slot + (index - entry->first)] = entry->value;
    }
}

static bool present(const struct msr_policy *policy, const struct msr_entry *entry, uint32_t index)
{
    return index >= entry->first && index <= entry->last && (entry->needs & policy->has) == entry->needs;
}

const struct msr_entry *msr_policy_search(const struct msr_policy *policy, uint32_t index)
{
    unsigned low = 0, high = ARRAY_SIZE(msr_entries);

    while (high - low > 1) { /* the last entry that begins at or below the index */
        unsigned middle = (low + high) >> 1;

        if (msr_entries[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    if (present(policy, &msr_entries[low], index))
        return &msr_entries[low];
    return low > 0 && present(policy, &msr_entries[low - 1], index) ? &msr_entries[low - 1] : NULL;
}

static uint8_t number_of(const struct msr_policy *policy, uint32_t index)
{
    const struct msr_entry *entry = msr_policy_search(policy, index);

    _Static_assert(ARRAY_SIZE(msr_entries) < MSR_IN_VCPU, "an entry's number fits beside the flag");
    return entry ? (uint8_t)((entry - msr_entries + 1) | (entry->kind == MSR_VCPU ? MSR_IN_VCPU : 0)) : 0;
}

void msr_policy_index(struct msr_policy *policy)
{
    for (uint32_t i = 0; i < MSR_LOW; i++)
        policy->low[i] = number_of(policy, i);
    for (uint32_t i = 0; i < MSR_HIGH; i++)
        policy->high[i] = number_of(policy, MSR_HIGH_FIRST + i);
}

void msr_policy_build(struct msr_policy *policy, const struct cpuid_policy *cpuid)
{
    bool tsc_aux = cpuid_has(cpuid, 0x80000001, CPUID_EDX, 27) || cpuid_has(cpuid, 7, CPUID_ECX, 22);

    *policy = (struct msr_policy){
        .phys_bits = cpuid->phys_bits,
        .efer_mask = cpuid->efer_mask,
        .spec_ctrl_mask = cpuid->spec_ctrl_mask,
        .pred_cmd_mask = cpuid->pred_cmd_mask,
        .has =
            (uint8_t)((cpuid->vendor == CPU_AMD ? MSR_NEEDS_AMD : MSR_NEEDS_INTEL) |
                      (tsc_aux ? MSR_NEEDS_TSC_AUX : 0) | (cpuid->spec_ctrl_mask ? MSR_NEEDS_SPEC_CTRL : 0) |
                      (cpuid->pred_cmd_mask ? MSR_NEEDS_PRED_CMD : 0)),
    };
    msr_policy_index(policy);
}

/* SDM vol. 3, "Memory Cacheability Control": UC, WC, WT, WP, WB; APM vol. 2, "Memory-Typing MSRs". PAT also
 * has UC-. */
static bool type_ok(unsigned type, bool pat)
{
    return type == 0 || type == 1 || type == 4 || type == 5 || type == 6 || (pat && type == 7);
}

static bool types_ok(uint64_t value, bool pat)
{
    for (unsigned i = 0; i < 64; i += 8)
        if (!type_ok((unsigned)(value >> i) & 0xFF, pat))
            return false;
    return true;
}

static bool mtrr_range_ok(uint32_t index, uint64_t value, unsigned phys_bits)
{
    bool is_mask = index & 1;

    if (value >> phys_bits)
        return false;
    return is_mask ? (value & 0x7FF) == 0 : (value & 0xF00) == 0 && type_ok((unsigned)value & 0xFF, false);
}

bool msr_policy_write_ok(const struct msr_policy *policy, const struct msr_entry *entry, uint32_t index,
                         uint64_t value)
{
    switch ((enum msr_rule)entry->rule) {
    case MSR_RULE_MASK:
        return ((value ^ entry->value) & ~entry->writable) == 0;
    case MSR_RULE_IGNORE:
        return true;
    case MSR_RULE_SAME:
        return value == entry->value;
    case MSR_RULE_NEVER:
        return false;
    case MSR_RULE_CANONICAL:
        return (uint64_t)((int64_t)(value << 16) >> 16) == value;
    case MSR_RULE_PAT:
        return types_ok(value, true);
    case MSR_RULE_MTRR_TYPES:
        return types_ok(value, false);
    case MSR_RULE_MTRR_DEFAULT:
        return (value & ~UINT64_C(0xCFF)) == 0 && type_ok((unsigned)value & 0xFF, false);
    case MSR_RULE_MTRR_BASE_MASK:
        return mtrr_range_ok(index, value, policy->phys_bits);
    case MSR_RULE_EFER:
        return (value & ~(policy->efer_mask | BIT64(10))) == 0;
    case MSR_RULE_SPEC_CTRL:
        return (value & ~policy->spec_ctrl_mask) == 0;
    case MSR_RULE_PRED_CMD:
        return (value & ~policy->pred_cmd_mask) == 0;
    }
    return false;
}

enum msr_result msr_policy_write(const struct msr_policy *policy, struct msr_slots *slots, uint32_t index,
                                 uint64_t value)
{
    const struct msr_entry *entry = msr_policy_find(policy, index);

    if (!entry || !msr_policy_write_ok(policy, entry, index, value))
        return MSR_FAULT;
    switch ((enum msr_kind)entry->kind) {
    case MSR_VCPU:
        return MSR_ON_VCPU;
    case MSR_TSC:
        return MSR_ON_TSC;
    case MSR_COMMAND:
        return MSR_ON_CPU;
    case MSR_STORED:
        slots->value[entry->slot + (index - entry->first)] = value;
        break;
    case MSR_CONSTANT:
        break;
    }
    return MSR_DONE;
}
