/*
 * What is made of where the one-shot landed (hv/landing.h; docs/time.md, "Landing"): the three cases early,
 * within the window and late; what is never charged; and the lead, over a timer with a known jitter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "hv/landing.h"
#include "lib/prng.h"

static struct landing landing;

/* QEMU icount, Bochs: whatever the exit, nothing is charged. */
static void test_no_spread_charges_nothing(void **state)
{
    (void)state;
    landing_init(&landing, 0, 1, false);
    assert_int_equal(landing_lead(&landing, 1000), 0);
    for (uint64_t consumed = 0; consumed < 100; consumed++)
        assert_int_equal(landing_take(&landing, 100, consumed, consumed % 2), 0);
    assert_int_equal(landing_take(&landing, 100, 100, true), 0);
    assert_int_equal(landing.landed, 1);
    assert_int_equal(landing.histogram[0], 1);
    assert_int_equal(landing.late, 0);
    assert_int_equal(landing.snaps, 0);
}

static void test_early_within_and_beyond_the_window(void **state)
{
    (void)state;
    landing_init(&landing, 50, 1, false);
    uint64_t window = landing.window;
    assert_int_equal(window, 100);
    assert_int_equal(landing_take(&landing, 10000, 10000 - window - 1, true),
                     0); /* a new one-shot is to be set */
    assert_int_equal(landing.landed, 0);
    assert_int_equal(landing_take(&landing, 10000, 10000 - window, true), window);
    assert_int_equal(landing_take(&landing, 10000, 9999, true), 1);
    assert_int_equal(landing_take(&landing, 10000, 10000, true), 0);
    assert_int_equal(landing.landed, 3);
    assert_int_equal(landing.snaps, 2);
    assert_int_equal(landing.late, 0);
    assert_int_equal(landing.histogram[0], 1); /* 0 */
    assert_int_equal(landing.histogram[1], 1); /* 1 to 9 */
    assert_int_equal(landing.histogram[3], 1); /* 100 to 999 */
}

/* A slice's end, a timer armed for an earlier moment, the guest's own exit: never charged, however close, and
 * no landing. */
static void test_foreign_exit_is_never_charged(void **state)
{
    (void)state;
    landing_init(&landing, 50, 1, false);
    struct landing before = landing;
    for (uint64_t consumed = 0; consumed <= 10000; consumed++)
        assert_int_equal(landing_take(&landing, 10000, consumed, false), 0);
    assert_memory_equal(&landing, &before, sizeof landing);
}

static void test_exact_on_never_charges(void **state)
{
    (void)state;
    landing_init(&landing, 50, 1, true);
    for (uint64_t consumed = 9000; consumed < 10000; consumed++)
        assert_int_equal(landing_take(&landing, 10000, consumed, true), 0);
    assert_int_equal(landing.snaps, 0);
    assert_true(landing_lead(&landing, 10000) > 0);
}

/* Late is counted whichever exit ended the run; up to the grain it is the instruction in flight. */
static void test_late(void **state)
{
    (void)state;
    landing_init(&landing, 5, 8, false);
    uint64_t lead = landing.lead;
    assert_int_equal(landing_take(&landing, 100, 107, true), 0);
    assert_int_equal(landing.late, 0);
    assert_int_equal(landing_take(&landing, 100, 108, true), 0);
    assert_int_equal(landing_take(&landing, 100, 1100, false), 0);
    assert_int_equal(landing_take(&landing, 100, 300, false), 0);
    assert_int_equal(landing.late, 3);
    assert_int_equal(landing.worst_late, 1000);
    assert_int_equal(landing.lead, lead + 8 + 1000 + 200);
    landing_init(&landing, 0, 0, false); /* a grain of 0 means 1 */
    landing_take(&landing, 100, 101, true);
    assert_int_equal(landing.late, 1);
    landing_take(&landing, 100, UINT64_MAX, false);
    assert_true(landing.worst_late == UINT64_MAX - 100);
    assert_int_equal(landing.histogram[LANDING_BUCKETS - 1], 1);
}

static void test_lead_is_an_eighth_at_most(void **state)
{
    (void)state;
    landing_init(&landing, 1000, 1, false);
    assert_int_equal(landing_lead(&landing, 1000000), 1000);
    assert_int_equal(landing_lead(&landing, 8000), 1000);
    assert_int_equal(landing_lead(&landing, 800), 100);
    assert_int_equal(landing_lead(&landing, 7), 0);
}

/* A timer that fires before the guest's first instruction is aimed at the deadline itself until the guest
 * moves. */
static void test_stuck_timer_is_aimed_later(void **state)
{
    (void)state;
    landing_init(&landing, 1000, 1, true);
    landing_take(&landing, 100000, 0, true);
    assert_int_equal(landing_lead(&landing, 100000), 1000);
    landing_take(&landing, 100000, 0, true);
    assert_int_equal(landing_lead(&landing, 100000), 0);
    landing_take(&landing, 100000, 1, true);
    assert_int_equal(landing_lead(&landing, 100000), 1000);
}

/*
 * A timer that fires up to 600 cycles after the moment it is set for (calibration has only seen 100): the
 * lead grows until none is late any more, the charges stay within the window, and the clock stands on each
 * deadline exactly.
 */
static void test_lead_adapts_to_jitter(void **state)
{
    struct prng prng;
    uint64_t late_at_first = 0;

    (void)state;
    prng_seed(&prng, 1);
    landing_init(&landing, 100, 1, false);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t distance = 20000 + prng_below(&prng, 100000);

        for (unsigned shots = 0; distance; shots++) {
            uint64_t consumed = distance - landing_lead(&landing, distance) + prng_below(&prng, 601);
            uint64_t gap = landing_take(&landing, distance, consumed, true);

            assert_true(gap <= landing.window);
            assert_in_range(shots, 0, 100);
            if (consumed >= distance)
                break;
            distance -= consumed;
            assert_true(gap == 0 || gap == distance);
            distance -= gap;
        }
        if (i == 2000)
            late_at_first = landing.late;
    }
    assert_in_range(late_at_first, 1, 200);
    assert_int_equal(landing.late, late_at_first); /* none in the last 18,000 */
    assert_true(landing.lead >= 300);
    assert_true(landing.window <= 2 * landing.lead + 200);
}

/* Distances of 1 ms at 3 GHz, jitter below 200 cycles, and one SMI: what is charged afterwards is as before.
 */
static void test_a_bad_landing_is_forgotten(void **state)
{
    static const uint64_t smis[] = {90000, 600000};
    struct prng prng;

    (void)state;
    for (size_t kind = 0; kind < ARRAY_SIZE(smis); kind++) {
        uint64_t before = 0, after = 0;

        prng_seed(&prng, 2);
        landing_init(&landing, 200, 1, false);
        for (unsigned i = 0; i < 30000; i++) {
            uint64_t distance = 3000000;
            uint64_t consumed = distance - landing_lead(&landing, distance) + prng_below(&prng, 200) +
                                (i == 10000 ? smis[kind] : 0);
            uint64_t gap = landing_take(&landing, distance, consumed, true);

            if (i >= 5000 && i < 10000)
                before += gap;
            if (i >= 25000)
                after += gap;
        }
        assert_true(after <= 2 * before);
        assert_in_range(before / 5000, 1, 400); /* cycles for each */
        assert_true(landing.late >= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_spread_charges_nothing),
        cmocka_unit_test(test_early_within_and_beyond_the_window),
        cmocka_unit_test(test_foreign_exit_is_never_charged),
        cmocka_unit_test(test_exact_on_never_charges),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_lead_is_an_eighth_at_most),
        cmocka_unit_test(test_stuck_timer_is_aimed_later),
        cmocka_unit_test(test_lead_adapts_to_jitter),
        cmocka_unit_test(test_a_bad_landing_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
