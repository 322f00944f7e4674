/* The TSC-deadline errata: which microcode each CPU needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/x86/host/deadline.h"

/* One CPU of each model, by its signature. */
static void test_listed(void **state)
{
    static const struct {
        uint32_t signature, revision;
    } listed[] = {
        {0x306C3, 0x22},       {0x40651, 0x20},       {0x40661, 0x17},       {0x306F2, 0x3A},
        {0x306F4, 0x0F},       {0x306D4, 0x25},       {0x40671, 0x17},       {0x406F1, 0x0B000020},
        {0x50662, 0x11},       {0x50663, 0x0700000E}, {0x50664, 0x0F00000C}, {0x50665, 0x0E000003},
        {0x50653, 0x01000136}, {0x50654, 0x02000014}, {0x406E3, 0xB2},       {0x506E3, 0xB2},
        {0x806E9, 0x52},       {0x906E9, 0x52},
    };

    (void)state;
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++)
        assert_int_equal(deadline_microcode(listed[i].signature), listed[i].revision);
}

static void test_no_revision_known(void **state)
{
    (void)state;
    assert_int_equal(deadline_microcode(0x306F1), UINT32_MAX);
    assert_int_equal(deadline_microcode(0x50661), UINT32_MAX);
    assert_int_equal(deadline_microcode(0x50652), UINT32_MAX);
}

/* Ivy Bridge, Cascade Lake, Ice Lake; and families whose model number alone is a listed one's. */
static void test_sound(void **state)
{
    static const uint32_t sound[] = {0x306A9, 0x50655, 0x50656, 0x50657, 0x706E5, 0x00830F10, 0x00F3C, 0x0};

    (void)state;
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
        assert_int_equal(deadline_microcode(sound[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listed),
        cmocka_unit_test(test_no_revision_known),
        cmocka_unit_test(test_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
