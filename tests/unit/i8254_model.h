/*
 * A slow 8254 written from Intel's datasheet (231164): every CLK pulse does what "Mode Definitions" says, one
 * pulse at a time, with the registers of the block diagram (CR, CE, OL, status latch). It shares no code and
 * no idea with devices/i8254*.c but the choices listed there for what the datasheet leaves open. The oracle
 * of test_i8254_model.c.
 */
#ifndef TESTS_UNIT_I8254_MODEL_H
#define TESTS_UNIT_I8254_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct model_counter {
    uint8_t control_word;
    int mode;
    bool bcd, lsb, msb;
    uint8_t crm, crl; /* count register */
    uint8_t half;     /* first byte of a count being written */
    bool cr_full;     /* a whole count was written since the control word */
    bool cr_new; /* and it is not in CE yet: NULL COUNT of the status (also 1 from the control word on) */
    bool write_second, read_second;
    uint16_t ce;          /* counting element, binary or four digits */
    bool ce_full;         /* loaded since the control word */
    bool odd;             /* mode 3: CE was loaded from an odd count */
    bool waiting;         /* modes 0, 1, 4, 5: count has not ended yet */
    bool one;             /* mode 2: CE was loaded with the illegal 1 */
    bool gate, gate_edge; /* pin and edge flip-flop */
    bool out;
    uint16_t ol;
    bool ol_held;
    uint8_t status;
    bool status_held;
};

static inline uint16_t model_decrement(const struct model_counter *c, uint16_t ce)
{
    if (!c->bcd)
        return (uint16_t)(ce - 1);
    for (int digit = 0; digit < 4; digit++) { /* borrow through the digits */
        if ((ce >> (4 * digit)) & 15)
            return (uint16_t)(ce - (1 << (4 * digit)));
        ce = (uint16_t)(ce | 9 << (4 * digit));
    }
    return ce; /* 0000 became 9999 */
}

/* A count with digits above 9 (choice 8): counted up to its weight from 0000, modulo 10000. */
static inline uint16_t model_valid_bcd(uint16_t cr)
{
    unsigned weight = (cr & 15u) + 10u * ((cr >> 4) & 15u) + 100u * ((cr >> 8) & 15u) + 1000u * (cr >> 12);
    uint16_t digits = 0;

    for (int digit = 0; digit < 4; digit++, weight /= 10)
        digits = (uint16_t)(digits | (weight % 10) << (4 * digit));
    return digits;
}

static inline uint16_t model_cr(const struct model_counter *c)
{
    uint16_t cr = (uint16_t)(c->crm << 8 | c->crl);

    return c->bcd ? model_valid_bcd(cr) : cr;
}

static inline void model_load(struct model_counter *c)
{
    c->ce = model_cr(c);
    c->one = c->ce == 1;
    c->odd = c->ce & 1;
    if (c->mode == 3)
        c->ce &= 0xfffe;
    c->cr_new = false;
    c->ce_full = true;
}

static inline void model_count_down(struct model_counter *c)
{
    c->ce = model_decrement(c, c->ce);
}

static inline void model_clk_0(struct model_counter *c)
{
    if (c->cr_full && c->cr_new) {
        model_load(c); /* "this CLK pulse does not decrement the count" */
        c->waiting = true;
    } else if (c->gate && c->ce_full && !c->write_second) { /* "writing the first byte disables counting" */
        model_count_down(c);
        if (c->ce == 0 && c->waiting) {
            c->out = true;
            c->waiting = false;
        }
    }
}

static inline void model_clk_1(struct model_counter *c, bool trigger)
{
    if (trigger && c->cr_full) {
        model_load(c);
        c->out = false;
        c->waiting = true;
    } else if (c->ce_full) {
        model_count_down(c);
        if (c->ce == 0 && c->waiting) {
            c->out = true;
            c->waiting = false;
        }
    }
}

static inline void model_clk_2(struct model_counter *c, bool trigger)
{
    if (c->cr_full && (trigger || !c->ce_full)) {
        model_load(c);
        c->out = true;
    } else if (c->ce_full && c->gate) {
        if (c->ce == 1) { /* "the Counter reloads the initial count and the process is repeated" */
            model_load(c);
            c->out = true;
        } else {
            model_count_down(c);
            if (c->ce == 1)
                c->out = false;
        }
    }
}

static inline void model_clk_3(struct model_counter *c, bool trigger)
{
    bool expired;

    if (c->cr_full && (trigger || !c->ce_full)) {
        model_load(c);
        c->out = true;
        return;
    }
    if (!c->ce_full || !c->gate)
        return;
    if (c->odd && c->out)
        expired = c->ce == 0; /* "one CLK pulse after the count expires" */
    else
        expired = c->ce == 2;
    if (expired) {
        model_load(c);
        if (c->ce == 0 && c->odd)
            c->out = true; /* choice 6: count 1 has no low half */
        else
            c->out = !c->out;
    } else {
        model_count_down(c);
        model_count_down(c);
    }
}

static inline void model_strobe(struct model_counter *c)
{
    model_count_down(c);
    if (c->ce == 0 && c->waiting) {
        c->out = false;
        c->waiting = false;
    }
}

static inline void model_clk_4(struct model_counter *c)
{
    c->out = true;
    if (c->cr_full && c->cr_new) {
        model_load(c);
        c->waiting = true;
    } else if (c->ce_full && c->gate) {
        model_strobe(c);
    }
}

static inline void model_clk_5(struct model_counter *c, bool trigger)
{
    c->out = true;
    if (trigger && c->cr_full) {
        model_load(c);
        c->waiting = true;
    } else if (c->ce_full) {
        model_strobe(c);
    }
}

static inline void model_clk(struct model_counter *c)
{
    bool trigger = c->gate_edge;

    c->gate_edge = false; /* "the flip-flop is reset immediately after it is sampled" */
    switch (c->mode) {
    case 0:
        model_clk_0(c);
        break;
    case 1:
        model_clk_1(c, trigger);
        break;
    case 2:
        model_clk_2(c, trigger);
        break;
    case 3:
        model_clk_3(c, trigger);
        break;
    case 4:
        model_clk_4(c);
        break;
    case 5:
        model_clk_5(c, trigger);
        break;
    default:
        break;
    }
}

static inline void model_gate(struct model_counter *c, bool level)
{
    if (level && !c->gate)
        c->gate_edge = true;
    if (!level && (c->mode == 2 || c->mode == 3))
        c->out = true; /* "no CLK pulse is required" */
    c->gate = level;
}

static inline void model_latch_count(struct model_counter *c)
{
    if (!c->ol_held)
        c->ol = c->ce;
    c->ol_held = true;
}

static inline void model_latch_status(struct model_counter *c)
{
    if (!c->status_held)
        c->status = (uint8_t)(c->out << 7 | c->cr_new << 6 | c->control_word);
    c->status_held = true;
}

static inline void model_program(struct model_counter *c, uint8_t word)
{
    struct model_counter fresh = {0};

    fresh.gate = c->gate;
    fresh.ce = c->ce; /* choice 1 */
    fresh.control_word = word & 0x3f;
    fresh.bcd = word & 1;
    fresh.mode = (word >> 1) & 7;
    if (fresh.mode > 5)
        fresh.mode -= 4;
    fresh.lsb = word & 0x10;
    fresh.msb = word & 0x20;
    fresh.cr_new = true;
    fresh.out = fresh.mode != 0;
    *c = fresh;
}

static inline void model_control(struct model_counter counters[3], uint8_t word)
{
    if (word >> 6 == 3) {
        for (int i = 0; i < 3; i++) {
            if (!(word & (2 << i)))
                continue;
            if (!(word & 0x20))
                model_latch_count(&counters[i]);
            if (!(word & 0x10))
                model_latch_status(&counters[i]);
        }
    } else if ((word & 0x30) == 0) {
        model_latch_count(&counters[word >> 6]);
    } else {
        model_program(&counters[word >> 6], word);
    }
}

static inline void model_write(struct model_counter *c, uint8_t byte)
{
    if (c->mode == 0)
        c->out = false;
    if (c->lsb && c->msb && !c->write_second) {
        c->half = byte;
        c->write_second = true;
        return;
    }
    if (c->lsb && c->msb) {
        c->crl = c->half;
        c->crm = byte;
        c->write_second = false;
    } else {
        c->crl = c->lsb ? byte : 0;
        c->crm = c->msb ? byte : 0;
    }
    c->cr_full = true;
    c->cr_new = true;
}

static inline uint8_t model_read(struct model_counter *c)
{
    uint16_t word = c->ol_held ? c->ol : c->ce;
    bool high = !c->lsb;

    if (c->status_held) {
        c->status_held = false;
        return c->status;
    }
    if (c->lsb && c->msb) {
        high = c->read_second;
        c->read_second = !high;
    }
    if (high || !c->msb)
        c->ol_held = false;
    return (uint8_t)(high ? word >> 8 : word & 0xff);
}

#endif
