/*
 * Measuring the TSC with a counter (arch/x86/rate.c): simulated clocks of known rate, with slow reads,
 * phases, wraps, coarse steps, stray values and pauses. What must hold: the true rate lies in the interval,
 * and the interval is no wider than the reads make it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/x86/rate.h"

#define AS_PER_SECOND UINT64_C(1000000000000000000)
#define PM_LOW        UINT64_C(279365079365)
#define PM_HIGH       UINT64_C(279365114840)

typedef unsigned __int128 uint128;

static struct machine {
    uint64_t cycles;    /* since the simulation began */
    uint64_t hz;        /* of the clock */
    uint64_t period_as; /* of the counter */
    uint64_t phase_as;
    uint32_t mask, step, offset;
    uint64_t clock_cost, read_cost; /* cycles per read; the value is taken at a random moment in between */
    uint64_t pause_at, pause;       /* once, the CPU is gone for `pause` cycles from `pause_at` on */
    unsigned stray_every;           /* one read in so many gives a wrong value */
    bool dead;
    unsigned reads;
} machine;

static uint32_t random_state; /* fixed start: the same test each time */

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return limit ? (uint32_t)((uint64_t)random_state * limit >> 32) : 0;
}

static void spend(uint64_t cycles)
{
    bool before = machine.cycles < machine.pause_at;

    machine.cycles += cycles;
    if (before && machine.cycles >= machine.pause_at)
        machine.cycles += machine.pause;
}

static uint64_t read_clock(void)
{
    uint64_t part = random_below((uint32_t)machine.clock_cost);
    spend(part);
    uint64_t value = machine.cycles;
    spend(machine.clock_cost - part);
    return value + 0x123456789;
}

static uint32_t read_counter(const void *device)
{
    uint64_t part = random_below((uint32_t)machine.read_cost);

    assert_ptr_equal(device, &machine);
    spend(part);
    uint128 time_as = (uint128)machine.cycles * AS_PER_SECOND / machine.hz + machine.phase_as;
    uint64_t count = machine.dead ? 0 : (uint64_t)(time_as / machine.period_as);
    spend(machine.read_cost - part);
    count -= count % machine.step;
    if (machine.stray_every && ++machine.reads % machine.stray_every == 0)
        count ^= UINT64_C(1) << random_below(20);
    return ((uint32_t)count + machine.offset) & machine.mask;
}

static bool measure(uint64_t low_as, uint64_t high_as, struct rate_interval *interval)
{
    const struct rate_counter counter = {.read = read_counter,
                                         .device = &machine,
                                         .mask = machine.mask,
                                         .period_low_as = low_as,
                                         .period_high_as = high_as};

    return rate_measure(&counter, read_clock, interval);
}

static void reset(uint64_t hz, uint64_t period_as)
{
    machine = (struct machine){.hz = hz,
                               .period_as = period_as,
                               .phase_as = random_below(1000) * (period_as / 1000),
                               .mask = UINT32_MAX,
                               .step = 1,
                               .offset = random_below(UINT32_MAX),
                               .clock_cost = 20 + random_below(60),
                               .read_cost = 10 + random_below(4000)};
}

static void holds(const struct rate_interval *interval)
{
    assert_true(interval->low <= machine.hz && machine.hz <= interval->high);
}

/* Two brackets and two steps in 10 ms, and a little for rounding. */
static void narrow(const struct rate_interval *interval)
{
    uint64_t slack =
        2 * (machine.read_cost + 2 * machine.clock_cost) * 100 +
        (uint64_t)((uint128)2 * machine.step * machine.period_as * 100 * machine.hz / AS_PER_SECOND);

    assert_true(interval->high - interval->low <= slack + slack / 50 + machine.hz / 1000000 + 2);
}

static void test_hpet_rates(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        const uint64_t periods[] = {69841279000, 41666667000, 10000000000, 100000000000, 100000000};
        struct rate_interval interval;

        reset(500000000u + (uint64_t)random_below(550) * 10000019u, periods[i % 5]);
        assert_true(measure(machine.period_as, machine.period_as, &interval));
        holds(&interval);
        narrow(&interval);
    }
}

static void test_pm_timer_wraps(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        struct rate_interval interval;

        reset(1000000000u + (uint64_t)random_below(400) * 10000019u, i % 2 ? PM_LOW : PM_HIGH);
        machine.mask = 0xFFFFFF;
        machine.offset = 0xFFFFFFu - random_below(36000); /* wraps on the way */
        assert_true(measure(PM_LOW, PM_HIGH, &interval));
        holds(&interval);
        narrow(&interval);
    }
}

/* Emulators count by the microsecond: the interval must own up to that. */
static void test_coarse_steps(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        struct rate_interval interval;

        reset(50000000u + (uint64_t)random_below(1000) * 1000003u, PM_LOW);
        machine.clock_cost = 3;
        machine.read_cost = 1 + random_below(6);
        machine.step = 2 + random_below(9);
        assert_true(measure(PM_LOW, PM_HIGH, &interval));
        holds(&interval);
        narrow(&interval);
    }
}

/* A stray value at the ends never counts; one that ends the wait early only costs a try. */
static void test_stray_reads(void **state)
{
    unsigned measured = 0;

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        struct rate_interval interval;

        reset(2400000000u, PM_LOW);
        machine.read_cost = 2500;
        machine.mask = 0xFFFFFF;
        machine.stray_every = 100 + random_below(10000);
        if (!measure(PM_LOW, PM_HIGH, &interval))
            continue;
        measured++;
        holds(&interval);
    }
    assert_true(measured > 150);
}

static void test_pauses(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        struct rate_interval interval;

        reset(2600000000u, 10000000000);
        machine.pause_at = random_below(29000000);
        machine.pause = random_below(1u << random_below(28));
        assert_true(measure(machine.period_as, machine.period_as, &interval));
        holds(&interval);
        assert_true(interval.high - interval.low < machine.hz / 1000);
    }
}

/* A pause in which a 24-bit counter wraps unseen: the try is dropped. */
static void test_long_pause(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        struct rate_interval interval;

        reset(3000000000u, PM_LOW);
        machine.mask = 0xFFFFFF;
        machine.pause_at = 1000 + random_below(28000000);
        machine.pause = 14000000000u + random_below(200000000); /* about 4.7 s */
        if (measure(PM_LOW, PM_HIGH, &interval))
            holds(&interval);
    }
}

static void test_dead_counter_times_out(void **state)
{
    struct rate_interval interval;

    (void)state;
    reset(3000000000u, PM_LOW);
    machine.dead = true;
    machine.read_cost = 100000; /* the simulation's own speed */
    assert_false(measure(PM_LOW, PM_HIGH, &interval));
    assert_true(machine.cycles > RATE_TIMEOUT_CYCLES && machine.cycles < RATE_TIMEOUT_CYCLES + 10000000);
}

static unsigned zeros(uint64_t value)
{
    unsigned count = 0;

    for (; value && value % 10 == 0; value /= 10)
        count++;
    return count;
}

static void test_coarsest_by_trying_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t low = 1 + random_below(3000000), high = low + random_below(2000);
        uint64_t value = rate_coarsest(low, high), middle = low + (high - low) / 2;

        assert_true(value >= low && value <= high);
        for (uint64_t other = low; other <= high; other++) {
            uint64_t far = value > middle ? value - middle : middle - value,
                     near = other > middle ? other - middle : middle - other;

            assert_true(zeros(other) <= zeros(value));
            assert_true(zeros(other) < zeros(value) || near >= far);
        }
    }
}

static void test_coarsest_examples(void **state)
{
    (void)state;
    assert_int_equal(rate_coarsest(999999900, 1000000900), 1000000000);
    assert_int_equal(rate_coarsest(2596101687, 2596156643), 2596130000);
    assert_int_equal(rate_coarsest(5, 5), 5);
    assert_int_equal(rate_coarsest(0, 0), 0);
    assert_int_equal(rate_coarsest(1, UINT64_C(3000000000001)), UINT64_C(2000000000000));
}

static void test_per_second_rounds_outwards(void **state)
{
    (void)state;
    assert_int_equal(rate_per_second(10, 1, 3, false), 3);
    assert_int_equal(rate_per_second(10, 1, 3, true), 4);
    assert_int_equal(rate_per_second(10000000, AS_PER_SECOND, AS_PER_SECOND / 100, true), 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hpet_rates),
        cmocka_unit_test(test_pm_timer_wraps),
        cmocka_unit_test(test_coarse_steps),
        cmocka_unit_test(test_stray_reads),
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_long_pause),
        cmocka_unit_test(test_dead_counter_times_out),
        cmocka_unit_test(test_coarsest_by_trying_all),
        cmocka_unit_test(test_coarsest_examples),
        cmocka_unit_test(test_per_second_rounds_outwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
