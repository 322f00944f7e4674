/*
 * Two cascaded 8259A interrupt controllers. Contract, callers and sources: i8259.h; a single chip:
 * i8259_chip.c.
 *
 * Modelled: ICW1-4 in all sequences, OCW1-3, edge and level inputs (LTIM for all, ELCR for each), fixed and
 * rotating priority, specific, non-specific and automatic EOI, special mask mode, special fully nested mode,
 * poll, IRR and ISR reads, the cascade by ICW3, spurious IR7. Left out: the MCS-80/85 CALL sequence (ICW4.uPM
 * and ICW1's address bits are taken and ignored), buffered mode (a matter of pins).
 *
 * What the data sheet leaves open; choice N is pinned by test_choice_N in tests/unit/test_i8259.c:
 *  1. INT follows the priority resolver: it falls again when the request's line falls or is masked before the
 *     INTA. A guest that masks a waiting request with IF = 0 finds nothing at its next STI, as on PCs. An
 * INTA whose request went between the CPU's sampling of INT and the INTA gets IR7 (data sheet, "Interrupt
 *     Sequence", on a request that was too short).
 *  2. ICW1 also clears the ISR, the poll command and rotation in automatic EOI; a line that is high then
 *     must fall and rise again.
 *  3. Before the first ICW1 and inside the ICW sequence INT isn't raised; A0 = 0 takes OCW2 and OCW3 there
 *     as ever.
 *  4. LTIM and ELCR are combined by OR; ICW1 leaves ELCR alone. IR0, 1, 2, 8 and 13 cannot be level
 *     triggered by ELCR (PIIX4).
 *  5. The edge latch works in level mode too, so that a change of ELCR loses no request that waits and
 *     repeats none that was acknowledged.
 *  6. Special mask mode takes masked levels out of the ISR as the priority resolver and the non-specific EOI
 *     see it; unmasked ones still count.
 *  7. Special fully nested mode lets a slave's input in at its own level only: the inputs below stay
 *     blocked.
 *  8. A non-specific EOI with nothing in service does nothing, a rotating one included.
 *  9. Poll: the request is resolved at the read, not at the command; it counts as INTA (automatic EOI
 *     included), at either A0. With no request it reads 07h. An OCW3 with P = 0 takes an unread poll back;
 *     RR and RIS act also beside P. A poll of the master does not reach the slave.
 * 10. An INTA for a slave that isn't there (the chips' ICW3 do not agree) reads FFh, the floating bus.
 * 11. At each INTA a chip's INT goes low before it may rise again: the master sees an edge for each slave
 *     request.
 * 12. A spurious IR7 neither sets the ISR nor does an automatic EOI.
 */
#include "devices/i8259_chip.h"
#include "lib/string.h"

#define CASCADE_INPUT   2u
#define SPURIOUS_LEVEL  7u
#define FLOATING_BUS    0xffu
#define ICW1_SNGL       BIT(1)
#define ELCR_MASTER_MAY 0xf8u
#define ELCR_SLAVE_MAY  0xdeu

_Static_assert(sizeof(struct i8259_state) == 32, "i8259 state version 1");

static struct i8259_chip *master_of(struct i8259_pair *pair)
{
    return &pair->state.chip[I8259_MASTER];
}

static struct i8259_chip *slave_of(struct i8259_pair *pair)
{
    return &pair->state.chip[I8259_SLAVE];
}

/*
 * Carries every change on: slave to master to CPU. A slave's INT that an INTA or poll has lowered is shown to
 * the master before it may rise again (choice 11).
 */
static void settle(struct i8259_pair *pair)
{
    struct i8259_chip *master = master_of(pair);
    struct i8259_chip *slave = slave_of(pair);

    i8259_chip_set_input(master, CASCADE_INPUT, slave->int_out);
    slave->int_out = i8259_chip_resolve(slave, false) != I8259_LEVEL_NONE;
    i8259_chip_set_input(master, CASCADE_INPUT, slave->int_out);
    master->int_out = i8259_chip_resolve(master, true) != I8259_LEVEL_NONE;
    irq_line_set(&pair->intr, master->int_out);
}

void i8259_set_irq(void *opaque, unsigned input, bool level)
{
    struct i8259_pair *pair = opaque;

    if (input >= I8259_INPUTS || input == CASCADE_INPUT)
        return;
    i8259_chip_set_input(&pair->state.chip[input >> 3], input & 7, level);
    settle(pair);
}

/* Data sheet, "Interrupt Sequence" and "Cascade Mode". */
bool i8259_can_interrupt(const struct i8259_pair *pair)
{
    const struct i8259_chip *master = &pair->state.chip[I8259_MASTER],
                            *slave = &pair->state.chip[I8259_SLAVE];
    uint8_t open = (uint8_t)~master->imr;

    if (master->step != I8259_READY)
        return false;
    if (open & (uint8_t)~BIT(2))
        return true;
    return open && slave->step == I8259_READY && slave->imr != 0xFF;
}

uint8_t i8259_ack(struct i8259_pair *pair)
{
    struct i8259_chip *master = master_of(pair);
    struct i8259_chip *slave = slave_of(pair);
    unsigned level = i8259_chip_acknowledge(master, true);
    unsigned vector;

    if (level == I8259_LEVEL_NONE)
        level = SPURIOUS_LEVEL;
    if (!i8259_chip_is_slave_input(master, level)) {
        vector = master->icw2 | level;
    } else if ((slave->icw1 & ICW1_SNGL) || (slave->icw3 & 7) != level) {
        vector = FLOATING_BUS;
    } else {
        level = i8259_chip_acknowledge(slave, false);
        vector = slave->icw2 | (level == I8259_LEVEL_NONE ? SPURIOUS_LEVEL : level);
    }
    settle(pair);
    return (uint8_t)vector;
}

static uint64_t chip_read(struct i8259_pair *pair, unsigned which, uint64_t offset)
{
    uint8_t value = i8259_chip_read(&pair->state.chip[which], which == I8259_MASTER, offset);

    settle(pair); /* a poll changes things */
    return value;
}

static void chip_write(struct i8259_pair *pair, unsigned which, uint64_t offset, uint64_t value)
{
    i8259_chip_write(&pair->state.chip[which], offset, (uint8_t)value);
    settle(pair);
}

static uint64_t master_read(void *opaque, uint64_t offset, unsigned width)
{
    (void)width;
    return chip_read(opaque, I8259_MASTER, offset);
}

static void master_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    (void)width;
    chip_write(opaque, I8259_MASTER, offset, value);
}

static uint64_t slave_read(void *opaque, uint64_t offset, unsigned width)
{
    (void)width;
    return chip_read(opaque, I8259_SLAVE, offset);
}

static void slave_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    (void)width;
    chip_write(opaque, I8259_SLAVE, offset, value);
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct i8259_pair *pair = opaque;

    (void)width;
    return pair->state.chip[offset & 1].elcr;
}

static void elcr_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct i8259_pair *pair = opaque;

    (void)width;
    pair->state.chip[offset & 1].elcr = (uint8_t)(value & (offset & 1 ? ELCR_SLAVE_MAY : ELCR_MASTER_MAY));
    settle(pair);
}

static void reset(void *opaque)
{
    struct i8259_pair *pair = opaque;

    i8259_chip_reset(master_of(pair));
    i8259_chip_reset(slave_of(pair));
    settle(pair);
}

static void restored(void *opaque)
{
    struct i8259_pair *pair = opaque;

    i8259_chip_sanitise(master_of(pair));
    i8259_chip_sanitise(slave_of(pair));
    master_of(pair)->elcr &= ELCR_MASTER_MAY;
    slave_of(pair)->elcr &= ELCR_SLAVE_MAY;
    settle(pair);
}

static const struct bus_ops master_ops = {.read = master_read, .write = master_write};
static const struct bus_ops slave_ops = {.read = slave_read, .write = slave_write};
static const struct bus_ops elcr_ops = {.read = elcr_read, .write = elcr_write};

void i8259_init(struct i8259_pair *pair)
{
    memset(pair, 0, sizeof(*pair));
    pair->regions[0] = (struct bus_region){0x20, 2, 1, &master_ops, pair, "i8259 master"};
    pair->regions[1] = (struct bus_region){0xa0, 2, 1, &slave_ops, pair, "i8259 slave"};
    pair->regions[2] = (struct bus_region){0x4d0, 2, 1, &elcr_ops, pair, "i8259 elcr"};
    pair->device = (struct device){
        .name = "i8259",
        .opaque = pair,
        .reset = reset,
        .state = &pair->state,
        .state_size = sizeof(pair->state),
        .state_version = I8259_STATE_VERSION,
        .restored = restored,
    };
    reset(pair);
}
