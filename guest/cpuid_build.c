/* Fills a VM's CPUID policy from the host's CPUID and the rules of cpuid_table.c. The contract and the
 * sources are in cpuid.h. */
#include "guest/cpuid.h"
#include "guest/cpuid_level.h"
#include "lib/string.h"

#define XCR0_X87_SSE UINT64_C(3)
#define NESTED_BITS  48u /* of guest-physical addresses: four levels of nested tables */
#define XCR0_OFFERED                                                                                         \
    UINT64_C(0xE7) /* x87, SSE, AVX, the three of AVX-512; MPX, PKRU, CET and AMX are hidden */

/* Bits that are shown only where the backend switches SPEC_CTRL. */
#define LEAF7_EDX_SPEC (BIT(26) | BIT(27) | BIT(31))
#define LEAF80000008_EBX_SPEC                                                                                \
    (BIT(12) | BIT(14) | BIT(15) | BIT(16) | BIT(17) | BIT(18) | BIT(19) | BIT(24) | BIT(28) | BIT(30))
#define LEAF80000021_EAX_SPEC (BIT(27) | BIT(28))

/* ---- building
 * ------------------------------------------------------------------------------------------------------------
 */

/* The host's leaf through the rules. */
static void filter(cpuid_source *source, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    uint32_t host[4];

    source(leaf, subleaf, host);
    memset(out, 0, 4 * sizeof out[0]);
    for (unsigned i = 0; i < cpuid_rule_count; i++) {
        const struct cpuid_rule *rule = &cpuid_rules[i];

        if (rule->leaf == leaf && (rule->subleaf == subleaf || rule->subleaf == CPUID_ANY_SUBLEAF))
            out[rule->reg] = (host[rule->reg] & rule->pass) | rule->force;
    }
}

/* The first of `count` new slots, all zero, or 0 when there aren't so many. */
static unsigned new_slots(struct cpuid_policy *policy, unsigned count)
{
    unsigned first = policy->slot_count;

    if (count > CPUID_SLOTS - first)
        return 0;
    policy->slot_count += count;
    return first;
}

static void build_plain(struct cpuid_policy *policy, cpuid_source *source, uint32_t number,
                        struct cpuid_leaf *leaf)
{
    uint32_t found[4];

    filter(source, number, 0, found);
    if (!(found[0] | found[1] | found[2] | found[3]))
        return;
    leaf->slot = (uint8_t)new_slots(policy, 1);
    if (leaf->slot)
        memcpy(policy->slots[leaf->slot], found, sizeof found);
}

/* Leaves 4 and 8000001Dh: one cache a subleaf until the type is 0; each is shared by one CPU and belongs to a
 * package of one core. */
static void build_caches(struct cpuid_policy *policy, cpuid_source *source, uint32_t number,
                         struct cpuid_leaf *leaf)
{
    uint32_t found[4];

    for (unsigned i = 0; i < 8; i++) {
        unsigned slot;

        filter(source, number, i, found);
        if (!(found[CPUID_EAX] & 0x1F))
            return;
        found[CPUID_EAX] &= 0x00003FFF;
        slot = new_slots(policy, 1);
        if (!slot)
            return;
        if (i == 0)
            leaf->slot = (uint8_t)slot;
        memcpy(policy->slots[slot], found, sizeof found);
        leaf->subleaves++;
    }
}

/* Leaf 7: subleaf 0 says in EAX that 1 is the last. */
static void build_features(struct cpuid_policy *policy, cpuid_source *source, struct cpuid_leaf *leaf)
{
    uint32_t(*slots)[4];
    uint32_t host[4];

    leaf->slot = (uint8_t)new_slots(policy, 2);
    if (!leaf->slot)
        return;
    leaf->subleaves = 2;
    slots = &policy->slots[leaf->slot];
    source(7, 0, host);
    filter(source, 7, 0, slots[0]);
    slots[0][CPUID_EAX] = host[CPUID_EAX] ? 1 : 0;
    if (host[CPUID_EAX])
        filter(source, 7, 1, slots[1]);
}

/* Leaf 0Bh, where the host has it: a thread level and a core level of one CPU each; levels above have their
 * number alone. */
static void build_topology(struct cpuid_policy *policy, cpuid_source *source, struct cpuid_leaf *leaf)
{
    uint32_t host[4];
    uint32_t(*slots)[4];

    source(0xB, 0, host);
    if (!host[CPUID_EBX])
        return;
    leaf->slot = (uint8_t)new_slots(policy, CPUID_TOPOLOGY_LEVELS);
    if (!leaf->slot)
        return;
    slots = &policy->slots[leaf->slot];
    leaf->subleaves = CPUID_TOPOLOGY_LEVELS;
    leaf->live = CPUID_LIVE_TOPOLOGY;
    for (uint32_t level = 0; level < CPUID_TOPOLOGY_LEVELS; level++) {
        slots[level][CPUID_EBX] = 1;
        slots[level][CPUID_ECX] = (level + 1) << 8 | level;
    }
}

/* Leaf 0Dh, and xcr0_mask, from the parts of XCR0 that both sides have. Needs leaf 1. */
static void build_xsave(struct cpuid_policy *policy, cpuid_source *source, struct cpuid_leaf *leaf)
{
    uint32_t(*slots)[4];
    uint32_t host[4];

    if (!cpuid_has(policy, 1, CPUID_ECX, 26))
        return;
    leaf->slot = (uint8_t)new_slots(policy, CPUID_XSAVE_PARTS);
    if (!leaf->slot)
        return;
    slots = &policy->slots[leaf->slot];
    leaf->subleaves = CPUID_XSAVE_PARTS;
    leaf->live = CPUID_LIVE_XSAVE;
    source(0xD, 0, host);
    policy->xcr0_mask = (host[CPUID_EAX] & XCR0_OFFERED) | XCR0_X87_SSE;
    for (unsigned i = 2; i < CPUID_XSAVE_PARTS; i++) {
        if (!(policy->xcr0_mask & BIT64(i)))
            continue;
        source(0xD, i, host);
        policy->xsave[i].size = slots[i][CPUID_EAX] = host[CPUID_EAX];
        policy->xsave[i].offset = slots[i][CPUID_EBX] = host[CPUID_EBX];
        policy->xsave[i].align64 = slots[i][CPUID_ECX] = host[CPUID_ECX] & BIT(1);
    }
    slots[0][CPUID_EAX] = (uint32_t)policy->xcr0_mask;
    slots[0][CPUID_ECX] = cpuid_xsave_size(policy, policy->xcr0_mask, false);
    filter(source, 0xD, 1, slots[1]);
}

static void build_basic(struct cpuid_policy *policy, cpuid_source *source)
{
    uint32_t host[4];

    source(0, 0, host);
    policy->max_basic = MIN(host[CPUID_EAX], CPUID_MAX_BASIC);
    for (uint32_t number = 0; number <= policy->max_basic; number++) {
        struct cpuid_leaf *leaf = &policy->basic[number];

        if (number == 4)
            build_caches(policy, source, number, leaf);
        else if (number == 7)
            build_features(policy, source, leaf);
        else if (number == 0xB)
            build_topology(policy, source, leaf);
        else if (number == 0xD)
            build_xsave(policy, source, leaf);
        else
            build_plain(policy, source, number, leaf);
    }
    policy->slots[policy->basic[0].slot][CPUID_EAX] = policy->max_basic;
    policy->basic[1].live = CPUID_LIVE_OSXSAVE;
}

static void build_extended(struct cpuid_policy *policy, cpuid_source *source)
{
    uint32_t host[4];

    source(0x80000000, 0, host);
    policy->max_extended = host[CPUID_EAX] & BIT(31) ? host[CPUID_EAX] & 0x7FFFFFFF : 0;
    policy->max_extended = MIN(MAX(policy->max_extended, 8u), CPUID_MAX_EXTENDED);
    for (uint32_t number = 0; number <= policy->max_extended; number++)
        if (number == 0x1D)
            build_caches(policy, source, number | BIT(31), &policy->extended[number]);
        else
            build_plain(policy, source, number | BIT(31), &policy->extended[number]);
    policy->slots[policy->extended[0].slot][CPUID_EAX] = policy->max_extended | BIT(31);
    policy->phys_bits = (uint8_t)policy->slots[policy->extended[8].slot][CPUID_EAX];
    if (policy->phys_bits < 32 || policy->phys_bits > 52)
        policy->phys_bits = 36;
    policy->phys_bits = (uint8_t)MIN(policy->phys_bits, NESTED_BITS);
    policy->slots[policy->extended[8].slot][CPUID_EAX] =
        (policy->slots[policy->extended[8].slot][CPUID_EAX] & ~0xFFu) | policy->phys_bits;
}

/* The host's, whatever the guest sees besides: MSRs and what instructions do follow it. */
static void build_vendor(struct cpuid_policy *policy, cpuid_source *host)
{
    uint32_t name[4];

    host(0, 0, name);
    policy->vendor = CPU_INTEL;
    if (memcmp(&name[CPUID_EBX], "Auth", 4) == 0 || memcmp(&name[CPUID_EBX], "Hygo", 4) == 0)
        policy->vendor = CPU_AMD;
    memcpy(&policy->slots[policy->basic[0].slot][CPUID_EBX], &name[CPUID_EBX], 3 * sizeof name[0]);
}

static void build_hypervisor(struct cpuid_policy *policy, const struct cpuid_options *options)
{
    unsigned first = new_slots(policy, 2);
    uint32_t(*slots)[4] = &policy->slots[first];

    policy->hypervisor[0].slot = (uint8_t)first;
    policy->hypervisor[CPUID_TIMING].slot = (uint8_t)(first + 1);
    slots[0][CPUID_EAX] = CPUID_HYPERVISOR + CPUID_TIMING;
    memcpy(&slots[0][CPUID_EBX], CPUID_SIGNATURE, 12);
    slots[1][CPUID_EAX] = (uint32_t)(options->tsc_hz / 1000);
    slots[1][CPUID_EBX] = options->bus_khz;
}

static void hide_speculation_control(struct cpuid_policy *policy)
{
    policy->slots[policy->basic[7].slot][CPUID_EDX] &= ~LEAF7_EDX_SPEC;
    policy->slots[policy->extended[8].slot][CPUID_EBX] &= ~LEAF80000008_EBX_SPEC;
    policy->slots[policy->extended[0x21].slot][CPUID_EAX] &= ~LEAF80000021_EAX_SPEC;
}

/* ---- what follows from the features
 * ------------------------------------------------------------------------------------- */

/* A feature, and the control bit that only makes sense with it. */
struct control_bit {
    uint32_t leaf;
    uint8_t reg, feature_bit, control_bit;
};

/* SDM vol. 3, "Control Registers"; APM vol. 2, "CR4 Register". */
static const struct control_bit cr4_bits[] = {
    {1, CPUID_EDX, 1, 0},   {1, CPUID_EDX, 1, 1},   {1, CPUID_EDX, 4, 2},   {1, CPUID_EDX, 2, 3},
    {1, CPUID_EDX, 3, 4},   {1, CPUID_EDX, 6, 5},   {1, CPUID_EDX, 7, 6},   {1, CPUID_EDX, 13, 7},
    {1, CPUID_EDX, 5, 8},   {1, CPUID_EDX, 24, 9},  {1, CPUID_EDX, 25, 10}, {7, CPUID_ECX, 2, 11},
    {7, CPUID_EBX, 0, 16},  {1, CPUID_ECX, 17, 17}, {1, CPUID_ECX, 26, 18}, {7, CPUID_EBX, 7, 20},
    {7, CPUID_EBX, 20, 21},
};

/* APM vol. 2, "Extended Feature Enable Register (EFER)": SCE, LME, NXE, FFXSR. */
static const struct control_bit efer_bits[] = {
    {0x80000001, CPUID_EDX, 11, 0},
    {0x80000001, CPUID_EDX, 29, 8},
    {0x80000001, CPUID_EDX, 20, 11},
    {0x80000001, CPUID_EDX, 25, 14},
};

/* APM vol. 2, "Speculation Control MSRs"; SDM vol. 4, IA32_SPEC_CTRL: IBRS, STIBP, SSBD, PSFD, by Intel's and
 * by AMD's leaf. */
static const struct control_bit spec_ctrl_bits[] = {
    {7, CPUID_EDX, 26, 0},          {7, CPUID_EDX, 27, 1},          {7, CPUID_EDX, 31, 2},
    {0x80000008, CPUID_EBX, 14, 0}, {0x80000008, CPUID_EBX, 15, 1}, {0x80000008, CPUID_EBX, 24, 2},
    {0x80000008, CPUID_EBX, 28, 7},
};

static const struct control_bit pred_cmd_bits[] = {
    {7, CPUID_EDX, 26, 0},
    {0x80000008, CPUID_EBX, 12, 0},
    {0x80000021, CPUID_EAX, 27, 7},
};

static uint64_t control_mask(const struct cpuid_policy *policy, const struct control_bit *bits, size_t count)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < count; i++)
        if (cpuid_has(policy, bits[i].leaf, bits[i].reg, bits[i].feature_bit))
            mask |= BIT64(bits[i].control_bit);
    return mask;
}

void cpuid_policy_build(struct cpuid_policy *policy, const struct cpuid_options *options)
{
    cpuid_source *source = options->level ? cpuid_level_source(options->level) : options->source;

    memset(policy, 0, sizeof *policy);
    policy->slot_count = 1;            /* slot 0 is zero */
    build_hypervisor(policy, options); /* first: its slots are certain */
    build_basic(policy, source);
    build_extended(policy, source);
    build_vendor(policy, options->source);
    if (policy->vendor == CPU_INTEL && !options->level)
        policy->beyond = policy->basic[policy->max_basic];
    if (!options->spec_ctrl)
        hide_speculation_control(policy);
    policy->cr4_mask = control_mask(policy, cr4_bits, ARRAY_SIZE(cr4_bits));
    policy->efer_mask = control_mask(policy, efer_bits, ARRAY_SIZE(efer_bits));
    policy->spec_ctrl_mask = control_mask(policy, spec_ctrl_bits, ARRAY_SIZE(spec_ctrl_bits));
    policy->pred_cmd_mask = control_mask(policy, pred_cmd_bits, ARRAY_SIZE(pred_cmd_bits));
}
