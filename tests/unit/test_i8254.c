/*
 * The PIT by the datasheet: the waveform figures of each mode (Intel 231164, figures "Mode 0" to "Mode 5"),
 * the read and latch commands, and where the PIT grid (docs/time.md) puts each edge. CE before the first load
 * is the datasheet's N: not read.
 */
#include "tests/unit/i8254_script.h"

static void test_mode_0(void **unused)
{
    (void)unused;
    script_run("c10 =0 w04 04/0 03/0 02/0 01/0 00/1 FF/1 FE/1");
    /* GATE only holds the count */
    script_run("c10 w03 03/0 02/0 g0 02/0 02/0 g1 01/0 00/1 FF/1");
    /* a new count while counting */
    script_run("c10 w03 03/0 02/0 01/0 w02 02/0 01/0 00/1 FF/1");
    /* loaded while GATE is low: N CLKs, not N+1 */
    script_run("g0 c10 w02 02/0 02/0 g1 01/0 00/1");
    /* 102h: the first byte starts nothing */
    script_run("c30 w02 n5 =0 w01 -/0 n257 -/1");
    /* first byte: OUT low at once, CE stands */
    script_run("c30 w02 w00 n3 =1 w05 =0 n9 =0 r00 r00 w00 -/0 n4 -/1");
}

static void test_mode_1(void **unused)
{
    (void)unused;
    script_run("g0 c12 =1 w03 -/1 -/1 g1 03/0 g0 02/0 01/0 00/1 FF/1 g1 03/0 02/0");
    /* retrigger */
    script_run("g0 c12 w03 -/1 g1 03/0 02/0 g0 01/0 g1 03/0 02/0 01/0 00/1");
    /* a new count waits for its trigger */
    script_run("g0 c12 w02 -/1 g1 02/0 w04 01/0 g0 00/1 FF/1 FE/1 g1 04/0 03/0");
    /* the flip-flop keeps a trigger shorter than a CLK */
    script_run("g0 c12 w03 g1 g0 03/0 02/0 01/0 00/1");
}

static void test_mode_2(void **unused)
{
    (void)unused;
    script_run("c14 =1 w03 03/1 02/1 01/0 03/1 02/1 01/0 03/1");
    /* a trigger loads again */
    script_run("c14 w03 03/1 02/1 g0 02/1 02/1 g1 03/1 02/1 01/0 03/1");
    /* a new count takes effect at the end of the period */
    script_run("c14 w04 04/1 03/1 w05 02/1 01/0 05/1 04/1 03/1");
    /* or at a trigger */
    script_run("c14 w04 04/1 03/1 w05 g0 g1 05/1 04/1 03/1 02/1 01/0 05/1");
    /* GATE low sets OUT high at once */
    script_run("c14 w03 03/1 02/1 01/0 g0 =1 01/1 g1 03/1 02/1 01/0");
    script_run("c14 w02 02/1 01/0 02/1 01/0");
    /* mode 6 is mode 2 */
    script_run("c1C w03 03/1 02/1 01/0 03/1");
}

static void test_mode_3(void **unused)
{
    (void)unused;
    script_run("c16 =1 w04 04/1 02/1 04/0 02/0 04/1 02/1 04/0 02/0 04/1");
    script_run("c16 w05 04/1 02/1 00/1 04/0 02/0 04/1 02/1 00/1 04/0 02/0 04/1");
    script_run("c16 w04 04/1 02/1 04/0 g0 =1 04/1 04/1 g1 04/1 02/1 04/0");
    script_run("c16 w04 04/1 02/1 04/0 02/0 04/1 g0 04/1 g1 04/1 02/1 04/0");
    /* a new count: end of the half cycle */
    script_run("c16 w06 06/1 04/1 w02 02/1 02/0 02/1 02/0");
    script_run("c16 w03 02/1 00/1 02/0 02/1 00/1 02/0");
    script_run("c16 w02 02/1 02/0 02/1 02/0");
    /* mode 7 is mode 3 */
    script_run("c1E w05 04/1 02/1 00/1 04/0 02/0 04/1");
}

static void test_mode_4(void **unused)
{
    (void)unused;
    script_run("c18 =1 w03 03/1 02/1 01/1 00/0 FF/1 FE/1 FD/1");
    script_run("g0 c18 w03 03/1 03/1 g1 02/1 01/1 00/0 FF/1");
    /* software retrigger */
    script_run("c18 w03 03/1 02/1 01/1 w02 02/1 01/1 00/0 FF/1");
    /* first byte: no effect */
    script_run("c38 w05 w00 -/1 -/1 w02 r04 r00 -/1 r03 r00 w00 -/1 r02 r00 -/1 -/0 -/1");
}

static void test_mode_5(void **unused)
{
    (void)unused;
    script_run("g0 c1A =1 w03 -/1 -/1 g1 03/1 02/1 g0 01/1 00/0 FF/1 g1 03/1");
    /* retrigger */
    script_run("g0 c1A w03 -/1 g1 03/1 02/1 g0 g1 03/1 02/1 01/1 00/0 FF/1 FE/1");
    script_run("g0 c1A w03 -/1 g1 03/1 w05 02/1 01/1 00/0 FF/1 g0 g1 05/1 04/1");
}

static void test_bcd(void **unused)
{
    (void)unused;
    script_run("c31 w00 w01 -/0 r00 r01 -/0 r99 r00 n97 r02 r00 -/0 r01 r00 -/1 r00 r00 -/1 r99 r99");
    script_run("c15 w12 12/1 11/1 10/1 09/1 n6 02/1 01/0 12/1");
    script_run("c17 w11 10/1 08/1 06/1 04/1 02/1 00/1 10/0 08/0");
}

static void test_count_zero_is_the_largest(void **unused)
{
    (void)unused;
    script_run("c30 w00 w00 -/0 r00 r00 -/0 rFF rFF n65534 =0 -/1");
    script_run("c31 w00 w00 -/0 r00 r00 -/0 r99 r99 n9998 =0 -/1");
    script_run("c34 w00 w00 -/1 n65534 =1 -/0 -/1 n65534 =1 -/0 -/1");
    script_run("c36 w00 w00 -/1 -/1 rFE rFF n32766 =1 -/0 n32767 =0 -/1");
    script_run("c35 w00 w00 -/1 n9998 =1 -/0 -/1");
}

static void test_access_widths(void **unused)
{
    (void)unused;
    /* MSB only: 100h */
    script_run("c20 w01 -/0 r01 r01 -/0 r00 r00 n254 =0 -/1");
    /* LSB only */
    script_run("c10 w02 -/0 -/0 r01 r01");
    /* two toggles, one for each direction */
    script_run("c34 w34 w12 -/1 r34 r12 n4 r30 w00 r12 w10 n1 r2F r12");
    /* a control word clears them */
    script_run("c34 w34 w12 -/1 r34 c34 w78 w56 -/1 r78 r56");
}

static void test_latch(void **unused)
{
    (void)unused;
    /* held until read, then CE again */
    script_run("c34 w34 w12 n1 c00 n3 r34 r12 r31 r12");
    /* a second latch is ignored while one is held */
    script_run("c34 w34 w12 n1 c00 n1 c0F r34 n1 c00 r12 c00 r32 r12");
    /* one byte, by the programmed format */
    script_run("c14 w09 n1 c00 n1 r09 r08");
    /* reprogramming ends the latch */
    script_run("c34 w34 w12 n1 c00 c34 r34 r12 w03 w00 n1 r03 r00");
}

static void test_read_back(void **unused)
{
    (void)unused;
    /* NULL COUNT until CE is loaded */
    script_run("c34 cE2 rF4 w00 w01 cE2 rF4 n1 cE2 rB4");
    /* set by the second byte */
    script_run("c34 cE2 rF4 w02 cE2 rF4 w00 cE2 rF4 n1 cE2 rB4 w05 cE2 rB4 w00 cE2 rF4 n9 cE2 rB4");
    /* the OUT bit */
    script_run("c30 cE2 r70 w02 w00 n1 cE2 r30 n2 cE2 rB0");
    /* the mode as written */
    script_run("c1E w04 n1 cE2 r9E");
    /* both: status first, then the count */
    script_run("c34 w34 w12 n1 cC2 n5 rB4 r34 r12 r2F r12");
    /* the second status is lost */
    script_run("c34 w34 w12 n1 cE2 w99 w00 cE2 rB4 cE2 rF4");
    /* count only */
    script_run("c34 w34 w12 n1 cD2 n1 cD2 n1 r34 r12 r32 r12");
    /* other channels only */
    script_run("c34 w34 w12 n1 cDC cEC r34 r12");
    /* neither */
    script_run("c34 w34 w12 n1 cF2 r34 r12");
}

static void test_read_back_is_one_moment_for_all(void **unused)
{
    static struct bench bench;

    (void)unused;
    bench_init(&bench, 13125000, 1);
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        bench_out(&bench, 0x43, channel << 6 | 0x34);
        bench_out(&bench, 0x40 + channel, 0x00);
        bench_out(&bench, 0x40 + channel, 0x10 + channel);
    }
    guest_clock_advance(&bench.clock, 11 * 17);
    bench_out(&bench, 0x43, 0xde);
    guest_clock_advance(&bench.clock, 11 * 400);
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        assert_int_equal(bench_in(&bench, 0x40 + channel), 0xf0);
        assert_int_equal(bench_in(&bench, 0x40 + channel), 0x0f + channel);
    }
}

/* ---- the grid ---- */

static const uint64_t rates[] = {1000000000, 3700000000, 1193182, 1193183, 2904123457, 13125000};
static struct bench grid_bench;

static void program(struct bench *bench, unsigned mode, unsigned count)
{
    bench_out(bench, 0x43, 0x30 | mode << 1);
    bench_out(bench, 0x40, count & 0xff);
    bench_out(bench, 0x40, count >> 8);
}

/* The first edge strictly after a moment, by search from below. */
static uint64_t first_edge_after(uint64_t hz, uint64_t cycles)
{
    uint64_t edge = (uint64_t)((unsigned __int128)cycles * 13125000 / ((unsigned __int128)hz * 11));

    while (bench_edge_cycles(hz, edge) <= cycles)
        edge++;
    return edge;
}

/* The next deadline stands on the cycle of `edge`, and running it sets OUT to `level` then and not before. */
static void expect_change(struct bench *bench, uint64_t edge, bool level)
{
    uint64_t when = bench_edge_cycles(bench->clock.hz, edge);

    assert_true(deadline_queue_next(&bench->clock.deadlines) == when);
    if (when > bench->clock.now) {
        guest_clock_advance(&bench->clock, when - 1);
        assert_int_equal(bench->pin[0].level, !level);
    }
    guest_clock_advance(&bench->clock, when);
    assert_int_equal(bench->pin[0].level, level);
    bench->pin[0].changes = 0;
}

static void test_deadlines(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
        for (unsigned count = 2; count < 70000; count = count * 3 + 1)
            for (unsigned phase = 0; phase < 3; phase++) {
                uint64_t hz = rates[i];
                unsigned n = MIN(count, 65535u);
                uint64_t edge = 1000 + count;
                uint64_t start = bench_edge_cycles(hz, edge) - (phase == 0) +
                                 (phase == 2); /* before, on and after an edge */

                for (unsigned mode = 0; mode < 5; mode += mode ? 1 : 2) {
                    bench_init(&grid_bench, hz, 1);
                    guest_clock_advance(&grid_bench.clock, start);
                    program(&grid_bench, mode, n);
                    uint64_t n0 = first_edge_after(hz, start);
                    if (mode == 0)
                        expect_change(&grid_bench, n0 + n, true);
                    for (uint64_t period = 1; (mode == 2 || mode == 3) && period <= 3; period++) {
                        expect_change(&grid_bench, n0 + period * n - (mode == 2 ? 1 : n / 2), false);
                        expect_change(&grid_bench, n0 + period * n, true);
                    }
                    if (mode == 4) {
                        expect_change(&grid_bench, n0 + n, false);
                        expect_change(&grid_bench, n0 + n + 1, true);
                    }
                    if (mode == 0 || mode == 4)
                        assert_true(deadline_queue_next(&grid_bench.clock.deadlines) == DEADLINE_NEVER);
                }
            }
}

/* 10^9 edges without drift: each rise of OUT where the formula says, and CE and OUT of a channel that was
 * never looked at. */
static void test_grid_exact_over_a_billion_edges(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        uint64_t hz = rates[i];
        const uint64_t n = 59659, n2 = 1193; /* 20 Hz; prime to it */
        bench_init(&grid_bench, hz, 1);
        guest_clock_advance(&grid_bench.clock, 12345);
        program(&grid_bench, 2, (unsigned)n);
        bench_out(&grid_bench, 0x43, 0xb4);
        bench_out(&grid_bench, 0x42, n2 & 0xff);
        bench_out(&grid_bench, 0x42, n2 >> 8);
        uint64_t n0 = first_edge_after(hz, 12345);
        for (uint64_t period = 1; period * n < 1000000000; period++) {
            expect_change(&grid_bench, n0 + period * n - 1, false);
            expect_change(&grid_bench, n0 + period * n, true);
        }
        guest_clock_advance(&grid_bench.clock, bench_edge_cycles(hz, n0 + 1000000007));
        bench_out(&grid_bench, 0x43, 0xda);
        assert_int_equal(bench_in(&grid_bench, 0x40) | bench_in(&grid_bench, 0x40) << 8, n - 1000000007 % n);
        assert_int_equal(bench_in(&grid_bench, 0x42) | bench_in(&grid_bench, 0x42) << 8,
                         n2 - 1000000007 % n2);
    }
}

static void test_nobody_listens_no_deadline(void **unused)
{
    (void)unused;
    for (unsigned mode = 0; mode < 6; mode++) {
        bench_init(&grid_bench, 1000000000, 0);
        program(&grid_bench, mode, 2);
        i8254_set_gate(&grid_bench.pit, 0, false);
        i8254_set_gate(&grid_bench.pit, 0, true);
        assert_true(deadline_queue_next(&grid_bench.clock.deadlines) == DEADLINE_NEVER);
        guest_clock_advance(&grid_bench.clock, UINT64_C(1) << 62); /* 146 years: computed at once */
        (void)i8254_out(&grid_bench.pit, 0);
        (void)bench_in(&grid_bench, 0x40);
    }
}

static unsigned others_called;

static void other_fired(void *opaque, uint64_t when)
{
    (void)opaque;
    assert_true(when == grid_bench.clock.now);
    assert_true(i8254_out(&grid_bench.pit, 0));
    assert_true(grid_bench.pin[0].level);
    others_called++;
}

/* Another device that looks at OUT on the very cycle of an edge sees it, and so does the listener, whoever's
 * deadline has its turn first. */
static void test_two_deadlines_on_one_cycle(void **unused)
{
    struct deadline other;

    (void)unused;
    others_called = 0;
    for (unsigned later = 0; later < 2; later++) {
        bench_init(&grid_bench, 13125000, 1);
        deadline_init(&other, &grid_bench.clock.deadlines, other_fired, NULL, "other");
        if (!later)
            deadline_set(&other, 11 * 101);
        program(&grid_bench, 0, 100);
        if (later)
            deadline_set(&other, 11 * 101);
        guest_clock_advance(&grid_bench.clock, 11 * 101 - 1);
        assert_false(grid_bench.pin[0].level);
        guest_clock_advance(&grid_bench.clock, 11 * 200);
        assert_int_equal(others_called, later + 1);
        assert_int_equal(grid_bench.pin[0].changes, 2); /* low by the control word, high */
        assert_true(grid_bench.pin[0].change[1].cycles == 11 * 101);
    }
}

static void test_end_of_time(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 12; i++) {
        unsigned mode = i / 2;

        bench_init(&grid_bench, i % 2 ? 3700000000 : 400000,
                   0); /* at 400 kHz the edges run out before the cycles do */
        guest_clock_advance(&grid_bench.clock, UINT64_MAX - 2);
        irq_line_connect(&grid_bench.pit.out[0], bench_sink, &grid_bench.pin[0], 0);
        program(&grid_bench, mode, 2);
        assert_true(deadline_queue_next(&grid_bench.clock.deadlines) == DEADLINE_NEVER);
    }
    /* The change itself would be past the last edge. */
    bench_init(&grid_bench, 400000, 0);
    guest_clock_advance(&grid_bench.clock,
                        (uint64_t)((unsigned __int128)(UINT64_MAX - 1000) * 400000 * 11 / 13125000));
    irq_line_connect(&grid_bench.pit.out[0], bench_sink, &grid_bench.pin[0], 0);
    program(&grid_bench, 0, 60000);
    assert_true(deadline_queue_next(&grid_bench.clock.deadlines) == DEADLINE_NEVER);
    assert_false(i8254_out(&grid_bench.pit, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mode_0),
        cmocka_unit_test(test_mode_1),
        cmocka_unit_test(test_mode_2),
        cmocka_unit_test(test_mode_3),
        cmocka_unit_test(test_mode_4),
        cmocka_unit_test(test_mode_5),
        cmocka_unit_test(test_bcd),
        cmocka_unit_test(test_count_zero_is_the_largest),
        cmocka_unit_test(test_access_widths),
        cmocka_unit_test(test_latch),
        cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_read_back_is_one_moment_for_all),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_grid_exact_over_a_billion_edges),
        cmocka_unit_test(test_nobody_listens_no_deadline),
        cmocka_unit_test(test_two_deadlines_on_one_cycle),
        cmocka_unit_test(test_end_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
