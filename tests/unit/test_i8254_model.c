/*
 * The PIT against a tick-by-tick model of the datasheet (i8254_model.h): random programs must agree in every
 * byte read, in every OUT level, and in the cycle of every OUT change, listened to or not, saved and restored
 * between any two steps or not.
 */
#include "tests/unit/i8254_bench.h"
#include "tests/unit/i8254_model.h"

static struct bench bench;
static struct model_counter model[I8254_CHANNELS];
static struct bench_change expected[I8254_CHANNELS][BENCH_CHANGES];
static size_t expected_changes[I8254_CHANNELS];
static bool expected_level[I8254_CHANNELS];
static uint64_t model_edge;
static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(((random_state >> 32) * bound) >> 32);
}

static void note_changes(unsigned channel, uint64_t cycles)
{
    if (model[channel].out == expected_level[channel])
        return;
    expected_level[channel] = model[channel].out;
    assert_true(expected_changes[channel] < BENCH_CHANGES);
    expected[channel][expected_changes[channel]++] = (struct bench_change){cycles, model[channel].out};
}

static void note_all_changes(void)
{
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++)
        note_changes(channel, bench.clock.now);
}

static void advance(uint64_t to)
{
    guest_clock_advance(&bench.clock, to);
    for (;;) {
        uint64_t cycles = bench_edge_cycles(bench.clock.hz, model_edge + 1);
        if (cycles > to)
            break;
        model_edge++;
        for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
            model_clk(&model[channel]);
            note_changes(channel, cycles);
        }
    }
}

static void check_outs(void)
{
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        size_t changes = expected_changes[channel];

        expected_changes[channel] = 0;
        if (random_below(4) == 0)
            assert_int_equal(i8254_out(&bench.pit, channel), model[channel].out);
        if (!bench.listened[channel]) {
            assert_true(bench.pit.timer[channel].deadline.when == DEADLINE_NEVER);
            continue;
        }
        assert_int_equal(bench.pin[channel].level, model[channel].out);
        assert_int_equal(bench.pin[channel].changes, changes);
        for (size_t i = 0; i < changes; i++) {
            assert_true(bench.pin[channel].change[i].cycles == expected[channel][i].cycles);
            assert_int_equal(bench.pin[channel].change[i].level, expected[channel][i].level);
        }
        bench.pin[channel].changes = 0;
    }
}

static uint8_t random_byte(void)
{
    static const uint8_t favourites[] = {0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 16, 255};

    return random_below(4) ? favourites[random_below(sizeof(favourites))] : (uint8_t)random_below(256);
}

/* Both commands and counts are favoured so that counters get programmed and run for a while. */
static uint8_t random_control(void)
{
    uint8_t word = (uint8_t)random_below(256);

    switch (random_below(8)) {
    case 0:
    case 1:
        return word | 0xc0; /* read-back */
    case 2:
    case 3:
        return word & 0xcf; /* latch */
    case 4:
        return (word & 0xce) | 0x10; /* LSB only, binary */
    case 5:
        return (word & 0xce) | 0x30;
    default:
        return word;
    }
}

static uint64_t random_step(uint64_t hz)
{
    uint64_t clk_cycles = hz / 1193182 + 1;

    switch (random_below(32)) {
    case 0:
        return clk_cycles * random_below(600);
    case 1:
        return random_below(40) ? 0 : clk_cycles * random_below(150000);
    case 2:
    case 3:
    case 4:
        return bench_edge_cycles(hz, model_edge + 1 + random_below(3)) -
               bench.clock.now; /* right on an edge */
    case 5:
    case 6:
        return bench_edge_cycles(hz, model_edge + 1) - bench.clock.now - 1; /* right before one */
    case 7:
    case 8:
    case 9:
    case 10:
        return clk_cycles * random_below(12);
    default:
        return random_below((uint32_t)clk_cycles + 1);
    }
}

static void step(void)
{
    unsigned channel = random_below(I8254_CHANNELS);
    uint8_t byte;

    switch (random_below(10)) {
    case 0:
    case 1:
        byte = random_control();
        bench_out(&bench, 0x43, byte);
        model_control(model, byte);
        break;
    case 2:
    case 3:
        byte = random_byte();
        bench_out(&bench, 0x40 + channel, byte);
        model_write(&model[channel], byte);
        break;
    case 4:
        i8254_set_gate(&bench.pit, channel, !model[channel].gate);
        model_gate(&model[channel], !model[channel].gate);
        break;
    case 5:
        i8254_set_gate(&bench.pit, channel, true);
        model_gate(&model[channel], true);
        break;
    default:
        assert_int_equal(bench_in(&bench, 0x40 + channel), model_read(&model[channel]));
        break;
    }
    note_all_changes();
}

static void power_on(uint64_t hz, unsigned listened)
{
    static const uint8_t program[I8254_CHANNELS][3] = {
        {0x36, 0, 0}, {0x74, 18, 0}, {0xb6, 0, 0}}; /* choice 11 */

    bench_init(&bench, hz, listened);
    memset(model, 0, sizeof(model));
    model_edge = 0;
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        model[channel].gate = true;
        model_control(model, program[channel][0]);
        model_write(&model[channel], program[channel][1]);
        model_write(&model[channel], program[channel][2]);
        expected_level[channel] = true;
        expected_changes[channel] = 0;
    }
}

/* i8254_counter_glide() against i8254_counter_advance(): at each edge before `until` nothing but CE differs.
 */
static void check_glide(const struct i8254_counter *counter)
{
    struct i8254_glide glide = i8254_counter_glide(counter);

    if (glide.until <= counter->edge)
        return;
    uint64_t most = MIN(glide.until - counter->edge - 1, (uint64_t)1000000);
    const uint64_t distances[] = {0, MIN(most, 1u), MIN(most, 2u), most / 2, most};
    for (size_t i = 0; i < ARRAY_SIZE(distances); i++) {
        struct i8254_counter advanced = *counter, glided = *counter;
        i8254_counter_advance(&advanced, counter->edge + distances[i]);
        glided.edge += distances[i];
        glided.value -= (uint32_t)(distances[i] * glide.step);
        assert_memory_equal(&advanced, &glided, sizeof glided);
    }
}

static void random_program(uint64_t hz, unsigned listened, unsigned steps, bool saving, uint64_t seed)
{
    random_state = seed;
    power_on(hz, listened);
    for (unsigned i = 0; i < steps; i++) {
        if (saving && random_below(2))
            bench_save_restore(&bench);
        advance(bench.clock.now + random_step(hz));
        step();
        check_outs();
        for (unsigned channel = 0; channel < I8254_CHANNELS; channel++)
            check_glide(&bench.pit.state.counter[channel]);
    }
}

static const uint64_t rates[] = {1000000000, 3700000000, 2999999997, 13125000,
                                 1193182,    1193181,    400000,     1193182000};

static void test_random_listened(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
        random_program(rates[i], 7, 60000, false, 1 + i);
}

static void test_random_mixed(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
        random_program(rates[i], (unsigned)i, 60000, false, 100 + i);
}

static void test_random_save_restore(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
        random_program(rates[i], i % 2 ? 7 : 1, 60000, true, 200 + i);
}

/* Every mode, binary and BCD, with every small count and some large ones: 3 periods of the pin and of the
 * counter after every CLK. */
static void sweep(unsigned mode, unsigned bcd, unsigned count, unsigned listened)
{
    unsigned clks = count == 0 || count > 300 ? 140000 : 3 * count + 8;

    power_on(13125000, listened);
    advance(5);
    uint8_t words[] = {(uint8_t)(0x30 | mode << 1 | bcd)};
    bench_out(&bench, 0x43, words[0]);
    model_control(model, words[0]);
    for (unsigned i = 0; i < 2; i++) {
        bench_out(&bench, 0x40, (count >> (8 * i)) & 0xff);
        model_write(&model[0], (uint8_t)(count >> (8 * i)));
    }
    i8254_set_gate(&bench.pit, 0, false);
    model_gate(&model[0], false);
    i8254_set_gate(&bench.pit, 0, true);
    model_gate(&model[0], true);
    note_all_changes();
    for (unsigned i = 0; i < clks; i++) {
        advance(bench.clock.now + 11);
        assert_int_equal(bench_in(&bench, 0x40), model_read(&model[0]));
        assert_int_equal(i8254_out(&bench.pit, 0), model[0].out);
    }
    check_outs();
}

static void test_sweep(void **unused)
{
    static const unsigned large[] = {0, 0x0100, 0x0999, 0x1000, 0x9999, 0x8001};

    (void)unused;
    for (unsigned mode = 0; mode < 8; mode++)
        for (unsigned bcd = 0; bcd < 2; bcd++) {
            for (unsigned count = 1; count <= 40; count++)
                for (unsigned listened = 0; listened < 2; listened++)
                    sweep(mode, bcd, count, listened);
            for (size_t i = 0; i < ARRAY_SIZE(large); i++)
                sweep(mode, bcd, large[i], 1);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_listened),
        cmocka_unit_test(test_random_mixed),
        cmocka_unit_test(test_random_save_restore),
        cmocka_unit_test(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
