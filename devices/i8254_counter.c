/*
 * One counter of an 8254; the contract is in i8254_counter.h. Called by i8254.c only, in the monitor, during a bus access or a deadline.
 *
 * What the datasheet leaves open, and what is done here (tests/unit/test_i8254_choices.c has one test for each number):
 *  1. From a control word to the first load CE stands still; it reads as it did, also when BCD has changed.
 *  2. A trigger before the first count after a control word is lost; a control word clears the trigger flip-flop and both latches.
 *  3. A one-byte count in mode 0 sets OUT low at once, as the first byte of a two-byte count does.
 *  4. Half a two-byte count is never loaded: until its MSB comes, reloads and triggers use the last whole count.
 *  5. In modes 2 and 3 the first count is loaded also while GATE is low; the rising GATE then loads it again.
 *  6. Mode 2 with count 1 (illegal): CE stays at 1 and OUT high. Mode 3 with count 1 (illegal): CE stays at 0 and OUT high.
 *  7. The strobe of mode 4 lasts one CLK also when GATE falls meanwhile. Modes 4 and 5 strobe once, not again when CE wraps.
 *  8. A BCD digit above 9 counts by its weight; the count is taken modulo 10000.
 *  9. One read toggle: a latch command between LSB and MSB of an unlatched read is followed by the latched MSB, which ends the latch.
 * 10. A load and the end of a count on one CLK: the load wins, in modes 0, 1, 4 and 5 without OUT having changed.
 */
#include "devices/i8254_counter.h"

#define CONTROL_BCD BIT(0)
#define CONTROL_RW_SHIFT 4
#define CONTROL_BITS 0x3fu

#define STATUS_OUT BIT(7)
#define STATUS_NULL_COUNT BIT(6)

#define BINARY_MODULUS 0x10000u
#define BCD_MODULUS 10000u

enum rw {
    RW_LSB = 1,
    RW_MSB = 2,
    RW_BOTH = 3,
};

static unsigned mode_of(const struct i8254_counter *counter)
{
    unsigned mode = (counter->control >> 1) & 7u;

    return mode >= 6 ? mode - 4 : mode;
}

static unsigned rw_of(const struct i8254_counter *counter)
{
    return counter->control >> CONTROL_RW_SHIFT;
}

static bool is_bcd(const struct i8254_counter *counter)
{
    return counter->control & CONTROL_BCD;
}

/* The modes that count down once, and then on through zero. */
static bool is_one_shot(unsigned mode)
{
    return mode != 2 && mode != 3;
}

static uint32_t modulus(const struct i8254_counter *counter)
{
    return is_bcd(counter) ? BCD_MODULUS : BINARY_MODULUS;
}

/* A written count as a number: 1 to the modulus. */
static uint32_t number(const struct i8254_counter *counter, uint32_t written)
{
    uint32_t value = written;

    if (is_bcd(counter))
        value = ((written >> 12) * 1000 + ((written >> 8) & 15) * 100 + ((written >> 4) & 15) * 10 + (written & 15)) % BCD_MODULUS;
    return value ? value : modulus(counter);
}

/* CE as the guest reads it. */
static uint16_t digits(const struct i8254_counter *counter)
{
    uint32_t value = counter->value;

    if (is_bcd(counter) && counter->loaded)
        value = (value / 1000 % 10) << 12 | (value / 100 % 10) << 8 | (value / 10 % 10) << 4 | value % 10;
    return (uint16_t)value;
}

/* dividend % divisor by shifting and subtracting: rare, and never a division on an access path. */
static uint64_t remainder_of(uint64_t dividend, uint32_t divisor)
{
    if (dividend < divisor)
        return dividend;
    for (int shift = __builtin_clzll(divisor) - __builtin_clzll(dividend); shift >= 0; shift--)
        if (dividend >= (uint64_t)divisor << shift)
            dividend -= (uint64_t)divisor << shift;
    return dividend;
}

/* ---- CLK --------------------------------------------------------------------------------------------------------- */

static bool takes_load(const struct i8254_counter *counter)
{
    return counter->load_due || (counter->triggered && counter->count);
}

static bool is_counting(const struct i8254_counter *counter)
{
    unsigned mode = mode_of(counter);

    if (!counter->loaded || (mode == 0 && counter->msb_write_next))
        return false;
    return counter->gate || mode == 1 || mode == 5;
}

static void load(struct i8254_counter *counter)
{
    counter->loaded = counter->count;
    counter->value = mode_of(counter) == 3 ? counter->count & ~1u : counter->count;
    counter->null_count = 0;
}

/* The CLK that follows a written count or a trigger. */
static void start(struct i8254_counter *counter)
{
    unsigned mode = mode_of(counter);

    load(counter);
    counter->load_due = 0;
    counter->armed = is_one_shot(mode);
    counter->out = mode >= 2;
}

/* Modes 0, 1, 4, 5. */
static void count_once(struct i8254_counter *counter, uint64_t clks)
{
    bool strobes = mode_of(counter) >= 4;

    if (strobes)
        counter->out = 1;
    if (!is_counting(counter))
        return;
    if (counter->armed) {
        if (clks < counter->value) {
            counter->value -= (uint32_t)clks;
            return;
        }
        clks -= counter->value;
        counter->value = 0;
        counter->armed = 0;
        counter->out = !strobes || clks > 0;
    }
    uint32_t down = (uint32_t)(is_bcd(counter) ? clks % BCD_MODULUS : clks % BINARY_MODULUS);
    if (counter->value < down)
        counter->value += modulus(counter);
    counter->value -= down;
}

/* Mode 2, rate generator: OUT is low while CE is 1. */
static void count_rate(struct i8254_counter *counter, uint64_t clks)
{
    if (!is_counting(counter))
        return;
    if (clks >= counter->value) {
        clks -= counter->value;
        load(counter);
        clks = remainder_of(clks, counter->loaded);
    }
    counter->value -= (uint32_t)clks;
    counter->out = counter->value != 1 || counter->loaded == 1;
}

/* Mode 3: CLKs to the end of the present half cycle; an odd count adds one to the high half. */
static uint32_t half_left_clks(const struct i8254_counter *counter)
{
    return counter->value / 2 + (counter->out && counter->loaded % 2);
}

/* Mode 3, square wave: CE goes down by two and is loaded again after each half cycle. */
static void count_square(struct i8254_counter *counter, uint64_t clks)
{
    if (!is_counting(counter))
        return;
    while (clks >= half_left_clks(counter)) { /* at most three times: after the first, less than a period is left */
        clks -= half_left_clks(counter);
        load(counter);
        counter->out = !counter->out || counter->loaded == 1;
        clks = remainder_of(clks, counter->loaded);
    }
    counter->value -= 2 * (uint32_t)clks;
}

void i8254_counter_advance(struct i8254_counter *counter, uint64_t edge)
{
    if (edge <= counter->edge)
        return;
    uint64_t clks = edge - counter->edge;

    counter->edge = edge;
    if (takes_load(counter)) {
        start(counter);
        clks--;
    }
    counter->triggered = 0;
    if (clks == 0)
        return;
    switch (mode_of(counter)) {
    case 2:
        count_rate(counter, clks);
        break;
    case 3:
        count_square(counter, clks);
        break;
    default:
        count_once(counter, clks);
        break;
    }
}

/* CLKs until OUT changes when the next CLK brings no load or trigger; 0: never. */
static uint32_t change_clks(const struct i8254_counter *counter)
{
    unsigned mode = mode_of(counter);

    if (mode >= 4 && !counter->out)
        return 1;
    if (!is_counting(counter))
        return 0;
    if (is_one_shot(mode))
        return counter->armed ? counter->value : 0;
    if (mode == 3)
        return counter->out && counter->count == 1 ? 0 : half_left_clks(counter);
    if (counter->value > 1)
        return counter->value - 1;
    if (!counter->out)
        return 1;
    return counter->count == 1 ? 0 : counter->count; /* illegal count 1 until the reload on the next CLK */
}

uint64_t i8254_counter_next_change(const struct i8254_counter *counter)
{
    struct i8254_counter next = *counter;

    if (takes_load(counter)) {
        i8254_counter_advance(&next, counter->edge + 1);
        if (next.out != counter->out)
            return next.edge;
    }
    uint32_t clks = change_clks(&next);
    if (clks == 0 || clks > I8254_NEVER - next.edge)
        return I8254_NEVER;
    return next.edge + clks;
}

/* ---- registers --------------------------------------------------------------------------------------------------- */

void i8254_counter_control(struct i8254_counter *counter, uint8_t control)
{
    counter->value = digits(counter); /* choice 1 */
    counter->control = control & CONTROL_BITS;
    counter->out = mode_of(counter) != 0;
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
    unsigned mode = mode_of(counter);

    counter->count = number(counter, written);
    counter->null_count = 1;
    if (mode == 0)
        counter->out = 0;
    if (mode == 0 || mode == 4 || (!is_one_shot(mode) && !counter->loaded))
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
    if (mode_of(counter) == 0)
        counter->out = 0; /* and counting is disabled: is_counting() */
}

uint8_t i8254_counter_read(struct i8254_counter *counter)
{
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
    counter->latched_status =
        (uint8_t)((counter->out ? STATUS_OUT : 0) | (counter->null_count ? STATUS_NULL_COUNT : 0) | counter->control);
    counter->status_latched = 1;
}

void i8254_counter_gate(struct i8254_counter *counter, bool level)
{
    unsigned mode = mode_of(counter);

    if (counter->gate == level)
        return;
    counter->gate = level;
    if (level)
        counter->triggered = mode != 0 && mode != 4;
    else if (!is_one_shot(mode))
        counter->out = 1;
}

/* ---- a state from outside ---------------------------------------------------------------------------------------- */

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
    unsigned mode = mode_of(counter);

    if (!counter->loaded) {
        counter->armed = 0;
        counter->out = mode != 0;
    } else if (is_one_shot(mode)) {
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
        if (mode == 3)
            counter->value &= ~1u;
        if (mode == 3 ? half_left_clks(counter) == 0 : counter->value == 0)
            load(counter);
    }
}

void i8254_counter_repair(struct i8254_counter *counter, uint64_t edge)
{
    counter->control &= CONTROL_BITS;
    if (rw_of(counter) == 0)
        counter->control |= RW_BOTH << CONTROL_RW_SHIFT;
    repair_flags(counter);
    counter->edge = MIN(counter->edge, edge);
    counter->count = MIN(counter->count, modulus(counter));
    counter->loaded = MIN(counter->loaded, modulus(counter));
    counter->value = MIN(counter->value, BINARY_MODULUS);
    if (!counter->count) {
        counter->loaded = 0;
        counter->load_due = 0;
    }
    repair_phase(counter);
}
