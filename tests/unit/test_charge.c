/* The charge table (hv/charge.h): under hw each row's time in cycles, rounded up; N for each; never zero for
 * an instruction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "hv/charge.h"

static void test_hw_is_time(void **state)
{
    static const uint64_t rates[] = {1,          999,        1000000,    999999999,
                                     1000000000, 1000000001, 3400000000, 5200000000};
    struct charges charges;

    (void)state;
    for (unsigned r = 0; r < ARRAY_SIZE(rates); r++) {
        charges_init(&charges, rates[r], 0);
        for (unsigned i = 0; i < CHARGES; i++) {
            unsigned __int128 cycles =
                ((unsigned __int128)rates[r] * charge_ns((enum charge)i) + 999999999) / 1000000000;

            assert_true(charges.cycles[i] == (cycles ? (uint64_t)cycles : 1));
        }
    }
}

/* An ISA port access takes about 1 us (8 clocks of 8.33 MHz), more than any other row. */
static void test_what_a_pc_takes(void **state)
{
    struct charges charges;

    (void)state;
    charges_init(&charges, 1000000000, 0);
    assert_in_range(charges.cycles[CHARGE_PORT], 900, 1100);
    for (unsigned i = 0; i < CHARGES; i++) {
        assert_in_range(charges.cycles[i], 1, charges.cycles[CHARGE_PORT]);
        assert_non_null(charge_name((enum charge)i));
        assert_int_not_equal(charge_name((enum charge)i)[0], 0);
    }
}

static void test_n_for_each(void **state)
{
    static const uint64_t each[] = {1, 7, 1000000};
    struct charges charges;

    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(each); n++) {
        charges_init(&charges, 1000000000, each[n]);
        for (unsigned i = 0; i < CHARGES; i++)
            assert_true(charges.cycles[i] == (i == CHARGE_EVENT ? 0 : each[n]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hw_is_time),
        cmocka_unit_test(test_what_a_pc_takes),
        cmocka_unit_test(test_n_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
