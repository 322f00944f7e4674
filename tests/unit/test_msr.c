/* The MSR policy: the table itself, a slow search as oracle, and what Linux relies on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "guest/msr.h"

static struct msr_policy amd, intel;
static struct msr_slots slots;

static int set_up(void **state)
{
    (void)state;
    amd = (struct msr_policy){.has = MSR_NEEDS_AMD | MSR_NEEDS_TSC_AUX, .phys_bits = 40, .efer_mask = 0x4901};
    intel = amd;
    intel.has = MSR_NEEDS_INTEL | MSR_NEEDS_SPEC_CTRL | MSR_NEEDS_PRED_CMD;
    intel.spec_ctrl_mask = 7;
    intel.pred_cmd_mask = 1;
    msr_policy_index(&amd);
    msr_policy_index(&intel);
    msr_slots_reset(&slots);
    return 0;
}

static bool is_one_bit(unsigned value)
{
    return value && !(value & (value - 1));
}

/* Sorted, not overlapping but for the vendor pair, every slot used once, every reset value allowed by its own
 * rule. */
static void the_table_is_sound(void **state)
{
    bool used[MSR_SLOTS] = {false};

    (void)state;
    assert_true(msr_entry_count <= 64);
    for (unsigned i = 0; i < msr_entry_count; i++) {
        const struct msr_entry *entry = &msr_entries[i];

        assert_true(entry->name && entry->first <= entry->last);
        if (i) {
            const struct msr_entry *before = &msr_entries[i - 1];

            if (before->first == entry->first)
                assert_true(is_one_bit(before->needs) && is_one_bit(entry->needs) &&
                            before->needs != entry->needs);
            else
                assert_true(before->last < entry->first);
        }
        for (uint32_t index = entry->first; index <= entry->last && entry->kind == MSR_STORED; index++) {
            unsigned slot = entry->slot + (index - entry->first);

            assert_true(slot < MSR_SLOTS && !used[slot]);
            used[slot] = true;
            assert_true(slots.value[slot] == entry->value);
            assert_true(msr_policy_write_ok(&amd, entry, index, entry->value));
        }
    }
}

static const struct msr_entry *slow_find(const struct msr_policy *policy, uint32_t index)
{
    for (unsigned i = 0; i < msr_entry_count; i++)
        if (index >= msr_entries[i].first && index <= msr_entries[i].last &&
            (msr_entries[i].needs & policy->has) == msr_entries[i].needs)
            return &msr_entries[i];
    return NULL;
}

static void search_equals_the_slow_one(void **state)
{
    static const uint32_t starts[] = {0, 0xC0000000, 0xC0010000, 0xFFFFF000, 0x40000000};

    (void)state;
    for (size_t s = 0; s < ARRAY_SIZE(starts); s++)
        for (uint32_t i = 0; i < 0x1000 + (s == 2) * 0x1000; i++) {
            uint32_t index = starts[s] + i;

            assert_ptr_equal(msr_policy_find(&amd, index), slow_find(&amd, index));
            assert_ptr_equal(msr_policy_find(&intel, index), slow_find(&intel, index));
        }
}

static void the_hot_ones_are_found(void **state)
{
    (void)state;
    assert_int_equal(msr_policy_find(&amd, 0x10)->kind, MSR_TSC);
    assert_string_equal(msr_policy_find(&amd, 0x10)->name, "TSC");
}

/* What a guest must not see: no host time, no APIC, no counters. */
static void absent_ones_fault(void **state)
{
    static const uint32_t absent[] = {0x1B,       0x34,       0x3A,       0x3B,       0xC1,       0xCD,
                                      0xCE,       0xE7,       0xE8,       0x10A,      0x122,      0x140,
                                      0x186,      0x19C,      0x1A2,      0x38F,      0x480,      0x606,
                                      0x611,      0x6E0,      0x800,      0x832,      0xDA0,      0xC0000104,
                                      0xC0010000, 0xC0010004, 0xC0010114, 0xC0010117, 0xC0010140, 0xC0010200,
                                      0xC0011020, 0xC0000105, 0xC00000E7, 0xC00000E9, 0xC0010299};
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
        assert_int_equal(msr_policy_read(&amd, &slots, absent[i], &value), MSR_FAULT);
        assert_int_equal(msr_policy_read(&intel, &slots, absent[i], &value), MSR_FAULT);
        assert_int_equal(msr_policy_write(&amd, &slots, absent[i], 0), MSR_FAULT);
        assert_int_equal(msr_policy_write(&intel, &slots, absent[i], 0), MSR_FAULT);
    }
}

static void vendors_differ(void **state)
{
    uint64_t value;

    (void)state;
    assert_int_equal(msr_policy_read(&amd, &slots, 0x8B, &value), MSR_DONE);
    assert_true(value == 0x01000065);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x8B, 0), MSR_FAULT);
    assert_int_equal(msr_policy_write(&intel, &slots, 0x8B, 0), MSR_DONE); /* as Linux does before it reads */
    assert_int_equal(msr_policy_read(&intel, &slots, 0x8B, &value), MSR_DONE);
    assert_true(value >> 32 == 1);
    assert_int_equal(msr_policy_read(&amd, &slots, 0x1A0, &value), MSR_FAULT);
    assert_int_equal(msr_policy_read(&intel, &slots, 0x1A0, &value), MSR_DONE);
    assert_true((value & 1) && !(value & BIT64(34)) && !(value & BIT64(22)) && !(value & BIT64(18)));
    assert_int_equal(msr_policy_read(&intel, &slots, 0xC0010015, &value), MSR_FAULT);
    assert_int_equal(msr_policy_read(&intel, &slots, 0xC0000103, &value),
                     MSR_FAULT); /* no RDTSCP in this model */
    assert_int_equal(msr_policy_read(&amd, &slots, 0xC0000103, &value), MSR_ON_VCPU);
}

/* HWCR: Linux wants TscFreqSel; FFDIS and McStatusWrEn may be set; the rest not. */
static void hwcr(void **state)
{
    uint64_t value;

    (void)state;
    assert_int_equal(msr_policy_read(&amd, &slots, 0xC0010015, &value), MSR_DONE);
    assert_true(value == BIT64(24));
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0010015, value | BIT64(18) | BIT64(6)), MSR_DONE);
    assert_int_equal(msr_policy_read(&amd, &slots, 0xC0010015, &value), MSR_DONE);
    assert_true(value == (BIT64(24) | BIT64(18) | BIT64(6)));
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0010015, 0), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0010015, BIT64(24) | BIT64(30)), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC001001F, BIT64(46)), MSR_DONE);
}

static void firmware_mtrrs(void **state)
{
    uint64_t value;

    (void)state;
    assert_int_equal(msr_policy_read(&amd, &slots, 0xFE, &value), MSR_DONE);
    assert_true(value == 0x508);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xFE, 0x508), MSR_FAULT);
    msr_policy_read(&amd, &slots, 0x2FF, &value);
    assert_true(value == 0xC06);
    for (uint32_t index = 0x200; index < 0x210; index++) {
        msr_policy_read(&amd, &slots, index, &value);
        assert_true(value == 0);
        assert_int_equal(
            msr_policy_write(&amd, &slots, index, index & 1 ? UINT64_C(0xFFFFFF0800) : UINT64_C(0x80000006)),
            MSR_DONE);
    }
    for (uint32_t index = 0x200; index < 0x210; index++) {
        msr_policy_read(&amd, &slots, index, &value);
        assert_true(value == (index & 1 ? UINT64_C(0xFFFFFF0800) : UINT64_C(0x80000006)));
    }
    assert_int_equal(msr_policy_write(&amd, &slots, 0x200, UINT64_C(1) << 40), MSR_FAULT); /* above 40 bits */
    assert_int_equal(msr_policy_write(&amd, &slots, 0x200, 2), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x200, 0x106), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x201, 0x400), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x250, UINT64_C(0x0706060606060606)), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x26F, UINT64_C(0x0605040100000606)), MSR_DONE);
    msr_policy_read(&amd, &slots, 0x26E, &value);
    assert_true(value == UINT64_C(0x0505050505050505));
    assert_int_equal(msr_policy_write(&amd, &slots, 0x2FF, 0), MSR_DONE);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x2FF, 0x1C06), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x2FF, 0xC02), MSR_FAULT);
    assert_int_equal(msr_policy_read(&amd, &slots, 0x210, &value), MSR_FAULT);
    assert_int_equal(msr_policy_read(&amd, &slots, 0x251, &value), MSR_FAULT);
}

static void constants(void **state)
{
    static const uint32_t ignored[] = {0x0, 0x1, 0xC0010055, 0xC0010058};
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        assert_int_equal(msr_policy_write(&amd, &slots, ignored[i], UINT64_MAX), MSR_DONE);
        assert_int_equal(msr_policy_read(&amd, &slots, ignored[i], &value), MSR_DONE);
        assert_true(value == 0);
    }
    assert_int_equal(msr_policy_read(&amd, &slots, 0x179, &value), MSR_DONE);
    assert_true(value == 0);
    assert_int_equal(msr_policy_read(&amd, &slots, 0x17B, &value), MSR_FAULT);
    assert_int_equal(msr_policy_read(&amd, &slots, 0xC0010010, &value), MSR_DONE);
    assert_true(value == 0);
}

static void same_value_only(void **state)
{
    uint64_t value;

    (void)state;
    assert_int_equal(msr_policy_read(&amd, &slots, 0xC0011029, &value), MSR_DONE);
    assert_true(value == 2);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0011029, 2), MSR_DONE);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0011029, 0), MSR_FAULT);
}

static void debugctl_is_kept(void **state)
{
    uint64_t value;

    (void)state;
    assert_int_equal(msr_policy_write(&amd, &slots, 0x1D9, 3), MSR_DONE);
    assert_int_equal(msr_policy_read(&amd, &slots, 0x1D9, &value), MSR_DONE);
    assert_true(value == 3);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x1D9, 0x40), MSR_FAULT);
    assert_int_equal(msr_policy_read(&amd, &slots, 0x1DE, &value), MSR_DONE);
    assert_true(value == 0);
}

static void values_of_the_vcpu_are_checked(void **state)
{
    (void)state;
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0000080, 0xD01), MSR_ON_VCPU); /* SCE LME LMA NXE */
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0000080, 0x1000), MSR_FAULT);  /* SVME */
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0000082, UINT64_C(0xFFFF800000000000)), MSR_ON_VCPU);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0000082, UINT64_C(0x0000800000000000)), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0000102, UINT64_C(0x00007FFFFFFFFFFF)), MSR_ON_VCPU);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0000101, UINT64_C(0x7FFF000000000000)), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x277, UINT64_C(0x0007010600070106)), MSR_ON_VCPU);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x277, UINT64_C(0x0002010600070106)), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x277, UINT64_C(0x0007010600080106)), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0000103, UINT32_MAX), MSR_ON_VCPU);
    assert_int_equal(msr_policy_write(&amd, &slots, 0xC0000103, UINT64_C(1) << 32), MSR_FAULT);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x10, UINT64_MAX), MSR_ON_TSC);
    assert_int_equal(msr_policy_write(&amd, &slots, 0x48, 0), MSR_FAULT);
    assert_int_equal(msr_policy_write(&intel, &slots, 0x48, 7), MSR_ON_VCPU);
    assert_int_equal(msr_policy_write(&intel, &slots, 0x48, 0x80), MSR_FAULT);
    assert_int_equal(msr_policy_write(&intel, &slots, 0x49, 1), MSR_ON_CPU);
    assert_int_equal(msr_policy_write(&intel, &slots, 0x49, 2), MSR_FAULT);
    uint64_t value = 5;
    assert_int_equal(msr_policy_read(&intel, &slots, 0x49, &value), MSR_FAULT);
    assert_true(value == 5);
}

static void no_cpu(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    (void)subleaf;
    memset(out, leaf == 0 ? 0 : 0xFF, 16);
}

static void policy_follows_cpuid(void **state)
{
    static struct cpuid_policy cpuid;
    struct cpuid_options options = {.source = no_cpu, .tsc_hz = 1000000, .spec_ctrl = true};
    struct msr_policy policy;

    (void)state;
    cpuid_policy_build(&cpuid, &options);
    msr_policy_build(&policy, &cpuid);
    assert_int_equal(policy.has & (MSR_NEEDS_INTEL | MSR_NEEDS_AMD), MSR_NEEDS_INTEL);
    assert_true(policy.has & MSR_NEEDS_TSC_AUX && policy.has & MSR_NEEDS_SPEC_CTRL);
    assert_int_equal(policy.phys_bits, 36); /* the host's 255 is nonsense */
    assert_true(policy.efer_mask == 0x4901);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_table_is_sound, set_up),
        cmocka_unit_test_setup(search_equals_the_slow_one, set_up),
        cmocka_unit_test_setup(the_hot_ones_are_found, set_up),
        cmocka_unit_test_setup(absent_ones_fault, set_up),
        cmocka_unit_test_setup(vendors_differ, set_up),
        cmocka_unit_test_setup(hwcr, set_up),
        cmocka_unit_test_setup(firmware_mtrrs, set_up),
        cmocka_unit_test_setup(constants, set_up),
        cmocka_unit_test_setup(same_value_only, set_up),
        cmocka_unit_test_setup(debugctl_is_kept, set_up),
        cmocka_unit_test_setup(values_of_the_vcpu_are_checked, set_up),
        cmocka_unit_test(policy_follows_cpuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
