/*
 * An 8254 on a bench: a guest clock, the CLK grid, the chip, and a recorder on its OUT pins. The host tests
 * of the PIT drive it by ports and gates, as a guest does.
 */
#ifndef TESTS_UNIT_I8254_BENCH_H
#define TESTS_UNIT_I8254_BENCH_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "devices/i8254.h"
#include "hv/clock.h"

#define BENCH_CHANGES 600000

struct bench_change {
    uint64_t cycles;
    bool level;
};

struct bench_pin {
    struct bench *bench;
    bool level;
    size_t changes;
    struct bench_change change[BENCH_CHANGES];
};

struct bench {
    struct guest_clock clock;
    struct grid grid;
    struct i8254 pit;
    bool listened[I8254_CHANNELS];
    struct bench_pin pin[I8254_CHANNELS];
};

static void bench_sink(void *opaque, unsigned input, bool level)
{
    struct bench_pin *pin = opaque;

    (void)input;
    if (pin->level == level)
        return;
    pin->level = level;
    assert_true(pin->changes < BENCH_CHANGES);
    pin->change[pin->changes++] = (struct bench_change){guest_clock_now(&pin->bench->clock), level};
}

static inline void bench_wire(struct bench *bench, uint64_t hz)
{
    guest_clock_init(&bench->clock, hz);
    grid_init(&bench->grid, hz, I8254_HZ_NUM, I8254_HZ_DEN);
    i8254_init(&bench->pit, &bench->clock, &bench->grid, &bench->clock.deadlines);
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        bench->pin[channel].bench = bench;
        if (bench->listened[channel])
            irq_line_connect(&bench->pit.out[channel], bench_sink, &bench->pin[channel], channel);
    }
}

/* listened: bit n connects OUT n. All gates are high. */
static inline void bench_init(struct bench *bench, uint64_t hz, unsigned listened)
{
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        bench->listened[channel] = listened & BIT(channel);
        bench->pin[channel].level = false;
        bench->pin[channel].changes = 0;
    }
    bench_wire(bench, hz);
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++)
        i8254_set_gate(&bench->pit, channel, true);
    bench->pit.device.reset(bench->pit.device.opaque);
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++)
        bench->pin[channel].changes = 0;
}

/* Saves the chip, builds a new one beside a new clock of the same time, and restores. */
static inline void bench_save_restore(struct bench *bench)
{
    struct i8254_state saved;
    uint64_t now = bench->clock.now;
    uint64_t hz = bench->clock.hz;

    memcpy(&saved, bench->pit.device.state, bench->pit.device.state_size);
    memset(&bench->pit, 0xa5, sizeof(bench->pit));
    bench_wire(bench, hz);
    guest_clock_advance(&bench->clock, now);
    memcpy(bench->pit.device.state, &saved, sizeof(saved));
    bench->pit.device.restored(bench->pit.device.opaque);
}

static inline void bench_out(struct bench *bench, unsigned port, unsigned value)
{
    bench->pit.region.ops->write(bench->pit.region.opaque, port - 0x40, 1, value);
}

static inline unsigned bench_in(struct bench *bench, unsigned port)
{
    return (unsigned)bench->pit.region.ops->read(bench->pit.region.opaque, port - 0x40, 1);
}

/* The moment of an edge, in plain 128-bit arithmetic: the oracle for lib/ratio.h too. */
static inline uint64_t bench_edge_cycles(uint64_t hz, uint64_t edge)
{
    return (uint64_t)(((unsigned __int128)edge * hz * 11 + 13124999) / 13125000);
}

#endif
