/*
 * The 16550A against the slow model of uart16550_model.h: random register accesses, input and time, with save
 * and restore between steps and a sink that refuses at random (the VM frozen meanwhile, so nothing may
 * differ).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "devices/uart16550.h"
#include "hv/clock.h"
#include "tests/unit/uart16550_model.h"

struct rig {
    struct guest_clock clock;
    struct uart16550 uart;
    struct uart16550_config config;
    struct model model;
    uint8_t out[65536];
    unsigned out_count;
    bool refuse; /* the sink takes nothing until told that it has room */
    bool refused;
    unsigned refusals;
    bool level;
    uint64_t seed;
};

static uint32_t pick(struct rig *rig, uint32_t range)
{
    rig->seed = rig->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rig->seed >> 33) % range;
}

static size_t sink_write(void *opaque, const uint8_t *data, size_t length)
{
    struct rig *rig = opaque;

    assert_int_equal(length, 1);
    if (rig->refuse) {
        rig->refused = true;
        rig->refusals++;
        return 0;
    }
    rig->out[rig->out_count++ % sizeof(rig->out)] = data[0];
    return 1;
}

static void line_changed(void *opaque, unsigned input, bool level)
{
    struct rig *rig = opaque;

    assert_int_equal(input, 4);
    rig->level = level;
}

static void make(struct rig *rig)
{
    uart16550_init(&rig->uart, &rig->config);
    irq_line_connect(&rig->uart.irq, line_changed, rig, 4);
    rig->level = false;
}

static void save_and_restore(struct rig *rig)
{
    struct uart16550_state saved = rig->uart.state;
    bool waits = rig->uart.input_waits;

    deadline_cancel(&rig->uart.deadline);
    memset(&rig->uart, 0xa5, sizeof(rig->uart));
    make(rig);
    rig->uart.input_waits = waits;
    rig->uart.state = saved;
    rig->uart.device.restored(rig->uart.device.opaque);
    assert_memory_equal(&saved, &rig->uart.state, sizeof(saved));
}

/* The sink gets room again, at the same guest cycle. */
static void unblock(struct rig *rig)
{
    while (rig->refused) {
        rig->refused = false;
        rig->refuse = false;
        if (pick(rig, 4) == 0)
            rig->refuse = true; /* not yet, after all */
        uart16550_room(&rig->uart);
    }
    rig->refuse = pick(rig, 3) == 0;
}

static void pass(struct rig *rig, unsigned cycles, bool blocking)
{
    for (unsigned i = 0; i < cycles; i++)
        model_tick(&rig->model);
    if (!blocking) {
        guest_clock_advance(&rig->clock, rig->clock.now + cycles);
        return;
    }
    for (unsigned i = 0; i < cycles; i++) {
        guest_clock_advance(&rig->clock, rig->clock.now + 1);
        unblock(rig);
    }
}

static void write_step(struct rig *rig)
{
    static const uint8_t registers[] = {0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7};
    unsigned reg = registers[pick(rig, sizeof(registers))];
    uint8_t value = (uint8_t)pick(rig, 256);

    /* Mostly sensible values, so that runs get deep. */
    if (reg == 3)
        value = (uint8_t)(pick(rig, 4) ? (value & 0x1f) | (pick(rig, 8) ? 0 : 0x40) : value);
    if (reg == 4 && pick(rig, 4))
        value = (value & 0xf7) | 8;
    if (reg == 4 && pick(rig, 2))
        value &= 0xef;
    if (reg == 2 && pick(rig, 4))
        value = (value & 0xc0) | 1;
    if (rig->model.lcr & 0x80) { /* divisors 1 to 3, and keep out of it soon */
        if (reg == 0)
            value = (uint8_t)(1 + pick(rig, 3));
        else if (reg == 1)
            value = 0;
        else
            reg = 3, value &= 0x7f;
    }
    model_write(&rig->model, reg, value);
    rig->uart.ports.ops->write(rig->uart.ports.opaque, reg, 1, value);
}

static void read_step(struct rig *rig, unsigned step)
{
    unsigned reg = pick(rig, 8);
    uint8_t want = model_read(&rig->model, reg);
    uint64_t got = rig->uart.ports.ops->read(rig->uart.ports.opaque, reg, 1);

    if (want != got)
        fail_msg("step %u: register %u reads %02x, model %02x", step, reg, (unsigned)got, want);
}

static void input_step(struct rig *rig)
{
    uint8_t data[20];
    unsigned length = 1 + pick(rig, sizeof(data));
    uint8_t errors = pick(rig, 3) ? 0 : (uint8_t)pick(rig, 256);

    for (unsigned i = 0; i < length; i++)
        data[i] = (uint8_t)pick(rig, 256);
    if (errors)
        assert_int_equal(uart16550_receive_error(&rig->uart, data[0], errors),
                         model_receive(&rig->model, data, 1, errors));
    else
        assert_int_equal(uart16550_receive(&rig->uart, data, length),
                         model_receive(&rig->model, data, length, 0));
}

static void one_step(struct rig *rig, unsigned step, bool blocking)
{
    switch (pick(rig, 8)) {
    case 0:
    case 1:
    case 2:
        write_step(rig);
        break;
    case 3:
    case 4:
        read_step(rig, step);
        break;
    case 5:
        input_step(rig);
        break;
    case 6:
        pass(rig, pick(rig, 8), blocking);
        break;
    default:
        if (pick(rig, 16) == 0) {
            uint8_t pins = (uint8_t)pick(rig, 256);

            rig->model.pins = pins & 0xf0;
            model_modem(&rig->model);
            uart16550_set_modem(&rig->uart, pins);
        }
        pass(rig, pick(rig, 400), blocking);
        break;
    }
    if (blocking)
        unblock(rig);
}

static void check(struct rig *rig, unsigned step)
{
    if (rig->level != model_irq(&rig->model))
        fail_msg("step %u: line %d, model %d", step, rig->level, model_irq(&rig->model));
    if (rig->out_count != rig->model.out_count)
        fail_msg("step %u: %u characters out, model %u", step, rig->out_count, rig->model.out_count);
}

static void run(enum uart16550_speed speed, uint64_t seed, unsigned steps, bool restoring, bool blocking)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    rig->seed = seed;
    guest_clock_init(&rig->clock, 1000003);
    rig->config = (struct uart16550_config){.clock = &rig->clock,
                                            .deadlines = &rig->clock.deadlines,
                                            .wire = {sink_write, NULL, rig},
                                            .speed = speed,
                                            .base = 0x3f8,
                                            .name = "com1"};
    make(rig);
    model_reset(&rig->model, 1000003, speed == UART16550_BAUD);
    rig->uart.ports.ops->write(&rig->uart, 3, 1, 0x83);
    rig->uart.ports.ops->write(&rig->uart, 0, 1, 1);
    rig->uart.ports.ops->write(&rig->uart, 3, 1, 0x03);
    model_write(&rig->model, 3, 0x83);
    model_write(&rig->model, 0, 1);
    model_write(&rig->model, 3, 0x03);
    for (unsigned step = 0; step < steps; step++) {
        one_step(rig, step, blocking);
        if (restoring)
            save_and_restore(rig);
        check(rig, step);
    }
    assert_memory_equal(rig->out, rig->model.out, sizeof(rig->out));
    assert_true(rig->out_count > steps / 100);
    assert_true(!blocking || rig->refusals > steps / 1000);
    free(rig);
}

static void test_fast(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 20; seed++)
        run(UART16550_FAST, seed, 10000, false, false);
}

static void test_fast_restored(void **unused)
{
    (void)unused;
    for (uint64_t seed = 100; seed < 105; seed++)
        run(UART16550_FAST, seed, 10000, true, true);
}

static void test_baud(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 40; seed++)
        run(UART16550_BAUD, seed, 10000, false, false);
}

static void test_baud_restored(void **unused)
{
    (void)unused;
    for (uint64_t seed = 200; seed < 210; seed++)
        run(UART16550_BAUD, seed, 10000, true, seed & 1);
}

static void test_baud_blocked(void **unused)
{
    (void)unused;
    for (uint64_t seed = 300; seed < 310; seed++)
        run(UART16550_BAUD, seed, 10000, false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fast),         cmocka_unit_test(test_fast_restored),
        cmocka_unit_test(test_baud),         cmocka_unit_test(test_baud_restored),
        cmocka_unit_test(test_baud_blocked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
