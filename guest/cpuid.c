/* Looking up the guest's CPUID, on the path of a hot exit. The contract and the sources are in cpuid.h;
 * cpuid_build.c fills the policy. */
#include "guest/cpuid.h"
#include "lib/string.h"

#define CR4_OSXSAVE  BIT64(18)
#define XSAVE_LEGACY 512u /* x87 and SSE */
#define XSAVE_HEADER 64u

uint32_t cpuid_xsave_size(const struct cpuid_policy *policy, uint64_t xcr0, bool compacted)
{
    uint32_t size = XSAVE_LEGACY + XSAVE_HEADER;

    for (unsigned i = 2; i < CPUID_XSAVE_PARTS; i++) {
        if (!(xcr0 & BIT64(i)))
            continue;
        if (!compacted) {
            size = MAX(size, policy->xsave[i].offset + policy->xsave[i].size);
            continue;
        }
        if (policy->xsave[i].align64)
            size = ALIGN_UP(size, 64u);
        size += policy->xsave[i].size;
    }
    return size;
}

static const struct cpuid_leaf *find_leaf(const struct cpuid_policy *policy, uint32_t leaf)
{
    static const struct cpuid_leaf zero;

    if (leaf <= policy->max_basic)
        return &policy->basic[leaf];
    if (leaf - BIT(31) <= policy->max_extended)
        return &policy->extended[leaf - BIT(31)];
    if (leaf - CPUID_HYPERVISOR <= 0xFF)
        return leaf - CPUID_HYPERVISOR <= CPUID_TIMING ? &policy->hypervisor[leaf - CPUID_HYPERVISOR] : &zero;
    return &policy->beyond;
}

static void add_live(const struct cpuid_policy *policy, unsigned live, uint32_t subleaf, uint64_t cr4,
                     uint64_t xcr0, uint32_t out[4])
{
    if (live == CPUID_LIVE_OSXSAVE) {
        if (cr4 & policy->cr4_mask & CR4_OSXSAVE)
            out[CPUID_ECX] |= BIT(27);
    } else if (live == CPUID_LIVE_XSAVE) {
        if (subleaf == 0)
            out[CPUID_EBX] = cpuid_xsave_size(policy, xcr0, false);
        else if (subleaf == 1 && out[CPUID_EAX] & BIT(1))
            out[CPUID_EBX] = cpuid_xsave_size(policy, xcr0, true);
    } else if (subleaf >= CPUID_TOPOLOGY_LEVELS) {
        out[CPUID_ECX] = subleaf & 0xFF;
    }
}

void cpuid_lookup(const struct cpuid_policy *policy, uint32_t leaf, uint32_t subleaf, uint64_t cr4,
                  uint64_t xcr0, uint32_t out[4])
{
    const struct cpuid_leaf *found = find_leaf(policy, leaf);
    unsigned slot = found->slot;

    if (found->subleaves)
        slot = subleaf < found->subleaves ? slot + subleaf : 0;
    memcpy(out, policy->slots[slot], sizeof policy->slots[0]);
    if (found->live)
        add_live(policy, found->live, subleaf, cr4, xcr0, out);
}

bool cpuid_has(const struct cpuid_policy *policy, uint32_t leaf, enum cpuid_register reg, unsigned bit)
{
    uint32_t out[4];

    /* No out-of-range leaf's data may answer for it. */
    if (leaf & BIT(31) ? leaf - BIT(31) > policy->max_extended : leaf > policy->max_basic)
        return false;
    cpuid_lookup(policy, leaf, 0, 0, 0, out);
    return out[reg] & BIT(bit);
}
