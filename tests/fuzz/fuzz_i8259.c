/*
 * Fuzzes the 8259A pair: a step of 3 bytes is a port access, a change of an input line, an INTA, or save and
 * restore. Beside the sanitisers it checks what must hold in every state: INT and its line agree, a request
 * that can be served has raised INT, an INTA serves what was highest or answers IR7, and a saved and restored
 * pair behaves the same.
 */
#include <stdlib.h>
#include <string.h>
#include "devices/i8259_chip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_invariants(const struct i8259_pair *pair)
{
    const struct i8259_chip *master = &pair->state.chip[I8259_MASTER];
    const struct i8259_chip *slave = &pair->state.chip[I8259_SLAVE];

    check(i8259_pending(pair) == pair->intr.level);
    check(((master->lines >> 2) & 1) == slave->int_out);
    for (unsigned i = 0; i < I8259_CHIPS; i++) {
        const struct i8259_chip *chip = &pair->state.chip[i];

        check((chip->latch & ~chip->lines) == 0);
        check(chip->lowest < 8 && chip->step <= I8259_NEEDS_ICW4 && chip->int_out <= 1);
        check(chip->int_out == (i8259_chip_resolve(chip, i == I8259_MASTER) != I8259_LEVEL_NONE));
        /* With nothing in service any unmasked request must have raised INT. */
        if (chip->step == I8259_READY && chip->isr == 0 && (chip->latch & ~chip->imr))
            check(chip->int_out);
    }
}

static void access_port(struct i8259_pair *pair, uint8_t what, uint8_t value)
{
    const struct bus_region *region = &pair->regions[(what >> 1) % 3];

    if (what & 8)
        region->ops->write(region->opaque, what & 1, 1, value);
    else
        check(region->ops->read(region->opaque, what & 1, 1) <= 0xff);
}

static void acknowledge(struct i8259_pair *pair)
{
    struct i8259_state before = pair->state;
    uint8_t vector = i8259_ack(pair);

    /* A vector other than a chip's IR7 came from a request that stood. */
    for (unsigned i = 0; i < I8259_CHIPS; i++) {
        unsigned taken = pair->state.chip[i].isr & ~before.chip[i].isr;

        check((taken & (taken - 1)) == 0);
        check((taken & ~before.chip[i].lines) == 0);
        check((taken & before.chip[i].imr) == 0);
    }
    /* The slave's, when a spurious IR7 of the master has addressed a slave of that number. */
    check((vector & 7) == 7 || (before.chip[0].lines & ~before.chip[0].imr) ||
          (before.chip[1].lines & ~before.chip[1].imr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct i8259_pair pair, copy;

    i8259_init(&pair);
    for (; size >= 3; data += 3, size -= 3) {
        switch (data[0] & 3) {
        case 0:
            access_port(&pair, data[1], data[2]);
            break;
        case 1:
            i8259_set_irq(&pair, data[1] & 31, data[2] & 1);
            break;
        case 2:
            acknowledge(&pair);
            break;
        default:
            if (data[1] & 1) {
                memcpy(&copy.state, &pair.state, sizeof(copy.state));
                i8259_init(&pair);
                pair.state = copy.state;
                pair.device.restored(pair.device.opaque);
                check(memcmp(&copy.state, &pair.state, sizeof(copy.state)) == 0);
            } else if (data[1] == 2) {
                pair.device.reset(pair.device.opaque);
            } else if (data[1] == 4) {
                ((uint8_t *)&pair.state)[data[2] % sizeof(pair.state)] ^= 0xff; /* a hostile snapshot */
                pair.device.restored(pair.device.opaque);
            }
        }
        check_invariants(&pair);
    }
    return 0;
}
