/*
 * Fuzzes the i8042 and its keyboard. A step is 5 bytes: what, the value, and the time that passes before (a
 * 16-bit number of guest cycles times a power of two). Two of them take the same steps, one with save and
 * restore between; what they read and drive must be the same.
 */
#include <stdlib.h>
#include <string.h>
#include "devices/i8042.h"
#include "hv/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
    struct guest_clock clock;
    struct i8042 chip;
    unsigned resets, ready;
    bool a20;
};

static struct side sides[2];

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void note_reset(void *opaque)
{
    ((struct side *)opaque)->resets++;
}

static void set_a20(void *opaque, bool enabled)
{
    ((struct side *)opaque)->a20 = enabled;
}

static bool get_a20(void *opaque)
{
    return ((struct side *)opaque)->a20;
}

static void note_ready(void *opaque)
{
    struct side *side = opaque;

    if (side->ready++ & 1)
        i8042_receive_key(&side->chip, (const uint8_t *)"Qq", 2);
}

static void make(struct side *side)
{
    struct i8042_wiring wiring = {note_reset, set_a20, get_a20, note_ready, side};

    i8042_init(&side->chip, &side->clock, &side->clock.deadlines, &wiring);
}

static void save_and_restore(struct side *side)
{
    struct i8042_state state = side->chip.state;
    bool wait = side->chip.keys_wait;

    deadline_cancel(&side->chip.deadline);
    make(side);
    side->chip.keys_wait = wait;
    side->chip.state = state;
    side->chip.device.restored(side->chip.device.opaque);
}

static uint64_t step(struct side *side, const uint8_t *data)
{
    const struct bus_region *ports = &side->chip.ports[data[0] & 1];
    uint64_t pass = (uint64_t)(data[2] | data[3] << 8) << (data[4] & 15);

    guest_clock_advance(&side->clock, side->clock.now + pass);
    switch (data[0] >> 1 & 3) {
    case 0:
        ports->ops->write(ports->opaque, 0, 1, data[1]);
        return 0;
    case 1:
        return ports->ops->read(ports->opaque, 0, 1);
    case 2:
        return i8042_receive_key(&side->chip, data + 1, 1 + (data[0] >> 3 & 3));
    default:
        if (data[0] & 0x80) {
            ((uint8_t *)&side->chip.state)[(data[1] | data[2] << 8) % sizeof(side->chip.state)] = data[3];
            side->chip.device.restored(side->chip.device.opaque);
        }
        return 0;
    }
}

static void check_side(const struct side *side)
{
    const struct i8042_state *state = &side->chip.state;

    check(state->keyboard.keys.count <= I8042_QUEUE && state->keyboard.replies.count <= I8042_QUEUE);
    check(side->chip.deadline.when == (state->byte_cycles < state->escape.expires_cycles
                                           ? state->byte_cycles
                                           : state->escape.expires_cycles));
    check(!(side->chip.irq_keyboard.level && side->chip.irq_auxiliary.level));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t rates[] = {1000000000, 999999937, 18, 3400000001};

    if (size == 0)
        return 0;
    for (unsigned i = 0; i < 2; i++) {
        memset(&sides[i], 0, sizeof(sides[i]));
        guest_clock_init(&sides[i].clock, rates[data[0] & 3]);
        make(&sides[i]);
    }
    for (data++, size--; size >= 5; data += 5, size -= 5) {
        save_and_restore(&sides[1]);
        check(step(&sides[0], data) == step(&sides[1], data));
        check(sides[0].resets == sides[1].resets && sides[0].ready == sides[1].ready &&
              sides[0].a20 == sides[1].a20);
        check(sides[0].chip.irq_keyboard.level == sides[1].chip.irq_keyboard.level);
        check(sides[0].chip.irq_auxiliary.level == sides[1].chip.irq_auxiliary.level);
        check_side(&sides[0]);
        check_side(&sides[1]);
    }
    return 0;
}
