/*
 * The registers, latches and gate of an 8254's counter; the contract is in i8254_counter.h. Called by i8254.c
 * only, in the monitor, during a bus access or a restore, with the counter already brought to the present.
 *
 * What the datasheet leaves open, and what is done here. tests/unit/test_i8254_choices.c has a test for each.
 *  1. From a control word to the first load CE stands still; it reads as it did, also when BCD has changed.
 *  2. A trigger before the first count after a control word is lost. A control word clears the trigger
 *     flip-flop and both latches.
 *  3. A one-byte count in mode 0 sets OUT low at once, as the first byte of a two-byte count does.
 *  4. Half a two-byte count is never loaded: until its MSB comes, loads take the last whole count.
 *  5. In modes 2 and 3 the first count is loaded also while GATE is low; the rising GATE then loads it again.
 *  6. Count 1 is illegal in modes 2 and 3: OUT stays high, CE stands at 1 (mode 2) or 0 (mode 3).
 *  7. The strobe of mode 4 lasts one CLK also when GATE falls meanwhile. Modes 4 and 5 strobe once, not again
 *     when CE wraps.
 *  8. A BCD digit above 9 counts by its weight; the count is taken modulo 10000.
 *  9. There is one read toggle: a latch command between the LSB and the MSB of an unlatched read is followed
 *     by the latched MSB, which ends the latch.
 * 10. A load and the end of a count on one CLK: the load wins; in modes 0, 1, 4 and 5 OUT does not change.
 *
 * Source: Intel 8254 (231164), "Write Operations", "Read Operations", "Operation Common to All Modes".
 */
#include "devices/i8254_counter.h"

#define CONTROL_RW_SHIFT 4
#define CONTROL_BITS     0x3fu
#define CONTROL_BCD      0x01u
#define CONTROL_RW       0x30u

#define STATUS_OUT        BIT(7)
#define STATUS_NULL_COUNT BIT(6)

enum rw {
    RW_LSB = 1,
    RW_MSB = 2,
    RW_BOTH = 3,
};

static unsigned rw_of(const struct i8254_counter *counter)
{
    return counter->control >> CONTROL_RW_SHIFT;
}

/* A written count as a number: 1 to the modulus. */
static uint32_t number(const struct i8254_counter *counter, uint32_t written)
{
    uint32_t value = written;

    if (i8254_counter_is_bcd(counter))
        value = ((written >> 12) * 1000 + ((written >> 8) & 15) * 100 + ((written >> 4) & 15) * 10 +
                 (written & 15)) %
                I8254_BCD_MODULUS;
    return value ? value : i8254_counter_modulus(counter);
}

/* CE as the guest reads it. */
static uint16_t digits(const struct i8254_counter *counter)
{
    uint32_t value = counter->value;

    if (i8254_counter_is_bcd(counter) && counter->loaded)
        value = (value / 1000 % 10) << 12 | (value / 100 % 10) << 8 | (value / 10 % 10) << 4 | value % 10;
    return (uint16_t)value;
}

void i8254_counter_control(struct i8254_counter *counter, uint8_t control)
{
    counter->value = digits(counter); /* choice 1 */
    counter->control = control & CONTROL_BITS;
    counter->out = i8254_counter_mode(counter) != 0;
    counter->null_count = 1;
    counter->count = 0;
    counter->loaded = 0;
    counter->first_byte = 0;
    counter->triggered = 0;
    counter->load_due = 0;
    counter->armed = 0;
    counter->msb_write_next = 0;
    counter->msb_read_next = 0;
    counter->count_latched = 0;
    counter->status_latched = 0;
}

static void write_count(struct i8254_counter *counter, uint32_t written)
{
    unsigned mode = i8254_counter_mode(counter);

    counter->count = number(counter, written);
    counter->null_count = 1;
    if (mode == 0)
        counter->out = 0;
    if (mode == 0 || mode == 4 || (!i8254_mode_is_one_shot(mode) && !counter->loaded))
        counter->load_due = 1;
}

void i8254_counter_write(struct i8254_counter *counter, uint8_t byte)
{
    switch (rw_of(counter)) {
    case RW_LSB:
        write_count(counter, byte);
        return;
    case RW_MSB:
        write_count(counter, (uint32_t)byte << 8);
        return;
    default:
        break;
    }
    counter->msb_write_next ^= 1;
    if (!counter->msb_write_next) {
        write_count(counter, (uint32_t)byte << 8 | counter->first_byte);
        return;
    }
    counter->first_byte = byte;
    if (i8254_counter_mode(counter) == 0)
        counter->out = 0; /* and counting is disabled: is_counting() */
}

uint64_t i8254_counter_read(struct i8254_counter *counter)
{
    bool latched = counter->count_latched | counter->status_latched;

    /* the plain case: a binary count, both its bytes, as it runs */
    if (!latched && (counter->control & (CONTROL_RW | CONTROL_BCD)) == RW_BOTH << CONTROL_RW_SHIFT) {
        unsigned byte = counter->msb_read_next;
        counter->msb_read_next = !byte;
        return (uint8_t)(counter->value >> 8 * byte);
    }
    uint16_t word = counter->count_latched ? counter->latched_count : digits(counter);
    bool msb = rw_of(counter) == RW_MSB;

    if (counter->status_latched) {
        counter->status_latched = 0;
        return counter->latched_status;
    }
    if (rw_of(counter) == RW_BOTH) {
        msb = counter->msb_read_next;
        counter->msb_read_next ^= 1;
    }
    if (!counter->msb_read_next)
        counter->count_latched = 0;
    return (uint8_t)(msb ? word >> 8 : word);
}

void i8254_counter_latch_count(struct i8254_counter *counter)
{
    if (counter->count_latched)
        return;
    counter->latched_count = digits(counter);
    counter->count_latched = 1;
}

void i8254_counter_latch_status(struct i8254_counter *counter)
{
    if (counter->status_latched)
        return;
    counter->latched_status = (uint8_t)((counter->out ? STATUS_OUT : 0) |
                                        (counter->null_count ? STATUS_NULL_COUNT : 0) | counter->control);
    counter->status_latched = 1;
}

void i8254_counter_gate(struct i8254_counter *counter, bool level)
{
    unsigned mode = i8254_counter_mode(counter);

    if (counter->gate == level)
        return;
    counter->gate = level;
    if (level)
        counter->triggered = mode != 0 && mode != 4;
    else if (!i8254_mode_is_one_shot(mode))
        counter->out = 1;
}

/* ---- a state from outside ---- */

static void repair_flags(struct i8254_counter *counter)
{
    uint8_t *flags[] = {&counter->gate,           &counter->out,           &counter->triggered,
                        &counter->null_count,     &counter->load_due,      &counter->armed,
                        &counter->msb_write_next, &counter->msb_read_next, &counter->count_latched,
                        &counter->status_latched};

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        *flags[i] = *flags[i] != 0;
    for (size_t i = 0; i < ARRAY_SIZE(counter->reserved); i++)
        counter->reserved[i] = 0;
    if (rw_of(counter) != RW_BOTH)
        counter->msb_write_next = counter->msb_read_next = 0;
}

/* CE, the phase of the count and OUT depend on each other. */
static void repair_phase(struct i8254_counter *counter)
{
    unsigned mode = i8254_counter_mode(counter);

    if (!counter->loaded) {
        counter->armed = 0;
        counter->out = mode != 0;
    } else if (i8254_mode_is_one_shot(mode)) {
        counter->armed = counter->armed && counter->value;
        if (counter->armed)
            counter->out = mode >= 4;
        else if (mode == 1)
            counter->out = 1;
    } else {
        counter->armed = 0;
        counter->value = MIN(counter->value, counter->loaded);
        if (!counter->gate || counter->loaded == 1 || (mode == 2 && counter->value != 1))
            counter->out = 1;
        uint32_t even = mode == 3 ? ~1u : ~0u;
        counter->value &= even;
        if (counter->value == 0 && !(mode == 3 && counter->out && counter->loaded % 2))
            counter->value = counter->loaded & even; /* 0 only ends the high half of an odd count */
    }
}

void i8254_counter_repair(struct i8254_counter *counter, uint64_t edge)
{
    counter->control &= CONTROL_BITS;
    if (rw_of(counter) == 0)
        counter->control |= RW_BOTH << CONTROL_RW_SHIFT;
    repair_flags(counter);
    counter->edge = MIN(counter->edge, edge);
    counter->count = MIN(counter->count, i8254_counter_modulus(counter));
    counter->loaded = MIN(counter->loaded, i8254_counter_modulus(counter));
    counter->value = MIN(counter->value, I8254_BINARY_MODULUS);
    if (!counter->count) {
        counter->loaded = 0;
        counter->load_due = 0;
    }
    repair_phase(counter);
}
