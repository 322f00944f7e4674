/* The CPUID policy over model hosts: one that has every bit, an AMD and an Intel one with plausible data, and
 * the machine that runs the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <cpuid.h>
#include <string.h>
#include "guest/cpuid.h"

#define OSXSAVE BIT64(18)

static struct cpuid_policy policy;

static void machine(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}

/* Says yes to everything; XSAVE parts of 64 bytes each, part i at 576 + 100 i, odd ones aligned when
 * compacted. */
static void everything(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0xFF, 16);
    if (leaf == 0) {
        out[0] = 0x20;
        memcpy(&out[1], "AuthcAMDenti", 12);
    } else if (leaf == 0x80000000) {
        out[0] = 0x80000028;
    } else if ((leaf == 4 || leaf == 0x8000001D) && subleaf > 3) {
        memset(out, 0, 16);
    } else if (leaf == 0xD && subleaf > 1) {
        out[0] = 72;
        out[1] = 576 + 100 * subleaf;
        out[2] = subleaf & 1 ? 2 : 0;
        out[3] = 0;
    } else if (leaf == 0x80000008) {
        out[0] = 0x00303028;
    }
}

static void intel(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    everything(leaf, subleaf, out);
    if (leaf == 0)
        memcpy(&out[1], "GenuntelineI", 12);
    if (leaf == 0x80000000)
        out[0] = 0x80000008;
}

/* QEMU's qemu64 in essence: no XSAVE, no leaf 7 features, no invariant TSC. */
static void plain_amd(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    static const struct {
        uint32_t leaf, out[4];
    } leaves[] = {{0, {0xD, 0, 0, 0}},
                  {1, {0x00060FB1, 0x00000800, 0x80802001, 0x078BFBFD}},
                  {0x80000000, {0x8000000A, 0, 0, 0}},
                  {0x80000001, {0x00060FB1, 0, 0x00000065, 0x2193FBFD}},
                  {0x80000008, {0x00003028, 0, 0, 0}}};

    (void)subleaf;
    memset(out, 0, 16);
    for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
        if (leaves[i].leaf == leaf)
            memcpy(out, leaves[i].out, 16);
    if (leaf == 0)
        memcpy(&out[1], "AuthcAMDenti", 12);
}

static void build(cpuid_source *source, bool spec_ctrl)
{
    struct cpuid_options options = {
        .source = source, .tsc_hz = UINT64_C(2400000999), .bus_khz = 0, .spec_ctrl = spec_ctrl};

    cpuid_policy_build(&policy, &options);
}

static uint32_t reg(uint32_t leaf, uint32_t subleaf, enum cpuid_register which)
{
    uint32_t out[4];

    cpuid_lookup(&policy, leaf, subleaf, 0, 0, out);
    return out[which];
}

/* Each feature row names just as many features as it lets through, and no row comes twice. */
static void rows_name_what_they_pass(void **state)
{
    (void)state;
    for (unsigned i = 0; i < cpuid_rule_count; i++) {
        const struct cpuid_rule *rule = &cpuid_rules[i];
        int names = 1;

        for (unsigned j = 0; j < i; j++)
            assert_false(cpuid_rules[j].leaf == rule->leaf && cpuid_rules[j].subleaf == rule->subleaf &&
                         cpuid_rules[j].reg == rule->reg);
        if (!rule->names)
            continue;
        for (const char *c = rule->names; *c; c++)
            names += *c == ' ';
        if (names != __builtin_popcount(rule->pass))
            fail_msg("leaf %x register %u: %d names, %d bits", rule->leaf, rule->reg, names,
                     __builtin_popcount(rule->pass));
    }
}

/* What the design says is hidden, by leaf, register, bit; numbers from APM vol. 3 appendix E and SDM vol. 2,
 * not from the table. */
static const struct {
    uint32_t leaf, subleaf;
    enum cpuid_register reg;
    unsigned bit;
    const char *name;
} hidden[] = {
    {1, 0, CPUID_EDX, 9, "APIC"},
    {1, 0, CPUID_EDX, 28, "HTT"},
    {1, 0, CPUID_ECX, 3, "MONITOR"},
    {1, 0, CPUID_ECX, 5, "VMX"},
    {1, 0, CPUID_ECX, 6, "SMX"},
    {1, 0, CPUID_ECX, 15, "PDCM"},
    {1, 0, CPUID_ECX, 21, "x2APIC"},
    {1, 0, CPUID_ECX, 24, "deadline"},
    {1, 0, CPUID_ECX, 30, "RDRAND"},
    {1, 0, CPUID_EDX, 21, "DS"},
    {6, 0, CPUID_ECX, 0, "APERFMPERF"},
    {6, 0, CPUID_EAX, 2, "ARAT"},
    {7, 0, CPUID_EBX, 1, "TSC_ADJUST"},
    {7, 0, CPUID_EBX, 2, "SGX"},
    {7, 0, CPUID_EBX, 4, "HLE"},
    {7, 0, CPUID_EBX, 11, "RTM"},
    {7, 0, CPUID_EBX, 14, "MPX"},
    {7, 0, CPUID_EBX, 18, "RDSEED"},
    {7, 0, CPUID_EBX, 25, "PT"},
    {7, 0, CPUID_ECX, 3, "PKU"},
    {7, 0, CPUID_ECX, 4, "OSPKE"},
    {7, 0, CPUID_ECX, 5, "WAITPKG"},
    {7, 0, CPUID_ECX, 7, "CET_SS"},
    {7, 0, CPUID_EDX, 20, "CET_IBT"},
    {7, 0, CPUID_EDX, 24, "AMX_TILE"},
    {7, 0, CPUID_EDX, 22, "AMX_BF16"},
    {7, 0, CPUID_EDX, 25, "AMX_INT8"},
    {7, 0, CPUID_EDX, 29, "ARCH_CAP"},
    {7, 0, CPUID_EDX, 30, "CORE_CAP"},
    {7, 0, CPUID_EDX, 19, "ARCH_LBR"},
    {7, 0, CPUID_ECX, 31, "PKS"},
    {7, 0, CPUID_EDX, 5, "UINTR"},
    {0xD, 1, CPUID_EAX, 3, "XSAVES"},
    {0xA, 0, CPUID_EAX, 0, "perfmon"},
    {0xD, 1, CPUID_EAX, 4, "XFD"},
    {0x80000001, 0, CPUID_EDX, 9, "APIC"},
    {0x80000001, 0, CPUID_ECX, 2, "SVM"},
    {0x80000001, 0, CPUID_ECX, 10, "IBS"},
    {0x80000001, 0, CPUID_ECX, 12, "SKINIT"},
    {0x80000001, 0, CPUID_ECX, 15, "LWP"},
    {0x80000001, 0, CPUID_ECX, 23, "PERFCTR_CORE"},
    {0x80000001, 0, CPUID_ECX, 24, "PERFCTR_NB"},
    {0x80000001, 0, CPUID_ECX, 28, "PERFCTR_LLC"},
    {0x80000001, 0, CPUID_ECX, 29, "MONITORX"},
    {0x80000007, 0, CPUID_EDX, 10, "RO_EFFFREQ"},
    {0x80000008, 0, CPUID_EBX, 1, "IRPERF"},
    {0x80000008, 0, CPUID_EBX, 4, "RDPRU"},
    {0x80000008, 0, CPUID_EBX, 25, "VIRT_SSBD"},
    {0x8000000A, 0, CPUID_EDX, 0, "NPT"},
    {0x8000001F, 0, CPUID_EAX, 0, "SME"},
    {5, 0, CPUID_EAX, 0, "MONITOR line"},
    {0x8000001B, 0, CPUID_EAX, 0, "IBS"},
};

static void what_must_be_hidden_is(void **state)
{
    static cpuid_source *const sources[] = {everything, intel, machine};

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(sources); s++) {
        build(sources[s], true);
        for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
            if (hidden[i].leaf - BIT(31) > policy.max_extended && hidden[i].leaf & BIT(31))
                continue; /* Intel: another leaf's data answers */
            if (reg(hidden[i].leaf, hidden[i].subleaf, hidden[i].reg) & BIT(hidden[i].bit))
                fail_msg("source %zu shows %s", s, hidden[i].name);
        }
        assert_true(reg(1, 0, CPUID_ECX) & BIT(31));
        assert_int_equal(reg(0x80000007, 0, CPUID_EDX), BIT(8));
        assert_int_equal(reg(1, 0, CPUID_EBX) >> 16, 1);
        for (uint32_t leaf = 0xE; leaf < 0x40 && policy.vendor == CPU_AMD; leaf++)
            assert_int_equal(reg(leaf, 0, CPUID_EAX), 0);
    }
}

static void what_should_pass_does(void **state)
{
    (void)state;
    build(everything, true);
    assert_int_equal(reg(0, 0, CPUID_EAX), 0xD);
    assert_int_equal(reg(0x80000000, 0, CPUID_EAX), 0x80000021);
    assert_memory_equal(&policy.slots[policy.basic[0].slot][1], "AuthcAMDenti", 12);
    assert_true(cpuid_has(&policy, 1, CPUID_ECX, 26) && cpuid_has(&policy, 1, CPUID_EDX, 12) &&
                cpuid_has(&policy, 7, CPUID_EBX, 5));
    assert_true(cpuid_has(&policy, 0x80000001, CPUID_EDX, 29) &&
                cpuid_has(&policy, 0x80000001, CPUID_EDX, 27));
    assert_int_equal(policy.phys_bits, 0x28);
    assert_int_equal(reg(0x80000008, 0, CPUID_EAX), 0x3028);
    assert_int_equal(reg(0x80000008, 0, CPUID_ECX), 0);
    assert_int_equal(reg(0x80000002, 5, CPUID_EAX), UINT32_MAX);
    assert_true(policy.cr4_mask ==
                (0x7FF | OSXSAVE | BIT64(11) | BIT64(16) | BIT64(17) | BIT64(20) | BIT64(21)));
    assert_true(policy.efer_mask == (1 | 0x100 | 0x800 | 0x4000));
    assert_true(policy.spec_ctrl_mask == 0x87 && policy.pred_cmd_mask == 0x81);
    assert_true(policy.slot_count <= CPUID_SLOTS && policy.hypervisor[0].slot);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(policy.slots[0][i], 0);
}

static void speculation_control_needs_the_backend(void **state)
{
    (void)state;
    build(everything, false);
    assert_true(policy.spec_ctrl_mask == 0 && policy.pred_cmd_mask == 0);
    assert_false(cpuid_has(&policy, 7, CPUID_EDX, 26) || cpuid_has(&policy, 0x80000008, CPUID_EBX, 12) ||
                 cpuid_has(&policy, 0x80000021, CPUID_EAX, 28));
    assert_true(cpuid_has(&policy, 7, CPUID_EDX, 10) && cpuid_has(&policy, 0x80000021, CPUID_EAX, 2));
}

static void hypervisor_leaves(void **state)
{
    uint32_t out[4];

    (void)state;
    build(plain_amd, false);
    cpuid_lookup(&policy, 0x40000000, 7, 0, 0, out);
    assert_int_equal(out[0], 0x40000010);
    assert_memory_equal(&out[1], "VergeVergeHV", 12);
    cpuid_lookup(&policy, 0x40000010, 0, 0, 0, out);
    assert_true(out[0] == 2400000 && out[1] == 0 && out[2] == 0 && out[3] == 0);
    for (uint32_t leaf = 0x40000001; leaf < 0x40000100; leaf++)
        if (leaf != 0x40000010)
            assert_int_equal(reg(leaf, 0, CPUID_EAX), 0);
}

/* AMD: zeros. Intel: the highest basic leaf, with the subleaf that was asked for. */
static void out_of_range(void **state)
{
    static const uint32_t leaves[] = {0xE,        0x15,       0x16,       0x1F,       0x3FFFFFFF, 0x40000100,
                                      0x4FFFFFFF, 0x7FFFFFFF, 0x80000100, 0x8FFFFFFF, 0xC0000000, UINT32_MAX};

    (void)state;
    for (int i = 0; i < 2; i++) {
        build(i ? intel : everything, true);
        for (size_t j = 0; j < ARRAY_SIZE(leaves); j++)
            for (uint32_t subleaf = 0; subleaf < 10; subleaf++) {
                uint32_t out[4], top[4] = {0};

                cpuid_lookup(&policy, leaves[j], subleaf, OSXSAVE, 7, out);
                if (i)
                    cpuid_lookup(&policy, 0xD, subleaf, OSXSAVE, 7, top);
                assert_memory_equal(out, top, 16);
            }
        assert_int_equal(reg(6, 0, CPUID_EAX), 0);
        assert_false(cpuid_has(&policy, 0x80000100, CPUID_EAX, 0));
    }
}

static void osxsave_follows_cr4(void **state)
{
    uint32_t out[4];

    (void)state;
    build(everything, true);
    cpuid_lookup(&policy, 1, 0, OSXSAVE, 1, out);
    assert_true(out[CPUID_ECX] & BIT(27));
    cpuid_lookup(&policy, 1, 0, ~OSXSAVE, 1, out);
    assert_false(out[CPUID_ECX] & BIT(27));
    build(plain_amd, true);
    cpuid_lookup(&policy, 1, 0, OSXSAVE, 1, out);
    assert_false(out[CPUID_ECX] & BIT(27)); /* no XSAVE there */
}

/* With the model's parts: 2, 5, 6, 7 of 72 bytes at 776, 1076, 1176, 1276; 5 and 7 are aligned when
 * compacted. */
static void xsave_sizes_follow_xcr0(void **state)
{
    static const struct {
        uint64_t xcr0;
        uint32_t standard, compacted;
    } cases[] = {{1, 576, 576}, {3, 576, 576}, {7, 848, 648}, {0xE3, 1348, 840}, {0xE7, 1348, 968}};

    (void)state;
    build(everything, true);
    assert_true(policy.xcr0_mask == 0xE7);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint32_t out[4];

        cpuid_lookup(&policy, 0xD, 0, OSXSAVE, cases[i].xcr0, out);
        assert_true(out[0] == 0xE7 && out[1] == cases[i].standard && out[2] == 1348 && out[3] == 0);
        cpuid_lookup(&policy, 0xD, 1, OSXSAVE, cases[i].xcr0, out);
        assert_true(out[0] == 7 && out[1] == cases[i].compacted && out[2] == 0 && out[3] == 0);
    }
    for (uint32_t part = 2; part < 70; part++) {
        bool offered = part == 2 || (part >= 5 && part <= 7);

        assert_int_equal(reg(0xD, part, CPUID_EAX), offered ? 72 : 0);
        assert_int_equal(reg(0xD, part, CPUID_EBX), offered ? 576 + 100 * part : 0);
    }
}

static void topology_is_one_cpu(void **state)
{
    uint32_t out[4];

    (void)state;
    build(intel, true);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(reg(4, i, CPUID_EAX), 0x3FFF); /* shared by one, one core */
    assert_int_equal(reg(4, 4, CPUID_EAX), 0);
    assert_int_equal(reg(4, 1, CPUID_EBX), UINT32_MAX);
    cpuid_lookup(&policy, 0xB, 0, 0, 0, out);
    assert_true(out[0] == 0 && out[1] == 1 && out[2] == 0x100 && out[3] == 0);
    cpuid_lookup(&policy, 0xB, 1, 0, 0, out);
    assert_true(out[0] == 0 && out[1] == 1 && out[2] == 0x201 && out[3] == 0);
    cpuid_lookup(&policy, 0xB, 0x1234, 0, 0, out);
    assert_true(out[0] == 0 && out[1] == 0 && out[2] == 0x34 && out[3] == 0);
    build(everything, true);
    assert_int_equal(reg(0x8000001D, 3, CPUID_EAX), 0x3FFF);
    assert_int_equal(reg(0x8000001D, 4, CPUID_EAX), 0);
    cpuid_lookup(&policy, 0x8000001E, 0, 0, 0, out);
    assert_true((out[0] | out[1] | out[2] | out[3]) == 0);
}

static void a_plain_cpu_stays_plain(void **state)
{
    (void)state;
    build(plain_amd, true);
    assert_int_equal(policy.vendor, CPU_AMD);
    assert_int_equal(reg(1, 0, CPUID_EAX), 0x00060FB1);
    assert_int_equal(reg(1, 0, CPUID_EDX), 0x078BFBFD & ~BIT(9));
    assert_int_equal(reg(0x80000000, 0, CPUID_EAX), 0x8000000A);
    assert_int_equal(reg(0x80000007, 0, CPUID_EDX), BIT(8));
    assert_true(policy.xcr0_mask == 0 && policy.spec_ctrl_mask == 0);
    assert_int_equal(reg(0xD, 0, CPUID_EAX), 0);
    assert_int_equal(reg(7, 0, CPUID_EBX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_name_what_they_pass), cmocka_unit_test(what_must_be_hidden_is),
        cmocka_unit_test(what_should_pass_does),    cmocka_unit_test(speculation_control_needs_the_backend),
        cmocka_unit_test(hypervisor_leaves),        cmocka_unit_test(out_of_range),
        cmocka_unit_test(osxsave_follows_cr4),      cmocka_unit_test(xsave_sizes_follow_xcr0),
        cmocka_unit_test(topology_is_one_cpu),      cmocka_unit_test(a_plain_cpu_stays_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
