/*
 * Fuzzes the PIT and port 61h. A step is three bytes: what (bits 0-2: port 40h-43h, port 61h, gate 0, gate 1,
 * a byte of saved state; bit 3: write; bits 4-7: scale of the time that passes first), value, time. Two PITs
 * get the same steps: one whose OUT pins are listened to, one that nobody listens to and that is saved and
 * restored before each step. They must never differ.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/i8254.h"
#include "devices/port61.h"
#include "hv/clock.h"

#define STEPS_MAX      300
#define TIME_SCALE_MAX 10 /* 255 << 10 cycles: a few hundred CLKs */

struct machine {
    struct guest_clock clock;
    struct grid grid;
    struct i8254 pit;
    struct port61 port61;
    bool pin[I8254_CHANNELS];
};

static struct machine machines[2];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pin_sink(void *opaque, unsigned input, bool level)
{
    struct machine *machine = opaque;

    machine->pin[input] = level;
}

static void gate2_sink(void *opaque, unsigned input, bool level)
{
    i8254_set_gate(opaque, input, level);
}

static bool out2(void *opaque)
{
    return i8254_out(opaque, 2);
}

/* A new machine on machine->grid. */
static void wire(struct machine *machine, uint64_t hz, bool listened)
{
    memset(&machine->pit, 0, sizeof(machine->pit));
    memset(&machine->port61, 0, sizeof(machine->port61));
    memset(machine->pin, 0, sizeof(machine->pin));
    guest_clock_init(&machine->clock, hz);
    i8254_init(&machine->pit, &machine->clock, &machine->grid, &machine->clock.deadlines);
    port61_init(&machine->port61, &machine->clock, &machine->grid);
    for (unsigned channel = 0; listened && channel < I8254_CHANNELS; channel++)
        irq_line_connect(&machine->pit.out[channel], pin_sink, machine, channel);
    irq_line_connect(&machine->port61.gate2, gate2_sink, &machine->pit, 2);
    machine->port61.out2 = out2;
    machine->port61.out2_opaque = &machine->pit;
    i8254_set_gate(&machine->pit, 0, true);
    i8254_set_gate(&machine->pit, 1, true);
    machine->pit.device.reset(machine->pit.device.opaque);
}

static void save_restore(struct machine *machine)
{
    struct i8254_state pit = machine->pit.state;
    struct port61_state port61 = machine->port61.state;
    uint64_t now = machine->clock.now;

    wire(machine, machine->clock.hz, false);
    guest_clock_advance(&machine->clock, now);
    machine->pit.state = pit;
    machine->port61.state = port61;
    machine->pit.device.restored(machine->pit.device.opaque);
    machine->port61.device.restored(machine->port61.device.opaque);
}

static uint64_t act(struct machine *machine, uint8_t what, uint8_t value, uint8_t time)
{
    const struct bus_region *region = (what & 7) == 4 ? &machine->port61.region : &machine->pit.region;
    uint64_t offset = (what & 7) == 4 ? 0 : what & 3;
    uint8_t *state = (uint8_t *)&machine->pit.state;

    guest_clock_advance(&machine->clock,
                        machine->clock.now + ((uint64_t)time << MIN(what >> 4, TIME_SCALE_MAX)));
    switch (what & 7) {
    case 5:
    case 6:
        i8254_set_gate(&machine->pit, (what & 7) - 5u, value & 1);
        return 0;
    case 7:
        machine->pit.device.restored(
            machine->pit.device.opaque); /* brings all counters to now: the same bytes in both */
        if (what & 8)
            state[value % sizeof(machine->pit.state)] ^= time;
        else
            state[value % sizeof(machine->pit.state)] = time;
        machine->pit.device.restored(machine->pit.device.opaque);
        return 0;
    default:
        break;
    }
    if (!(what & 8))
        return region->ops->read(region->opaque, offset, 1);
    region->ops->write(region->opaque, offset, 1, value);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t rates[] = {1000000000, 3700000000, 1193182, 13125000};
    uint64_t hz = size ? rates[data[0] % 4] : rates[0];

    for (unsigned i = 0; i < 2; i++) {
        grid_init(&machines[i].grid, hz, I8254_HZ_NUM, I8254_HZ_DEN);
        wire(&machines[i], hz, i == 0);
    }
    for (size_t at = 1; at + 3 <= size && at < 3 * STEPS_MAX; at += 3) {
        save_restore(&machines[1]);
        if (act(&machines[0], data[at], data[at + 1], data[at + 2]) !=
            act(&machines[1], data[at], data[at + 1], data[at + 2]))
            abort();
        for (unsigned channel = 0; channel < I8254_CHANNELS; channel++)
            if (i8254_out(&machines[1].pit, channel) != machines[0].pin[channel] ||
                i8254_out(&machines[0].pit, channel) != machines[0].pin[channel])
                abort();
        if (machines[1].clock.deadlines.first)
            abort();
    }
    return 0;
}
