/*
 * The MC146818 against a slow model that counts its divider tick by tick (in steps of 4 ticks, the shortest
 * period there is) and its time one second at a time. Random accesses at random guest cycles, at odd clock
 * rates; every value read and every change of the interrupt line, with its guest cycle, must agree, also with
 * the chip saved and restored into another one in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "devices/mc146818.h"
#include "hv/clock.h"
#include "tests/unit/mc146818_naive.h"

#define STEP     4u
#define LOG_SIZE 4096u

struct change {
    uint64_t cycle;
    bool level;
};

struct log {
    struct change entries[LOG_SIZE];
    unsigned count;
};

static struct guest_clock guest;
static struct mc146818 chips[2];
static struct mc146818 *rtc;
static struct log chip_log, model_log;

static struct {
    uint8_t ram[128]; /* 0Ch: the three flags */
    uint8_t index;
    uint64_t origin;
    uint64_t tick;    /* since the origin, a multiple of STEP */
    unsigned divider; /* 0 to 32767: 0 at each second */
    bool line;
} model;

static void add_change(struct log *log, uint64_t cycle, bool level)
{
    assert_true(log->count < LOG_SIZE);
    log->entries[log->count++] = (struct change){cycle, level};
}

static void chip_changed(void *opaque, unsigned input, bool level)
{
    (void)opaque;
    (void)input;
    add_change(&chip_log, guest.now, level);
}

static void model_line(uint64_t cycle)
{
    bool level = (model.ram[0x0b] & model.ram[0x0c] & 0x70) != 0;

    if (level != model.line)
        add_change(&model_log, cycle, level);
    model.line = level;
}

static bool model_runs(void)
{
    return (model.ram[0x0a] & 0x70) == 0x20;
}

static unsigned model_period(void)
{
    static const unsigned ticks[] = {0,   128, 256, 4,    8,    16,   32,   64,
                                     128, 256, 512, 1024, 2048, 4096, 8192, 16384};
    return ticks[model.ram[0x0a] & 15];
}

static uint64_t tick_cycle(uint64_t tick)
{
    return model.origin + (uint64_t)(((unsigned __int128)tick * guest.hz + 32767) / 32768);
}

static void model_run_to(uint64_t cycle)
{
    while (model_runs() && tick_cycle(model.tick + STEP) <= cycle) {
        model.tick += STEP;
        model.divider += STEP;
        if (model_period() && model.tick % model_period() == 0)
            model.ram[0x0c] |= 0x40;
        if (model.divider == 32768) {
            model.divider = 0;
            if (!(model.ram[0x0b] & 0x80)) {
                naive_update(model.ram);
                model.ram[0x0c] |= 0x10;
                if (naive_alarm(model.ram))
                    model.ram[0x0c] |= 0x20;
            }
        }
        model_line(tick_cycle(model.tick));
    }
}

static void model_write(unsigned port, uint8_t v)
{
    unsigned index = model.index & 0x7f;

    if (port == 0) {
        model.index = v;
        return;
    }
    if (index == 0x0c || index == 0x0d)
        return;
    bool ran = model_runs();
    if (index == 0x0a)
        v &= 0x7f;
    if (index == 0x0b && (v & 0x80))
        v &= 0xef;
    model.ram[index] = v;
    if (!ran && model_runs()) {
        model.origin = guest.now;
        model.tick = 0;
        model.divider = 16384;
    }
    model_line(guest.now);
}

static uint8_t model_read(unsigned port)
{
    unsigned index = model.index & 0x7f;
    uint8_t v = model.ram[index];

    if (port == 0)
        return 0xff;
    if (index == 0x0a && model_runs() && !(model.ram[0x0b] & 0x80) && model.divider >= 32768 - 8)
        v |= 0x80;
    if (index == 0x0c) {
        if (v & model.ram[0x0b] & 0x70)
            v |= 0x80;
        model.ram[0x0c] = 0;
        model_line(guest.now);
    }
    return v;
}

/* ---- the comparison
 * ------------------------------------------------------------------------------------------------ */

static uint64_t seed;

static unsigned rnd(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static void write_both(unsigned port, unsigned value)
{
    rtc->region.ops->write(rtc->region.opaque, port, 1, value);
    model_write(port, (uint8_t)value);
}

static void read_both(unsigned port)
{
    assert_int_equal(rtc->region.ops->read(rtc->region.opaque, port, 1), model_read(port));
}

static void set_register(unsigned index, unsigned value)
{
    write_both(0, index);
    write_both(1, value);
}

static void pass_time(void)
{
    unsigned kind = rnd(20);
    uint64_t us = kind < 10 ? rnd(300) : kind < 17 ? rnd(20000) : kind < 19 ? rnd(700000) : rnd(3000000);
    uint64_t to = guest.now + us * (guest.hz / 1000000) + rnd(100);

    /* Often just before, at or after a tick near an update. */
    if (rnd(4) == 0 && model_runs()) {
        uint64_t tick = (guest.now - model.origin) * 32768 / guest.hz / 16384 * 16384 + 16384;
        uint64_t at = tick_cycle(tick - (rnd(3) ? 0 : 8));
        if (at > guest.now)
            to = at - 1 + rnd(3);
    }
    guest_clock_advance(&guest, to);
    model_run_to(to);
}

static void swap_chip(void)
{
    struct mc146818 *next = rtc == &chips[0] ? &chips[1] : &chips[0];

    mc146818_init(next, &guest, &guest.deadlines);
    memcpy(next->device.state, rtc->device.state, rtc->device.state_size);
    deadline_cancel(&rtc->deadline);
    next->device.restored(next->device.opaque);
    assert_int_equal(next->irq.level, rtc->irq.level);
    irq_line_connect(&next->irq, chip_changed, NULL, 8);
    rtc = next;
}

static void step(void)
{
    static const uint8_t looked_at[] = {0, 2, 4, 6, 7, 8, 9, 0x0a, 0x0b, 0x0c, 0x0c, 0x0d, 0x32, 0x40};
    static const uint8_t written[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x32, 0x40, 0x0c, 0x0d};
    static const uint8_t times[] = {0x00, 0x58, 0x59, 0x23, 0x12, 0x28, 0x31, 0xc0, 0xff};
    unsigned what = rnd(100);

    pass_time();
    if (what < 60) {
        write_both(0, looked_at[rnd(ARRAY_SIZE(looked_at))] | (rnd(2) ? 0x80 : 0));
        read_both(1);
    } else if (what < 70) {
        set_register(0x0b, rnd(8) ? rnd(128) : rnd(256));
    } else if (what < 76) {
        set_register(0x0a, rnd(4) ? 0x20 | rnd(16) : rnd(256));
    } else if (what < 90) {
        unsigned index = written[rnd(ARRAY_SIZE(written))];
        set_register(index, index == 1 && rnd(2) ? 0xc0u
                            : rnd(10)            ? times[rnd(ARRAY_SIZE(times))]
                                                 : rnd(256));
    } else if (what < 95) {
        swap_chip();
    } else {
        read_both(rnd(2));
    }
    assert_int_equal(rtc->irq.level, model.line);
}

static unsigned run_at(uint64_t hz, uint64_t with_seed)
{
    unsigned changes = 0;

    seed = with_seed;
    guest_clock_init(&guest, hz);
    rtc = &chips[0];
    mc146818_init(rtc, &guest, &guest.deadlines);
    mc146818_set_time(rtc, 951868000); /* shortly before 2000-03-01 */
    irq_line_connect(&rtc->irq, chip_changed, NULL, 8);
    memset(&model, 0, sizeof(model));
    memcpy(model.ram, rtc->state.cmos, sizeof(model.ram));
    for (unsigned i = 0; i < 1500; i++) {
        chip_log.count = model_log.count = 0;
        step();
        if (with_seed % 2) /* saved and restored between any two steps */
            swap_chip();
        assert_int_equal(chip_log.count, model_log.count);
        for (unsigned j = 0; j < chip_log.count; j++) {
            assert_int_equal(chip_log.entries[j].cycle, model_log.entries[j].cycle);
            assert_int_equal(chip_log.entries[j].level, model_log.entries[j].level);
        }
        changes += chip_log.count;
    }
    deadline_cancel(&rtc->deadline);
    return changes;
}

static void test_random_against_model(void **state)
{
    static const uint64_t rates[] = {1000000000, 999999937, 32768000, 3400000001, 1193181, 2112345678};
    unsigned changes = 0;

    (void)state;
    for (unsigned i = 0; i < 24; i++)
        changes += run_at(rates[i % ARRAY_SIZE(rates)], i + 1);
    assert_true(changes > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
