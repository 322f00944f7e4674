/*
 * What the 8254's datasheet leaves open: one test for each numbered choice of devices/i8254_registers.c and
 * devices/i8254.c, and states that no chip can hold.
 */
#include "tests/unit/i8254_script.h"

static void test_1_ce_stands_from_control_word_to_load(void **unused)
{
    (void)unused;
    script_run("c34 w34 w12 n5 r30 r12 c34 n9 r30 r12 c3A n9 r30 r12");
    /* also over a change to BCD */
    script_run("c34 wBC w0A n1 c35 n3 rBC r0A w05 w00 n1 r05 r00");
}

static void test_2_early_trigger_is_lost(void **unused)
{
    (void)unused;
    script_run("g0 c12 g1 n1 w03 -/1 -/1 g0 g1 03/0");
    script_run("g0 c1A g1 n1 w03 n9 =1");
    /* the control word clears the flip-flop */
    script_run("g0 c12 w03 g1 c12 w03 -/1 -/1");
    /* and the latches: no status comes first */
    script_run("c34 w34 w12 n1 cC2 c34 r34 r12");
}

static void test_3_one_byte_count_in_mode_0(void **unused)
{
    (void)unused;
    script_run("c10 w01 n2 =1 w02 =0 02/0 01/0 00/1");
}

static void test_4_half_a_count_is_never_loaded(void **unused)
{
    (void)unused;
    script_run("c34 w03 w00 n3 w05 -/1 -/1 -/0 -/1 w00 -/1 -/0 -/1 -/1 -/1 -/1 -/0");
    script_run("g0 c32 w03 w00 w09 g1 -/0 -/0 -/0 -/1 -/1");
    /* mode 0: the pending count is loaded, and stands */
    script_run("c30 w03 w00 w07 n9 =0 r03 r00 w00 -/0 r07 r00");
}

static void test_5_first_count_is_loaded_with_gate_low(void **unused)
{
    (void)unused;
    script_run("g0 c14 w03 cE2 rD4 03/1 cE2 r94 03/1 g1 03/1 02/1 01/0");
    /* the next ones wait for the trigger */
    script_run("g0 c16 w06 06/1 06/1 w04 06/1 g1 04/1 02/1 04/0");
}

static void test_6_count_1(void **unused)
{
    static struct bench bench;

    (void)unused;
    script_run("c14 w01 01/1 01/1 01/1 w03 03/1 02/1 01/0 w01 01/1 01/1");
    script_run("c16 w01 00/1 00/1 00/1 w04 04/0 02/0 04/1 w01 02/1 00/1 00/1 w05 04/0 02/0");
    /* from the low half */
    script_run("c16 w04 n3 =0 w01 02/0 00/1 00/1 00/1");
    for (unsigned mode = 2; mode <= 3; mode++) { /* OUT never changes: no deadline either */
        bench_init(&bench, 13125000, 1);
        bench_out(&bench, 0x43, 0x10 | mode << 1);
        bench_out(&bench, 0x40, 1);
        assert_true(deadline_queue_next(&bench.clock.deadlines) == DEADLINE_NEVER);
        guest_clock_advance(&bench.clock, 500);
        bench_out(&bench, 0x40, 1);
        assert_true(deadline_queue_next(&bench.clock.deadlines) == DEADLINE_NEVER);
    }
}

static void test_7_strobe(void **unused)
{
    (void)unused;
    script_run("c18 w02 n2 00/0 g0 00/1 00/1");
    /* once */
    script_run("c18 w02 n3 =0 n1 =1 n65535 r00 =1 n1 =1");
    script_run("g0 c1A w02 g1 n3 =0 n1 =1 n65535 r00 =1 n1 =1");
}

static void test_8_bcd_digit_above_9(void **unused)
{
    (void)unused;
    script_run("c35 w1F w00 n1 r25 r00");
    /* 10000 */
    script_run("c35 w00 wA0 n1 r00 r00 n1 r99 r99");
    /* 16665 modulo 10000 */
    script_run("c35 wFF wFF n1 r65 r66");
}

static void test_9_latch_between_two_bytes(void **unused)
{
    (void)unused;
    script_run("c34 w02 w12 n1 r02 c00 n5 r12 rFD r11");
}

static void test_10_load_wins(void **unused)
{
    (void)unused;
    script_run("c10 w02 n2 =0 w03 03/0 02/0");
    script_run("g0 c12 w02 g1 n2 =0 g0 g1 02/0 01/0 00/1");
    script_run("c18 w02 n2 w03 03/1 02/1 01/1 00/0");
    script_run("g0 c1A w02 g1 n2 g0 g1 02/1 01/1 00/0 g0 g1 02/1");
}

static void test_11_reset(void **unused)
{
    static const uint8_t status[] = {0xb6, 0xb4, 0xb6};
    static struct bench bench;

    (void)unused;
    for (unsigned round = 0; round < 2; round++) {
        bench_init(&bench, 13125000, 1);
        if (round == 1) { /* a reset in the midst of anything gives the same, from then on */
            guest_clock_advance(&bench.clock, 11 * 5000);
            bench_out(&bench, 0x43, 0x15);
            bench_out(&bench, 0x42, 0x15);
            bench_out(&bench, 0x43, 0xde);
            bench.pit.device.reset(bench.pit.device.opaque);
        }
        uint64_t start = bench.clock.now;
        assert_true(deadline_queue_next(&bench.clock.deadlines) == start + 11 * (1 + 32768));
        guest_clock_advance(&bench.clock, start + 11 * 3);
        bench_out(&bench, 0x43, 0xce);
        for (unsigned channel = 0; channel < I8254_CHANNELS; channel++)
            assert_int_equal(bench_in(&bench, 0x40 + channel), status[channel]);
        for (unsigned channel = 0; channel < I8254_CHANNELS; channel++)
            assert_int_equal(bench_in(&bench, 0x40 + channel), channel == 1 ? 16 : 0xfc);
    }
}

static void test_12_control_port(void **unused)
{
    static struct bench bench;

    (void)unused;
    bench_init(&bench, 13125000, 1);
    assert_int_equal(bench_in(&bench, 0x43), 0xff);
    script_run("c34 w34 w12 n1 cD3 r34 r12");
}

/* A restored state is never trusted: whatever the bytes are, time goes on, OUT and deadline agree, and a
 * valid state is left alone. */
static void test_restored_nonsense(void **unused)
{
    static struct bench bench;
    uint64_t seed = 1;

    (void)unused;
    for (unsigned round = 0; round < 20000; round++) {
        struct i8254_state first;

        bench_init(&bench, 1000000000, round & 7);
        guest_clock_advance(&bench.clock, 1000000);
        uint8_t *bytes = bench.pit.device.state;
        for (size_t i = 0; i < bench.pit.device.state_size; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            if ((seed >> 40) % 4)
                bytes[i] = seed >> 62 ? (uint8_t)(seed >> 56 & 7) : (uint8_t)(seed >> 32);
        }
        bench.pit.device.restored(bench.pit.device.opaque);
        first = bench.pit.state;
        bench.pit.device.restored(bench.pit.device.opaque);
        assert_memory_equal(&first, &bench.pit.state, sizeof(first));
        for (unsigned step = 0; step < 40; step++) {
            guest_clock_advance(&bench.clock, bench.clock.now + step * 500);
            for (unsigned channel = 0; channel < I8254_CHANNELS; channel++)
                if (bench.listened[channel])
                    assert_int_equal(i8254_out(&bench.pit, channel), bench.pin[channel].level);
            (void)bench_in(&bench, 0x40 + step % 3);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_1_ce_stands_from_control_word_to_load),
        cmocka_unit_test(test_2_early_trigger_is_lost),
        cmocka_unit_test(test_3_one_byte_count_in_mode_0),
        cmocka_unit_test(test_4_half_a_count_is_never_loaded),
        cmocka_unit_test(test_5_first_count_is_loaded_with_gate_low),
        cmocka_unit_test(test_6_count_1),
        cmocka_unit_test(test_7_strobe),
        cmocka_unit_test(test_8_bcd_digit_above_9),
        cmocka_unit_test(test_9_latch_between_two_bytes),
        cmocka_unit_test(test_10_load_wins),
        cmocka_unit_test(test_11_reset),
        cmocka_unit_test(test_12_control_port),
        cmocka_unit_test(test_restored_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
