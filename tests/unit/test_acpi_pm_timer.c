/* The ACPI PM timer against its formula in 128-bit arithmetic, at several clock rates, and its three choices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "devices/acpi_pm_timer.h"
#include "hv/clock.h"

static struct guest_clock guest;
static struct acpi_pm_timer timer;

static uint32_t in(unsigned offset, unsigned width)
{
    return (uint32_t)timer.region.ops->read(timer.region.opaque, offset, width);
}

/* 3.579545 MHz is 3 times the PIT's 13125000 / 11 Hz. */
static uint32_t expected(uint64_t cycles)
{
    return (uint32_t)((unsigned __int128)cycles * 3 * 13125000 / ((unsigned __int128)11 * guest.hz));
}

static void test_counts_exactly(void **state)
{
    static const uint64_t rates[] = {1000000000, 999999937, 3400000001, 1193181, 39375000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
        uint64_t step = 1;

        guest_clock_init(&guest, rates[i]);
        acpi_pm_timer_init(&timer, &guest, ACPI_PM_TIMER_PORT, 32);
        assert_int_equal(in(0, 4), 0);
        for (unsigned j = 0; j < 200000; j++) {
            guest_clock_advance(&guest, guest.now + step);
            assert_int_equal(in(0, 4), expected(guest.now));
            step = step * 6364136223846793005u % 1000003 + 1;
        }
    }
}

/* Edge k stands at ceil(k * f * 11 / 39375000), to the cycle. */
static void test_edges_on_the_cycle(void **state)
{
    (void)state;
    guest_clock_init(&guest, 1000000000);
    acpi_pm_timer_init(&timer, &guest, ACPI_PM_TIMER_PORT, 24);
    for (uint64_t k = 1; k < 100000; k++) {
        uint64_t edge = (k * 1000000000 * 11 + 39375000 - 1) / 39375000;

        guest_clock_advance(&guest, edge - 1);
        assert_int_equal(in(0, 4), k - 1);
        guest_clock_advance(&guest, edge);
        assert_int_equal(in(0, 4), k);
    }
}

static void test_wraps_at_its_width(void **state)
{
    (void)state;
    for (unsigned bits = 24; bits <= 32; bits += 8) {
        guest_clock_init(&guest, 39375000); /* 11 cycles a tick */
        acpi_pm_timer_init(&timer, &guest, 0xb008, bits);
        assert_int_equal(timer.region.base, 0xb008);
        assert_int_equal(timer.region.length, 4);
        assert_int_equal(timer.region.widths, 7);
        guest_clock_advance(&guest, (UINT64_C(11) << bits) - 1);
        assert_int_equal(in(0, 4), bits == 24 ? 0xffffff : 0xffffffff);
        guest_clock_advance(&guest, UINT64_C(11) << bits);
        assert_int_equal(in(0, 4), 0);
    }
}

static void test_choice_1(void **state)
{
    (void)state;
    guest_clock_init(&guest, 39375000);
    acpi_pm_timer_init(&timer, &guest, ACPI_PM_TIMER_PORT, 24);
    guest_clock_advance(&guest, UINT64_C(11) * 0xa1b2c3);
    static const uint8_t bytes[] = {0xc3, 0xb2, 0xa1, 0};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(in(i, 1), bytes[i]);
    assert_int_equal(in(0, 2), 0xb2c3);
    assert_int_equal(in(1, 2), 0xa1b2);
    assert_int_equal(in(2, 2), 0x00a1);
    guest_clock_advance(&guest, guest.now + 11);
    assert_int_equal(in(0, 1), 0xc4);
}

static void test_choice_2_and_3(void **state)
{
    (void)state;
    guest_clock_init(&guest, 39375000);
    acpi_pm_timer_init(&timer, &guest, ACPI_PM_TIMER_PORT, 24);
    guest_clock_advance(&guest, 1100);
    timer.region.ops->write(timer.region.opaque, 0, 4, 0x12345678);
    assert_int_equal(in(0, 4), 100);
    timer.device.reset(timer.device.opaque);
    timer.device.restored(timer.device.opaque);
    assert_int_equal(in(0, 4), 100);
    assert_int_equal(timer.device.state_size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_exactly),     cmocka_unit_test(test_edges_on_the_cycle),
        cmocka_unit_test(test_wraps_at_its_width), cmocka_unit_test(test_choice_1),
        cmocka_unit_test(test_choice_2_and_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
