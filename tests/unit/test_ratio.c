/*
 * Exact clock conversion against the compiler's own 128-bit division, and the PIT's grid against its formula
 * (docs/time.md, "PIT grid"): edge k at ceil(k * f * 11 / 13125000), edges so far floor(g * 13125000 / (11
 * f)).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/prng.h"
#include "lib/ratio.h"

typedef unsigned __int128 uint128;

#define PIT_NUM 13125000u
#define PIT_DEN 11u

static uint64_t clip(uint128 value)
{
    return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

static uint64_t slow_floor(uint64_t x, uint64_t num, uint64_t den)
{
    return clip((uint128)x * num / den);
}

static uint64_t slow_ceil(uint64_t x, uint64_t num, uint64_t den)
{
    return clip(((uint128)x * num + (den - 1)) / den);
}

static void check_ratio(uint64_t num, uint64_t den, uint64_t x)
{
    struct ratio ratio;

    ratio_init(&ratio, num, den);
    assert_true(ratio_floor(&ratio, x) == slow_floor(x, num, den));
    assert_true(ratio_ceil(&ratio, x) == slow_ceil(x, num, den));
}

/* A number of random length, small and large ones alike: 1 to 2^bits - 1. */
static uint64_t any(struct prng *prng, unsigned bits)
{
    uint64_t value = prng_next(prng) >> (64 - bits) >> prng_below(prng, bits);

    return value ? value : 1;
}

static void test_random_ratios(void **state)
{
    struct prng prng;

    (void)state;
    prng_seed(&prng, 1);
    for (unsigned i = 0; i < 300000; i++)
        check_ratio(any(&prng, 63), any(&prng, 63), any(&prng, 64) - 1);
}

static void test_extremes(void **state)
{
    static const uint64_t edge[] = {1, 2, 3, 5, UINT64_C(1) << 31, UINT32_MAX, INT64_MAX - 1, INT64_MAX};
    static const uint64_t xs[] = {0, 1, 2, UINT32_MAX, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};

    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(edge); n++)
        for (unsigned d = 0; d < ARRAY_SIZE(edge); d++)
            for (unsigned i = 0; i < ARRAY_SIZE(xs); i++)
                check_ratio(edge[n], edge[d], xs[i]);
}

/* Quotients that are whole, one below and one above: where an estimate would go wrong. */
static void test_around_whole_quotients(void **state)
{
    struct prng prng;

    (void)state;
    prng_seed(&prng, 2);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t num = any(&prng, 63), den = any(&prng, 63);
        uint64_t x = slow_floor(any(&prng, 63), den, num);

        check_ratio(num, den, x);
        check_ratio(num, den, x + (x < UINT64_MAX));
        check_ratio(num, den, x - (x > 0));
    }
}

static const uint64_t rates[] = {1000000000, 1000000496, 2394563217, 3000000000,
                                 4999999999, 13125000,   1193182,    1000};

static void test_pit_grid_is_the_formula(void **state)
{
    struct prng prng;

    (void)state;
    prng_seed(&prng, 3);
    for (unsigned r = 0; r < ARRAY_SIZE(rates); r++) {
        struct grid grid;

        grid_init(&grid, rates[r], PIT_NUM, PIT_DEN);
        for (unsigned i = 0; i < 20000; i++) {
            uint64_t k = i < 10000 ? i : any(&prng, 45);

            assert_true(grid_cycles(&grid, k) == slow_ceil(k, rates[r] * PIT_DEN, PIT_NUM));
            assert_true(grid_edges(&grid, k) == slow_floor(k, PIT_NUM, rates[r] * PIT_DEN));
        }
    }
}

/* The two directions fit: edge k has passed at its own cycle and not one cycle before. */
static void test_grid_inverse(void **state)
{
    struct prng prng;
    struct grid grid;

    (void)state;
    prng_seed(&prng, 4);
    for (unsigned r = 0; r < ARRAY_SIZE(rates); r++) {
        grid_init(&grid, rates[r], PIT_NUM, PIT_DEN);
        for (unsigned i = 1; i < 20000; i++) {
            uint64_t k = i < 10000 ? i : any(&prng, 45);
            uint64_t at = grid_cycles(&grid, k);

            assert_true(grid_edges(&grid, at) >= k);
            assert_true(grid_edges(&grid, at - 1) < k);
        }
    }
}

/* At 1 GHz an edge is 838 + 2/21 cycles: 21 edges are 17,600 cycles to the digit, for ever. */
static void test_no_drift(void **state)
{
    struct grid grid;

    (void)state;
    grid_init(&grid, 1000000000, PIT_NUM, PIT_DEN);
    assert_true(grid_cycles(&grid, 1) == 839); /* rounded up, neither down nor to the nearest */
    assert_true(grid_cycles(&grid, 21) == 17600);
    assert_true(grid_cycles(&grid, 21 * UINT64_C(1000000000000)) == 17600 * UINT64_C(1000000000000));
    assert_true(grid_edges(&grid, 17600 * UINT64_C(1000000000000)) == 21 * UINT64_C(1000000000000));
}

static void test_saturates(void **state)
{
    struct ratio ratio;

    (void)state;
    ratio_init(&ratio, INT64_MAX, 1);
    assert_true(ratio_floor(&ratio, 3) == UINT64_MAX);
    assert_true(ratio_ceil(&ratio, 3) == UINT64_MAX);
    ratio_init(&ratio, 1, INT64_MAX);
    assert_true(ratio_floor(&ratio, INT64_MAX - 1) == 0);
    assert_true(ratio_ceil(&ratio, 1) == 1);
    assert_true(ratio_ceil(&ratio, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_ratios),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_around_whole_quotients),
        cmocka_unit_test(test_pit_grid_is_the_formula),
        cmocka_unit_test(test_grid_inverse),
        cmocka_unit_test(test_no_drift),
        cmocka_unit_test(test_saturates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
