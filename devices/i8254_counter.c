/*
 * The counting of an 8254's counter: what CLK pulses do in each mode, any number of them at once, and when
 * OUT changes next. The contract and who calls are in i8254_counter.h; the registers, and the list of choices
 * that the comments name, are in i8254_registers.c.
 *
 * Source: Intel 8254 (231164), "Mode Definitions". Units: CLKs and edges of the PIT grid.
 */
#include "devices/i8254_counter.h"

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

static bool takes_load(const struct i8254_counter *counter)
{
    return counter->load_due || (counter->triggered && counter->count);
}

static bool is_counting(const struct i8254_counter *counter)
{
    unsigned mode = i8254_counter_mode(counter);

    if (!counter->loaded || (mode == 0 && counter->msb_write_next))
        return false;
    return counter->gate || mode == 1 || mode == 5;
}

static void load(struct i8254_counter *counter)
{
    counter->loaded = counter->count;
    counter->value = i8254_counter_mode(counter) == 3 ? counter->count & ~1u : counter->count;
    counter->null_count = 0;
}

/* The CLK that follows a written count or a trigger. */
static void start(struct i8254_counter *counter)
{
    unsigned mode = i8254_counter_mode(counter);

    load(counter);
    counter->load_due = 0;
    counter->armed = i8254_mode_is_one_shot(mode);
    counter->out = mode >= 2;
}

/* Modes 0, 1, 4, 5. */
static void count_once(struct i8254_counter *counter, uint64_t clks)
{
    bool strobes = i8254_counter_mode(counter) >= 4;

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
    uint32_t down =
        (uint32_t)(i8254_counter_is_bcd(counter) ? clks % I8254_BCD_MODULUS : clks % I8254_BINARY_MODULUS);
    if (counter->value < down)
        counter->value += i8254_counter_modulus(counter);
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

/*
 * Mode 3, square wave: CE goes down by two and is loaded again after each half cycle. The loop runs three
 * times at most: after the first time less than a period is left.
 */
static void count_square(struct i8254_counter *counter, uint64_t clks)
{
    if (!is_counting(counter))
        return;
    while (clks >= half_left_clks(counter)) {
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
    switch (i8254_counter_mode(counter)) {
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
    unsigned mode = i8254_counter_mode(counter);

    if (mode >= 4 && !counter->out)
        return 1;
    if (!is_counting(counter))
        return 0;
    if (i8254_mode_is_one_shot(mode))
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

struct i8254_glide i8254_counter_glide(const struct i8254_counter *counter)
{
    unsigned mode = i8254_counter_mode(counter);

    if (takes_load(counter) || counter->triggered || (mode >= 4 && !counter->out))
        return (struct i8254_glide){0};
    if (!is_counting(counter))
        return (struct i8254_glide){I8254_NEVER, 0};
    if (mode == 2 && counter->value > 1 && counter->out)
        return (struct i8254_glide){counter->edge + counter->value - 1, 1};
    if (mode == 3)
        return (struct i8254_glide){counter->edge + counter->value / 2, 2};
    if (i8254_mode_is_one_shot(mode) && counter->armed)
        return (struct i8254_glide){counter->edge + counter->value, 1};
    return (struct i8254_glide){0};
}
