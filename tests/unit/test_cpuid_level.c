/* cpu=v1, v2, v3: from the psABI's table "Micro-Architecture Levels" and the manuals' bit numbers, not from
 * the code. Hosts: one that has everything, by either vendor, with or without one thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "guest/cpuid_level.h"
#include "guest/msr.h"

#define OSXSAVE BIT64(18)

struct feature {
    unsigned level; /* the first that has it */
    uint32_t leaf;
    enum cpuid_register reg;
    unsigned bit;
    const char *name; /* in the line that refuses a host */
};

/* What the psABI lists; OSFXSR and SCE are the system's to switch on: FXSR and SYSCALL say that it can. */
static const struct feature psabi[] = {
    {1, 1, CPUID_EDX, 15, "CMOV"},   {1, 1, CPUID_EDX, 8, "CX8"},
    {1, 1, CPUID_EDX, 0, "FPU"},     {1, 1, CPUID_EDX, 24, "FXSR"},
    {1, 1, CPUID_EDX, 23, "MMX"},    {1, 0x80000001, CPUID_EDX, 11, "SYSCALL"},
    {1, 1, CPUID_EDX, 25, "SSE"},    {1, 1, CPUID_EDX, 26, "SSE2"},
    {2, 1, CPUID_ECX, 13, "CX16"},   {2, 0x80000001, CPUID_ECX, 0, "LAHF"},
    {2, 1, CPUID_ECX, 23, "POPCNT"}, {2, 1, CPUID_ECX, 0, "SSE3"},
    {2, 1, CPUID_ECX, 19, "SSE4.1"}, {2, 1, CPUID_ECX, 20, "SSE4.2"},
    {2, 1, CPUID_ECX, 9, "SSSE3"},   {3, 1, CPUID_ECX, 28, "AVX"},
    {3, 7, CPUID_EBX, 5, "AVX2"},    {3, 7, CPUID_EBX, 3, "BMI1"},
    {3, 7, CPUID_EBX, 8, "BMI2"},    {3, 1, CPUID_ECX, 29, "F16C"},
    {3, 1, CPUID_ECX, 12, "FMA"},    {3, 0x80000001, CPUID_ECX, 5, "LZCNT"},
    {3, 1, CPUID_ECX, 22, "MOVBE"},  {3, 1, CPUID_ECX, 26, "XSAVE"},
};

/* What a 64-bit kernel takes for granted below the levels. */
static const struct feature base[] = {
    {1, 1, CPUID_EDX, 2, "DE"},           {1, 1, CPUID_EDX, 3, "PSE"},
    {1, 1, CPUID_EDX, 4, "TSC"},          {1, 1, CPUID_EDX, 5, "MSR"},
    {1, 1, CPUID_EDX, 6, "PAE"},          {1, 1, CPUID_EDX, 7, "MCE"},
    {1, 1, CPUID_EDX, 11, "SEP"},         {1, 1, CPUID_EDX, 12, "MTRR"},
    {1, 1, CPUID_EDX, 13, "PGE"},         {1, 1, CPUID_EDX, 14, "MCA"},
    {1, 1, CPUID_EDX, 16, "PAT"},         {1, 1, CPUID_EDX, 17, "PSE36"},
    {1, 1, CPUID_EDX, 19, "CLFSH"},       {1, 0x80000001, CPUID_EDX, 20, "NX"},
    {1, 0x80000001, CPUID_EDX, 29, "LM"},
};

/* Verge gives these whatever the host has: hypervisor, invariant TSC. */
static const struct feature given[] = {{1, 1, CPUID_ECX, 31, ""}, {1, 0x80000007, CPUID_EDX, 8, ""}};

static struct cpuid_policy policy;

/* ---- model hosts ---- */

static const struct feature *missing; /* of the host, or NULL */
static bool amd;
static unsigned host_phys_bits;
static uint32_t host_max_basic;
static uint32_t avx_place;
static uint64_t host_xcr0;

static void host(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0xFF, 16);
    if (leaf == 0) {
        out[0] = host_max_basic;
        memcpy(&out[1], amd ? "AuthcAMDenti" : "GenuntelineI", 12);
    } else if (leaf == 0x80000000) {
        out[0] = 0x80000028;
    } else if (leaf == 0x80000008) {
        out[0] = 0x3000 | host_phys_bits;
    } else if (leaf == 0xD && subleaf == 0) {
        out[0] = (uint32_t)host_xcr0;
    } else if (leaf == 0xD && subleaf == 2) {
        out[0] = 256;
        out[1] = avx_place;
    }
    if (missing && leaf == missing->leaf)
        out[missing->reg] &= ~BIT(missing->bit);
}

static int whole_host(void **state)
{
    (void)state;
    missing = NULL;
    amd = false;
    host_phys_bits = 46;
    host_max_basic = 0x20;
    avx_place = 576;
    host_xcr0 = 0x2E7;
    return 0;
}

static void build(unsigned level)
{
    cpuid_policy_build(
        &policy, &(struct cpuid_options){
                     .source = host, .level = level, .tsc_hz = UINT64_C(2400000999), .spec_ctrl = true});
}

static void lookup(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    cpuid_lookup(&policy, leaf, subleaf, 0, 1, out);
}

/* ---- what is shown ---- */

static uint32_t bits_of(const struct feature *features, size_t count, unsigned level, uint32_t leaf,
                        enum cpuid_register reg)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < count; i++)
        if (features[i].level <= level && features[i].leaf == leaf && features[i].reg == reg)
            bits |= BIT(features[i].bit);
    return bits;
}

/* Each feature word has just what the tables above have. */
static void features_are_the_levels(void **state)
{
    static const struct {
        uint32_t leaf, subleaf;
        enum cpuid_register reg;
    } words[] = {{1, 0, CPUID_ECX},          {1, 0, CPUID_EDX},          {7, 0, CPUID_EBX},
                 {7, 0, CPUID_ECX},          {7, 0, CPUID_EDX},          {7, 1, CPUID_EAX},
                 {7, 1, CPUID_EDX},          {0xD, 1, CPUID_EAX},        {0x80000001, 0, CPUID_ECX},
                 {0x80000001, 0, CPUID_EDX}, {0x80000007, 0, CPUID_EDX}, {0x80000008, 0, CPUID_EBX}};

    (void)state;
    for (unsigned level = 1; level <= CPUID_LEVELS; level++) {
        build(level);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
            uint32_t leaf = words[i].leaf, out[4], wanted = 0;

            if (words[i].subleaf == 0)
                wanted = bits_of(psabi, ARRAY_SIZE(psabi), level, leaf, words[i].reg) |
                         bits_of(base, ARRAY_SIZE(base), level, leaf, words[i].reg) |
                         bits_of(given, ARRAY_SIZE(given), level, leaf, words[i].reg);
            lookup(leaf, words[i].subleaf, out);
            if (out[words[i].reg] != wanted)
                fail_msg("v%u leaf %x.%x register %u: %08x, wanted %08x", level, leaf, words[i].subleaf,
                         words[i].reg, out[words[i].reg], wanted);
        }
    }
}

/* Every leaf, in range and out of it: the same on hosts of both vendors and other features, but for leaf 0.
 */
static void one_cpu_on_all_hosts(void **state)
{
    static const uint32_t ranges[] = {0,          0x3FFFFFF0, 0x40000000, 0x400000F8,
                                      0x7FFFFFF0, 0x80000000, 0xFFFFFFF0};
    static struct cpuid_policy first;

    (void)state;
    for (unsigned level = 1; level <= CPUID_LEVELS; level++) {
        whole_host(NULL);
        build(level);
        first = policy;
        amd = true;
        host_phys_bits = 39;
        host_max_basic = 0xD;
        host_xcr0 = 7;
        build(level);
        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
            for (uint32_t n = 0; n < 0x30 && ranges[i] + n >= ranges[i]; n++)
                for (uint32_t subleaf = 0; subleaf < 10; subleaf++) {
                    uint32_t one[4], other[4];

                    cpuid_lookup(&first, ranges[i] + n, subleaf, OSXSAVE, 7, one);
                    cpuid_lookup(&policy, ranges[i] + n, subleaf, OSXSAVE, 7, other);
                    assert_memory_equal(one, other, ranges[i] + n == 0 ? 4 : 16);
                }
        assert_true(policy.vendor == CPU_AMD && first.vendor == CPU_INTEL);
        assert_memory_equal(&first.slots[first.basic[0].slot][1], "GenuntelineI", 12);
        assert_memory_equal(&policy.slots[policy.basic[0].slot][1], "AuthcAMDenti", 12);
        assert_true(policy.cr4_mask == first.cr4_mask && policy.efer_mask == first.efer_mask &&
                    policy.xcr0_mask == first.xcr0_mask && policy.phys_bits == first.phys_bits);
    }
}

static void assert_leaf(uint32_t leaf, uint32_t subleaf, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint32_t out[4];

    lookup(leaf, subleaf, out);
    if (out[0] != a || out[1] != b || out[2] != c || out[3] != d)
        fail_msg("leaf %x.%x: %08x %08x %08x %08x", leaf, subleaf, out[0], out[1], out[2], out[3]);
}

static void numbers_are_fixed(void **state)
{
    static const char *const names[] = {"Verge x86-64-v1", "Verge x86-64-v2", "Verge x86-64-v3"};
    static const uint32_t zeros[] = {3,          5,          6,          8,          9,          0xA,
                                     0xB,        0xC,        0xE,        0x14,       0x15,       0x16,
                                     0x1F,       0x20,       0x3FFFFFFF, 0x80000009, 0x8000001A, 0x8000001D,
                                     0x8000001E, 0x80000021, 0xC0000000, UINT32_MAX};

    (void)state;
    for (unsigned level = 1; level <= CPUID_LEVELS; level++) {
        uint32_t out[4];
        char name[48];

        build(level);
        lookup(0, 0, out);
        assert_int_equal(out[CPUID_EAX], 0xD);
        assert_leaf(0x80000000, 0, 0x80000008, 0, 0, 0);
        lookup(1, 0, out);
        assert_true(out[CPUID_EAX] == 0x60FB1 && out[CPUID_EBX] == 0x10800);
        lookup(0x80000001, 0, out);
        assert_true(out[CPUID_EAX] == 0x60FB1 && out[CPUID_EBX] == 0);
        for (uint32_t i = 0; i < 3; i++)
            cpuid_lookup(&policy, 0x80000002 + i, 0, 0, 1, (uint32_t *)(void *)&name[16 * i]);
        assert_string_equal(name, names[level - 1]);
        for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
            for (uint32_t subleaf = 0; subleaf < 4; subleaf++)
                assert_leaf(zeros[i], subleaf, 0, 0, 0, 0);
        assert_leaf(0x80000008, 0, level == 3 ? 0x3027 : 0x3024, 0, 0, 0);
        assert_int_equal(policy.phys_bits, level == 3 ? 39 : 36);
    }
}

/* SDM vol. 2 and APM vol. 3, "CPUID": 32 KB, 32 KB, 512 KB, 8 ways of 64 bytes, in both vendors' leaves. */
static void caches_agree(void **state)
{
    static const uint32_t kilobytes[] = {32, 32, 512};
    uint32_t leaf5[4], leaf6[4];

    (void)state;
    build(2);
    assert_leaf(2, 0, 0xFF01, 0, 0, 0); /* one round; "see leaf 4" */
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t out[4];

        lookup(4, i, out);
        assert_int_equal(out[CPUID_EAX] & 0x1F, i + 1);            /* data, code, unified */
        assert_int_equal(out[CPUID_EAX] >> 5 & 7, i == 2 ? 2 : 1); /* level */
        assert_int_equal(out[CPUID_EAX] >> 14, 0);                 /* shared by one, one core */
        assert_int_equal(((out[CPUID_EBX] >> 22) + 1) * ((out[CPUID_EBX] >> 12 & 0x3FF) + 1) *
                             ((out[CPUID_EBX] & 0xFFF) + 1) * (out[CPUID_ECX] + 1),
                         kilobytes[i] << 10);
    }
    assert_leaf(4, 3, 0, 0, 0, 0);
    lookup(0x80000005, 0, leaf5);
    lookup(0x80000006, 0, leaf6);
    assert_true(leaf5[CPUID_ECX] >> 24 == 32 && leaf5[CPUID_EDX] >> 24 == 32 &&
                leaf6[CPUID_ECX] >> 16 == 512);
    assert_true((leaf5[CPUID_ECX] & 0xFF) == 64 && (leaf5[CPUID_ECX] >> 16 & 0xFF) == 8);
    assert_true((leaf6[CPUID_ECX] & 0xFF) == 64 && (leaf6[CPUID_ECX] >> 12 & 0xF) == 6); /* 6: 8 ways */
}

/* ---- what follows ---- */

/* CR4: all of TSD, DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT, and OSXSAVE with v3; not VME, UMIP, PCID,
 * FSGSBASE, SMEP, SMAP. EFER: SCE, LME, NXE. */
static void what_is_hidden_cannot_be_switched_on(void **state)
{
    static struct msr_policy msrs;

    (void)state;
    for (unsigned level = 1; level <= CPUID_LEVELS; level++) {
        build(level);
        assert_true(policy.cr4_mask == (0x7FCu | (level == 3 ? OSXSAVE : 0)));
        assert_true(policy.efer_mask == 0x901);
        assert_true(policy.xcr0_mask == (level == 3 ? 7 : 0));
        assert_true(policy.spec_ctrl_mask == 0 && policy.pred_cmd_mask == 0);
        msr_policy_build(&msrs, &policy);
        assert_null(msr_policy_find(&msrs, 0x48));       /* SPEC_CTRL */
        assert_null(msr_policy_find(&msrs, 0x49));       /* PRED_CMD */
        assert_null(msr_policy_find(&msrs, 0xC0000103)); /* TSC_AUX */
        assert_int_equal(msrs.phys_bits, policy.phys_bits);
    }
}

/* SDM vol. 1, "XSAVE Area": 512 + 64, then AVX's 256. */
static void xsave_is_the_levels(void **state)
{
    uint32_t out[4];

    (void)state;
    build(3);
    cpuid_lookup(&policy, 0xD, 0, OSXSAVE, 3, out);
    assert_true(out[0] == 7 && out[1] == 576 && out[2] == 832 && out[3] == 0);
    cpuid_lookup(&policy, 0xD, 0, OSXSAVE, 7, out);
    assert_true(out[0] == 7 && out[1] == 832 && out[2] == 832 && out[3] == 0);
    assert_leaf(0xD, 1, 0, 0, 0, 0);
    assert_leaf(0xD, 2, 256, 576, 0, 0);
    cpuid_lookup(&policy, 1, 0, OSXSAVE, 1, out);
    assert_true(out[CPUID_ECX] & BIT(27));
    build(2);
    for (uint32_t part = 0; part < 10; part++)
        assert_leaf(0xD, part, 0, 0, 0, 0);
    cpuid_lookup(&policy, 1, 0, OSXSAVE, 1, out);
    assert_false(out[CPUID_ECX] & BIT(27));
}

/* ---- which hosts have it ---- */

static void assert_lacks(unsigned level, const char *wanted)
{
    char what[CPUID_LACK_SIZE] = "";

    if (cpuid_level_lacks(host, level, what) != (wanted != NULL))
        fail_msg("v%u: \"%s\", wanted %s", level, what, wanted ? wanted : "nothing");
    if (wanted)
        assert_string_equal(what, wanted);
}

static void each_missing_feature_is_named(void **state)
{
    static const struct feature *const tables[] = {psabi, base};
    static const size_t counts[] = {ARRAY_SIZE(psabi), ARRAY_SIZE(base)};

    (void)state;
    for (unsigned level = 1; level <= CPUID_LEVELS; level++) {
        missing = NULL;
        assert_lacks(level, NULL);
        for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
            for (size_t i = 0; i < counts[t]; i++) {
                missing = &tables[t][i];
                assert_lacks(level, missing->level <= level ? missing->name : NULL);
            }
    }
}

static void a_host_without_the_rest_is_refused(void **state)
{
    (void)state;
    host_phys_bits = 36;
    assert_lacks(2, NULL);
    assert_lacks(3, "39 bits of physical address");
    host_phys_bits = 32;
    assert_lacks(1, "36 bits of physical address");
    whole_host(NULL);
    avx_place = 832;
    assert_lacks(2, NULL);
    assert_lacks(3, "AVX in XSAVE");
    whole_host(NULL);
    host_xcr0 = 3;
    assert_lacks(3, "AVX in XSAVE");
    whole_host(NULL);
    host_max_basic = 6; /* leaf 7 has another leaf's data: it is not there */
    assert_lacks(2, NULL);
    assert_lacks(3, "BMI1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(features_are_the_levels, whole_host),
        cmocka_unit_test_setup(one_cpu_on_all_hosts, whole_host),
        cmocka_unit_test_setup(numbers_are_fixed, whole_host),
        cmocka_unit_test_setup(caches_agree, whole_host),
        cmocka_unit_test_setup(what_is_hidden_cannot_be_switched_on, whole_host),
        cmocka_unit_test_setup(xsave_is_the_levels, whole_host),
        cmocka_unit_test_setup(each_missing_feature_is_named, whole_host),
        cmocka_unit_test_setup(a_host_without_the_rest_is_refused, whole_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
