/*
 * One counter of an 8254, counted in CLK edges: its six modes, count and control registers, latches and gate.
 * It knows no clock and no bus; i8254.c brings it to the present edge before each call and publishes its OUT
 * pin after it.
 *
 * A counter is not stepped: i8254_counter_advance() goes over any number of CLKs at once, in at most about 64
 * additions, without a division.
 *
 * Units: `edge` is the index of a CLK edge in the PIT grid of the VM; one edge stands for one CLK pulse of
 * the datasheet (GATE is sampled, then CE is loaded or decremented). Counts are numbers, 65536 (BCD: 10000)
 * for a written 0. Source: Intel 8254 Programmable Interval Timer (231164), "Mode Definitions", "Read
 * Operations", "Operation Common to All Modes".
 */
#ifndef DEVICES_I8254_COUNTER_H
#define DEVICES_I8254_COUNTER_H

#include "lib/base.h"

#define I8254_NEVER UINT64_MAX

/* Guest-visible state, without padding. Flags are 0 or 1. */
struct i8254_counter {
    uint64_t edge;          /* the edge up to which the rest holds */
    uint32_t value;         /* counting element (CE): 0 to 65536; while loaded is 0, as the guest reads it */
    uint32_t count;         /* count register (CR): 1 to 65536; 0: none written since the control word */
    uint32_t loaded;        /* the count that CE was last loaded from; 0: none since the control word */
    uint16_t latched_count; /* output latch (OL), as the guest reads it */
    uint8_t latched_status;
    uint8_t first_byte; /* the LSB of a two-byte count whose MSB is still to come */
    uint8_t control;    /* RW1 RW0 M2 M1 M0 BCD, as written */
    uint8_t gate;
    uint8_t out;
    uint8_t triggered;      /* the flip-flop that a rising GATE sets and the next CLK samples and clears */
    uint8_t null_count;     /* CR has not been loaded into CE yet */
    uint8_t load_due;       /* the next CLK loads CE, no trigger needed */
    uint8_t armed;          /* modes 0, 1, 4, 5: the terminal count is still to come */
    uint8_t msb_write_next; /* RW = 3: toggles of the two directions */
    uint8_t msb_read_next;
    uint8_t count_latched;
    uint8_t status_latched;
    uint8_t reserved[5]; /* zero */
};

_Static_assert(sizeof(struct i8254_counter) == 40, "no padding in saved state");

#define I8254_BINARY_MODULUS 0x10000u
#define I8254_BCD_MODULUS    10000u

static inline unsigned i8254_counter_mode(const struct i8254_counter *counter)
{
    unsigned mode = (counter->control >> 1) & 7u;

    return mode >= 6 ? mode - 4 : mode;
}

/* The modes that count down once, and then on through zero: 0, 1, 4, 5. */
static inline bool i8254_mode_is_one_shot(unsigned mode)
{
    return mode != 2 && mode != 3;
}

static inline bool i8254_counter_is_bcd(const struct i8254_counter *counter)
{
    return counter->control & 1;
}

static inline uint32_t i8254_counter_modulus(const struct i8254_counter *counter)
{
    return i8254_counter_is_bcd(counter) ? I8254_BCD_MODULUS : I8254_BINARY_MODULUS;
}

/* A control word for this counter (bits 5-0 count; RW must not be 0, that is the latch command). */
void i8254_counter_control(struct i8254_counter *counter, uint8_t control);

/* A byte written to, or read from, the counter's port. */
void i8254_counter_write(struct i8254_counter *counter, uint8_t byte);
uint64_t i8254_counter_read(struct i8254_counter *counter);

/* The latch commands; each is ignored while its latch is held. */
void i8254_counter_latch_count(struct i8254_counter *counter);
void i8254_counter_latch_status(struct i8254_counter *counter);

void i8254_counter_gate(struct i8254_counter *counter, bool level);

/* Every CLK up to and with `edge`; an edge that has passed does nothing. */
void i8254_counter_advance(struct i8254_counter *counter, uint64_t edge);

/*
 * How the count goes on from counter->edge while nobody writes or moves GATE: at an edge before `until` it is
 * `value` less `step` for each edge that has passed, and nothing else has changed. until 0: it does not go on
 * like that; i8254_counter_advance() knows.
 */
struct i8254_glide {
    uint64_t until;
    uint64_t step; /* 0, 1 or 2 */
};

struct i8254_glide i8254_counter_glide(const struct i8254_counter *counter);

/* The edge, after counter->edge, at which OUT changes next if nobody writes or moves GATE; I8254_NEVER. */
uint64_t i8254_counter_next_change(const struct i8254_counter *counter);

/* Forces a state of unknown origin into what the chip can hold, at or before `edge`. */
void i8254_counter_repair(struct i8254_counter *counter, uint64_t edge);

#endif
