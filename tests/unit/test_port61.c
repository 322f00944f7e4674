/*
 * System control port B, wired to a PIT as guest/ does it: the bits, the refresh toggle on the grid, and the
 * ways in which Linux and others calibrate the TSC through channel 2. An access costs what the test says, the
 * access at its end.
 */
#include "devices/port61.h"
#include "tests/unit/i8254_bench.h"

static struct bench bench;
static struct port61 port61;
static uint64_t access_cycles;

static void gate2_sink(void *opaque, unsigned input, bool level)
{
    i8254_set_gate(opaque, input, level);
}

static bool out2(void *opaque)
{
    return i8254_out(opaque, 2);
}

static void wire(uint64_t hz)
{
    bench_init(&bench, hz, 1);
    port61_init(&port61, &bench.clock, &bench.grid);
    irq_line_connect(&port61.gate2, gate2_sink, &bench.pit, 2);
    port61.out2 = out2;
    port61.out2_opaque = &bench.pit;
    i8254_set_gate(&bench.pit, 2, false);
    port61.device.reset(port61.device.opaque);
    bench.pit.device.reset(bench.pit.device.opaque);
    access_cycles = 0;
}

static unsigned in(unsigned port)
{
    guest_clock_advance(&bench.clock, bench.clock.now + access_cycles);
    if (port == 0x61)
        return (unsigned)port61.region.ops->read(port61.region.opaque, 0, 1);
    return bench_in(&bench, port);
}

static void out(unsigned port, unsigned value)
{
    guest_clock_advance(&bench.clock, bench.clock.now + access_cycles);
    if (port == 0x61)
        port61.region.ops->write(port61.region.opaque, 0, 1, value);
    else
        bench_out(&bench, port, value);
}

static void clks(uint64_t count)
{
    guest_clock_advance(&bench.clock, bench.clock.now + 11 * count);
}

static void test_bits(void **unused)
{
    (void)unused;
    wire(13125000);
    assert_int_equal(port61.region.base, 0x61);
    assert_int_equal(port61.region.length, 1);
    assert_int_equal(in(0x61) & 0xcf, 0);
    for (unsigned value = 0; value < 256; value++) {
        out(0x61, value);
        assert_int_equal(in(0x61) & 0xcf, value & 0x0f);
        assert_int_equal(bench.pit.state.counter[2].gate, value & 1);
    }
    port61.device.reset(port61.device.opaque);
    assert_int_equal(in(0x61) & 0xcf, 0);
    assert_false(bench.pit.state.counter[2].gate);
    port61.out2 = NULL;
    assert_int_equal(in(0x61) & 0x20, 0);
}

static void test_gate_and_out_2(void **unused)
{
    (void)unused;
    wire(13125000);
    out(0x43, 0xb0);
    out(0x42, 3);
    out(0x42, 0);
    clks(50);
    assert_int_equal(in(0x61) & 0x21, 0x00); /* loaded, but the gate is low */
    out(0x61, 1);
    clks(2);
    assert_int_equal(in(0x61) & 0x21, 0x01);
    clks(1);
    assert_int_equal(in(0x61) & 0x21, 0x21);
}

static void test_speaker(void **unused)
{
    unsigned high = 0;

    (void)unused;
    wire(13125000);
    out(0x43, 0xb6);
    out(0x42, 10);
    out(0x42, 0);
    out(0x61, 1); /* channel 2 counts while the speaker is off */
    for (unsigned i = 0; i < 20; i++, clks(1)) {
        high += !!(in(0x61) & 0x20);
        assert_false(port61_speaker(&port61));
    }
    assert_in_range(high, 9, 11);
    out(0x61, 3);
    for (unsigned i = 0; i < 20; i++, clks(1))
        assert_int_equal(port61_speaker(&port61), !!(in(0x61) & 0x20));
}

static void test_refresh_toggle(void **unused)
{
    static const uint64_t rates[] = {1000000000, 3700000000, 13125000, 1193182};

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        wire(rates[i]);
        for (uint64_t toggle = 1; toggle < 4000; toggle++) {
            uint64_t when = bench_edge_cycles(rates[i], 18 * toggle);

            if (toggle == 100)
                out(0x43, 0x50); /* whatever happens to channel 1 */
            guest_clock_advance(&bench.clock, when - 1);
            assert_int_equal(!!(in(0x61) & 0x10), (toggle - 1) % 2);
            guest_clock_advance(&bench.clock, when);
            assert_int_equal(!!(in(0x61) & 0x10), toggle % 2);
        }
    }
}

static void test_save_restore(void **unused)
{
    (void)unused;
    wire(13125000);
    out(0x61, 0x0d);
    struct port61_state saved = port61.state;
    wire(13125000);
    memcpy(port61.device.state, &saved, port61.device.state_size);
    port61.device.restored(port61.device.opaque);
    assert_int_equal(in(0x61) & 0xcf, 0x0d);
    assert_true(bench.pit.state.counter[2].gate);
    port61.state.control = 0xf2; /* not a state of this port */
    port61.device.restored(port61.device.opaque);
    assert_int_equal(in(0x61) & 0xcf, 0x02);
    assert_false(bench.pit.state.counter[2].gate);
}

/* Reads the count until its MSB is no longer `msb`; how often it was, and the time of the last read that gave
 * it. */
static unsigned polls_of_msb(unsigned msb, uint64_t *last_cycles)
{
    unsigned polls = 0;

    for (;; polls++) {
        (void)in(0x42);
        if (in(0x42) != msb)
            return polls;
        *last_cycles = bench.clock.now;
    }
}

/* Linux's fast calibration (quick_pit_calibrate): channel 2, mode 0, FFFFh, MSBs against the TSC until the
 * error is below 500 ppm. */
static void calibrate_fast(uint64_t hz, uint64_t charge_cycles)
{
    uint64_t first = 0, last = 0;
    unsigned msb = 0xff;

    wire(hz);
    guest_clock_advance(&bench.clock, 777777);
    access_cycles = charge_cycles;
    out(0x61, (in(0x61) & ~2u) | 1);
    out(0x43, 0xb0);
    out(0x42, 0xff);
    out(0x42, 0xff);
    (void)in(0x42);
    (void)in(0x42);
    assert_true(polls_of_msb(0xff, &first) > 5);
    for (msb = 0xfe; msb > 0xc0; msb--)
        assert_true(polls_of_msb(msb, &last) > 5);
    /* The last read of FFh and of C1h are 62 * 256 CLKs apart, give or take the time of a poll. */
    uint64_t measured_hz = (last - first) * 1193182 / (62 * 256);
    assert_in_range(measured_hz, hz - hz / 2000, hz + hz / 2000);
}

/* The slow one (pit_calibrate_tsc): mode 0 for 10 ms, OUT 2 polled at 61h bit 5. */
static void calibrate_slow(uint64_t hz, uint64_t charge_cycles)
{
    wire(hz);
    access_cycles = charge_cycles;
    out(0x61, (in(0x61) & ~2u) | 1);
    out(0x43, 0xb0);
    out(0x42, 11932 & 0xff);
    out(0x42, 11932 >> 8);
    uint64_t start = bench.clock.now;
    while (!(in(0x61) & 0x20))
        assert_true(bench.clock.now - start < hz);
    uint64_t edge =
        (uint64_t)((unsigned __int128)start * 13125000 / ((unsigned __int128)hz * 11)) + 1 + 11932;
    uint64_t when = bench_edge_cycles(hz, edge);
    assert_in_range(bench.clock.now, when, when + charge_cycles - 1);
}

static void test_linux_calibration(void **unused)
{
    static const uint64_t rates[] = {1000000000, 2904000000, 3700000000};

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
        /* 0.5 to 2 us an access: as on hardware, the two reads after the count must outlast one CLK */
        for (uint64_t charge = rates[i] / 2000000; charge <= rates[i] / 500000; charge *= 2) {
            calibrate_fast(rates[i], charge);
            calibrate_slow(rates[i], charge);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),         cmocka_unit_test(test_gate_and_out_2),
        cmocka_unit_test(test_speaker),      cmocka_unit_test(test_refresh_toggle),
        cmocka_unit_test(test_save_restore), cmocka_unit_test(test_linux_calibration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
