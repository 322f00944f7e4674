/*
 * The 8259A pair against a slow, literal model: each input an object, priorities a list that is walked from
 * the top, command words spelled out. Random port writes, reads, line changes and INTAs; after each step all
 * that a guest can see must agree, and every now and then the pair is saved and restored into another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "devices/i8259.h"

struct model_input {
    bool high, risen, masked, serving, elcr_level;
};

struct model_chip {
    struct model_input in[8];
    int order[8]; /* order[0] is the highest priority */
    int awaited;  /* which ICW comes next at A0 = 1; 1: none seen yet; 0: ready */
    bool master, ltim, single, want_icw4, aeoi, sfnm, special_mask, rotate, show_isr, polling, int_up;
    unsigned base, icw3;
};

static struct model_chip model[2];

static void model_lowest(struct model_chip *c, int level)
{
    while (c->order[7] != level) {
        int first = c->order[0];
        for (int i = 0; i < 7; i++)
            c->order[i] = c->order[i + 1];
        c->order[7] = first;
    }
}

static void model_power_on(void)
{
    memset(model, 0, sizeof(model));
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 8; i++)
            model[k].order[i] = i;
        model[k].awaited = 1;
    }
    model[0].master = true;
}

static bool model_requests(const struct model_chip *c, int level)
{
    const struct model_input *in = &c->in[level];

    if (c->ltim || in->elcr_level)
        return in->high;
    return in->high && in->risen;
}

static int model_best(const struct model_chip *c)
{
    if (c->awaited != 0)
        return -1;
    for (int i = 0; i < 8; i++) {
        int level = c->order[i];
        const struct model_input *in = &c->in[level];
        bool wants = model_requests(c, level) && !in->masked;
        bool blocks = in->serving && !(c->special_mask && in->masked);

        if (wants && !blocks)
            return level;
        if (blocks)
            return wants && c->master && c->sfnm && !c->single && (c->icw3 >> level & 1) ? level : -1;
    }
    return -1;
}

static void model_wire(struct model_chip *c, int level, bool high)
{
    if (high && !c->in[level].high)
        c->in[level].risen = true;
    if (!high)
        c->in[level].risen = false;
    c->in[level].high = high;
}

/* Carries INT of both chips on; a slave's INT that an INTA took low is first seen low by the master. */
static void model_settle(void)
{
    model_wire(&model[0], 2, model[1].int_up);
    model[1].int_up = model_best(&model[1]) >= 0;
    model_wire(&model[0], 2, model[1].int_up);
    model[0].int_up = model_best(&model[0]) >= 0;
}

static int model_take(struct model_chip *c)
{
    int level = model_best(c);

    c->int_up = false;
    if (level >= 0) {
        c->in[level].risen = false;
        if (!c->aeoi)
            c->in[level].serving = true;
        else if (c->rotate)
            model_lowest(c, level);
    }
    return level;
}

static unsigned model_ack(void)
{
    struct model_chip *m = &model[0], *s = &model[1];
    int level = model_take(m);
    unsigned vector;

    if (level < 0)
        level = 7;
    if (m->single || !(m->icw3 >> level & 1))
        vector = m->base + (unsigned)level;
    else if (s->single || (s->icw3 & 7) != (unsigned)level)
        vector = 0xff;
    else {
        level = model_take(s);
        vector = s->base + (unsigned)(level < 0 ? 7 : level);
    }
    model_settle();
    return vector;
}

static void model_icw1(struct model_chip *c, unsigned v)
{
    for (int i = 0; i < 8; i++) {
        c->in[i].risen = c->in[i].masked = c->in[i].serving = false;
        c->order[i] = i;
    }
    c->int_up = c->special_mask = c->show_isr = c->polling = c->rotate = false;
    c->want_icw4 = v & 1;
    c->single = v >> 1 & 1;
    c->ltim = v >> 3 & 1;
    if (!c->want_icw4)
        c->aeoi = c->sfnm = false;
    c->awaited = 2;
}

static void model_ocw2(struct model_chip *c, unsigned v)
{
    int level = v & 7;
    int top = -1;

    for (int i = 7; i >= 0; i--) {
        const struct model_input *in = &c->in[c->order[i]];
        if (in->serving && !(c->special_mask && in->masked))
            top = c->order[i];
    }
    switch (v >> 5) {
    case 0:
        c->rotate = false;
        break;
    case 4:
        c->rotate = true;
        break;
    case 1:
    case 5:
        if (top < 0)
            break;
        c->in[top].serving = false;
        if (v >> 5 == 5)
            model_lowest(c, top);
        break;
    case 3:
        c->in[level].serving = false;
        break;
    case 7:
        c->in[level].serving = false;
        model_lowest(c, level);
        break;
    case 6:
        model_lowest(c, level);
        break;
    }
}

static void model_write(int k, unsigned a0, unsigned v)
{
    struct model_chip *c = &model[k];

    if (a0 == 0) {
        if (v & 0x10) {
            model_icw1(c, v);
        } else if (v & 0x08) {
            if (v & 0x40)
                c->special_mask = v & 0x20;
            if (v & 0x02)
                c->show_isr = v & 0x01;
            c->polling = v & 0x04;
        } else {
            model_ocw2(c, v);
        }
    } else if (c->awaited == 2) {
        c->base = v & 0xf8;
        c->awaited = !c->single ? 3 : c->want_icw4 ? 4 : 0;
    } else if (c->awaited == 3) {
        c->icw3 = v;
        c->awaited = c->want_icw4 ? 4 : 0;
    } else if (c->awaited == 4) {
        c->aeoi = v & 2;
        c->sfnm = v & 0x10;
        c->awaited = 0;
    } else {
        for (int i = 0; i < 8; i++)
            c->in[i].masked = v >> i & 1;
    }
    model_settle();
}

static unsigned model_register(const struct model_chip *c, char which)
{
    unsigned bits = 0;

    for (int i = 0; i < 8; i++) {
        bool set = which == 'm' ? c->in[i].masked : which == 's' ? c->in[i].serving : model_requests(c, i);
        bits |= (unsigned)set << i;
    }
    return bits;
}

static unsigned model_read(int k, unsigned a0)
{
    struct model_chip *c = &model[k];

    if (c->polling) {
        c->polling = false;
        int level = model_take(c);
        model_settle();
        return level < 0 ? 7 : 0x80u | (unsigned)level;
    }
    return model_register(c, a0 ? 'm' : c->show_isr ? 's' : 'r');
}

/* ---- the comparison ---- */

static uint64_t seed;

static unsigned rnd(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static struct i8259_pair pairs[2];
static struct i8259_pair *pic;

static void write_both(int k, unsigned a0, unsigned v)
{
    struct bus_region *r = &pic->regions[k];

    r->ops->write(r->opaque, a0, 1, v);
    model_write(k, a0, v);
}

static void read_both(int k, unsigned a0)
{
    struct bus_region *r = &pic->regions[k];

    assert_int_equal(r->ops->read(r->opaque, a0, 1), model_read(k, a0));
}

static void write_elcr(void)
{
    struct bus_region *r = &pic->regions[2];
    int k = (int)rnd(2);
    unsigned v = rnd(4) ? 0 : rnd(256);

    r->ops->write(r->opaque, (unsigned)k, 1, v);
    for (int i = 0; i < 8; i++)
        model[k].in[i].elcr_level = (v & (k ? 0xde : 0xf8)) >> i & 1;
    model_settle();
}

static void initialise(int k)
{
    unsigned icw1 = 0x10 | (rnd(8) ? 1 : 0) | (rnd(10) ? 0 : 2) | (rnd(6) ? 0 : 8);

    write_both(k, 0, icw1);
    write_both(k, 1, rnd(256));
    if (!(icw1 & 2))
        write_both(k, 1, rnd(10) ? (k ? 2 : 4) : rnd(256));
    if (icw1 & 1)
        write_both(k, 1, 1 | (rnd(3) ? 0 : 2) | (rnd(2) ? 0 : 0x10));
}

static void swap_pair(void)
{
    struct i8259_pair *next = pic == &pairs[0] ? &pairs[1] : &pairs[0];

    i8259_init(next);
    memcpy(next->device.state, pic->device.state, pic->device.state_size);
    next->device.restored(next->device.opaque);
    pic = next;
}

static unsigned
    idle_acks; /* INTAs that left nothing in service: spurious ones, and those with automatic EOI */

static void step(void)
{
    static const unsigned ocw2[] = {0x00, 0x20, 0x20, 0x20, 0x60, 0x80, 0xa0, 0xc0, 0xe0, 0x40};
    int k = (int)rnd(2);
    unsigned what = rnd(100);

    if (what < 35) {
        unsigned input = rnd(18);
        bool high = rnd(2);
        i8259_set_irq(pic, input, high);
        if (input < 16 && input != 2) {
            model_wire(&model[input / 8], input % 8, high);
            model_settle();
        }
    } else if (what < 55) {
        if (i8259_pending(pic) || rnd(10) == 0) {
            unsigned vector = i8259_ack(pic);
            assert_int_equal(vector, model_ack());
            if (!pic->state.chip[0].isr && !pic->state.chip[1].isr)
                idle_acks++;
        }
    } else if (what < 75) {
        write_both(k, 0, ocw2[rnd(ARRAY_SIZE(ocw2))] | rnd(8));
    } else if (what < 82) {
        write_both(k, 0, 0x08 | (rnd(4) ? 0 : 0x40) | (rnd(2) ? 0x20 : 0) | rnd(8));
    } else if (what < 90) {
        write_both(k, 1, rnd(256) & rnd(256));
    } else if (what < 96) {
        read_both(k, rnd(2));
    } else if (what < 97) {
        write_elcr();
    } else if (what < 98) {
        if (rnd(3) == 0)
            initialise(k);
        else
            swap_pair();
    } else if (rnd(20) == 0) {
        write_both(k, rnd(2), rnd(256));
    }
}

static void compare(void)
{
    assert_int_equal(i8259_pending(pic), model[0].int_up);
    assert_int_equal(pic->intr.level, model[0].int_up);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(pic->state.chip[k].imr, model_register(&model[k], 'm'));
        assert_int_equal(pic->state.chip[k].isr, model_register(&model[k], 's'));
        if (!model[k].polling)
            read_both(k, 0);
    }
}

static void test_random_against_model(void **state)
{
    unsigned falls = 0;
    bool was_up = false;

    (void)state;
    for (unsigned run = 0; run < 40; run++) {
        seed = run + 1;
        pic = &pairs[0];
        i8259_init(pic);
        model_power_on();
        initialise(0);
        initialise(1);
        for (unsigned i = 0; i < 20000; i++) {
            step();
            if (run % 2) /* saved and restored between any two steps */
                swap_pair();
            compare();
            falls += was_up && !model[0].int_up;
            was_up = model[0].int_up;
        }
    }
    assert_true(falls > 1000 && idle_acks > 1000); /* the sequences do reach the odd corners */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
