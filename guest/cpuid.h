/*
 * What CPUID tells a guest. Built once per VM from the host's CPUID, or a model's (guest/cpuid_level.h), and
 * a const table of the features that pass (guest/cpuid_table.c: what isn't in it is hidden), into flat
 * arrays: a lookup is one index, without a search or a division, for it is a hot exit.
 *
 * A guest has one CPU without a local APIC, an invariant TSC, and the hypervisor bit. Nothing that would give
 * it host time or entropy passes (docs/time.md): no performance counters, APERF/MPERF, RDPRU,
 * MONITOR/MWAIT, WAITPKG, RDRAND, RDSEED; no TSC_ADJUST, TSC-deadline or leaf 15h and 16h, whose rates would
 * be the host's own. Nor what the monitor doesn't switch: PKU, CET, AMX, MPX, LWP, XSAVES; nor VMX, SVM, SMX,
 * SGX, PT, RTM and HLE.
 *
 * Leaves: 0 to 0Dh, 80000000h to 80000021h, 40000000h and 40000010h, as far as the host has them. Above the
 * highest basic leaf an Intel host's guest gets the data of the highest basic leaf, an AMD host's guest zeros
 * (SDM vol. 2, "CPUID"; APM vol. 3, "CPUID"), a model's zeros; 40000000h to 400000FFh are zero but for the
 * two.
 *
 * Sources: APM vol. 3, appendix E "Obtaining Processor Information Via the CPUID Instruction"; SDM vol. 2,
 * "CPUID - CPU Identification"; XSAVE sizes: SDM vol. 1, "XSAVE Area". Leaf 40000010h: the timing leaf that
 * VMware defined and Linux, BSD and Xen know.
 */
#ifndef GUEST_CPUID_H
#define GUEST_CPUID_H

#include "lib/base.h"

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* The host's CPUID: host_cpuid() of arch/x86/api, or a model in tests. */
typedef void cpuid_source(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

enum cpu_vendor { CPU_INTEL = 1, CPU_AMD = 2 }; /* bits; Hygon counts as AMD, all others as Intel */

#define CPUID_MAX_BASIC    0x0Du
#define CPUID_MAX_EXTENDED 0x21u /* + 80000000h */
#define CPUID_HYPERVISOR   0x40000000u
#define CPUID_TIMING       0x10u /* + 40000000h */
#define CPUID_SLOTS        96
#define CPUID_XSAVE_PARTS  8 /* state components 0 to 7 */
#define CPUID_SIGNATURE    "VergeVergeHV"

/* A row of the table. A leaf with a NULL `names` holds data, not feature bits. */
struct cpuid_rule {
    uint32_t leaf;
    uint16_t subleaf;
    uint16_t reg;      /* enum cpuid_register */
    uint32_t pass;     /* the host's bits that the guest sees */
    uint32_t force;    /* bits that it sees in any case */
    const char *names; /* of the features in `pass`, lowest bit first, divided by blanks */
};

extern const struct cpuid_rule cpuid_rules[];
extern const unsigned cpuid_rule_count;

#define CPUID_ANY_SUBLEAF 0xFFFFu

/* Where a leaf's data is. */
struct cpuid_leaf {
    uint8_t slot;      /* of subleaf 0; slot 0 is all zero */
    uint8_t subleaves; /* how many are stored; the others are zero. 0: ECX doesn't matter */
    uint8_t live;      /* enum cpuid_live */
};

/* What of a leaf follows the guest's registers at the moment of the lookup, or its ECX. */
enum cpuid_live { CPUID_LIVE_OSXSAVE = 1, CPUID_LIVE_XSAVE, CPUID_LIVE_TOPOLOGY };

#define CPUID_TOPOLOGY_LEVELS 2

struct cpuid_policy {
    struct cpuid_leaf basic[CPUID_MAX_BASIC + 1];
    struct cpuid_leaf extended[CPUID_MAX_EXTENDED + 1];
    struct cpuid_leaf hypervisor[CPUID_TIMING + 1];
    struct cpuid_leaf beyond; /* answers for leaves out of range */
    uint32_t max_basic;
    uint32_t max_extended; /* without 80000000h */
    unsigned slot_count;
    uint32_t slots[CPUID_SLOTS][4];
    struct {
        uint32_t size, offset, align64;
    } xsave[CPUID_XSAVE_PARTS];
    /* What the rest of Verge must hold the guest to. */
    uint8_t vendor;          /* enum cpu_vendor */
    uint8_t phys_bits;       /* of a guest-physical address */
    uint64_t cr4_mask;       /* CR4 bits that the guest may set */
    uint64_t efer_mask;      /* EFER bits that it may write, LMA not counted */
    uint64_t xcr0_mask;      /* XCR0 bits; 0: no XSAVE */
    uint64_t spec_ctrl_mask; /* bits of MSR 48h; 0: the guest hasn't it */
    uint64_t pred_cmd_mask;  /* bits of MSR 49h; 0: likewise */
};

struct cpuid_options {
    cpuid_source *source; /* the host's CPUID */
    unsigned level;       /* show this level instead (cpuid_level.h), which the host has; 0: the host's CPU */
    uint64_t tsc_hz;      /* the guest's */
    uint32_t bus_khz;     /* of its local APIC timer; 0: it has none */
    bool spec_ctrl; /* the backend switches MSR 48h and executes 49h: IBRS, STIBP, SSBD, IBPB are shown */
};

void cpuid_policy_build(struct cpuid_policy *policy, const struct cpuid_options *options);

/*
 * The guest's CPUID with EAX = leaf, ECX = subleaf into out[4], in the order of enum cpuid_register. cr4 and
 * xcr0 are the guest's at that moment: OSXSAVE and the XSAVE sizes follow them. Cannot fail.
 */
void cpuid_lookup(const struct cpuid_policy *policy, uint32_t leaf, uint32_t subleaf, uint64_t cr4,
                  uint64_t xcr0, uint32_t out[4]);

/* The same for a basic leaf that depends on EAX alone; NULL for any other: ask cpuid_lookup(). */
static inline const uint32_t *cpuid_constant(const struct cpuid_policy *policy, uint32_t leaf)
{
    if (leaf > policy->max_basic)
        return NULL;
    const struct cpuid_leaf *found = &policy->basic[leaf];
    return found->subleaves | found->live ? NULL : policy->slots[found->slot];
}

/* Bytes of an XSAVE area for the parts in xcr0: in the standard format, or compacted. */
uint32_t cpuid_xsave_size(const struct cpuid_policy *policy, uint64_t xcr0, bool compacted);

/* Is this bit set in what the guest sees? For setting-up, not for the hot path. */
bool cpuid_has(const struct cpuid_policy *policy, uint32_t leaf, enum cpuid_register reg, unsigned bit);

#endif
