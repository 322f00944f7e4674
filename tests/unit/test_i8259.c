/*
 * The 8259A pair against the data sheet: command words, priorities, EOIs, modes, cascade, spurious requests,
 * and one test for each numbered choice in devices/i8259.c. The random comparison with a slow model is
 * test_i8259_model.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "devices/i8259.h"

#define M 0x20
#define S 0xa0

static struct i8259_pair pic;

static struct bus_region *region(unsigned port)
{
    for (unsigned i = 0; i < ARRAY_SIZE(pic.regions); i++)
        if (port - pic.regions[i].base < pic.regions[i].length)
            return &pic.regions[i];
    fail();
    return NULL;
}

static void out(unsigned port, unsigned value)
{
    region(port)->ops->write(pic.regions[0].opaque, port - region(port)->base, 1, value);
}

static unsigned in(unsigned port)
{
    return (unsigned)region(port)->ops->read(pic.regions[0].opaque, port - region(port)->base, 1);
}

static void irq(unsigned input, bool level)
{
    i8259_set_irq(&pic, input, level);
}

static void pulse(unsigned input)
{
    irq(input, false);
    irq(input, true);
}

static unsigned irr(unsigned base)
{
    out(base, 0x0a);
    return in(base);
}

static unsigned isr(unsigned base)
{
    out(base, 0x0b);
    return in(base);
}

/* The PC's usual programming: vectors 20h and 70h, cascade on IR2, 8086 mode. */
static void program(unsigned icw4_master, unsigned icw4_slave)
{
    out(M, 0x11);
    out(M + 1, 0x20);
    out(M + 1, 0x04);
    out(M + 1, icw4_master);
    out(S, 0x11);
    out(S + 1, 0x70);
    out(S + 1, 0x02);
    out(S + 1, icw4_slave);
}

static int setup(void **state)
{
    (void)state;
    i8259_init(&pic);
    program(1, 1);
    return 0;
}

/* INT must be up; the vector must be this one; INT must be down after it. */
static void expect_ack(unsigned vector)
{
    assert_true(i8259_pending(&pic));
    assert_int_equal(i8259_ack(&pic), vector);
}

static void test_vectors_of_all_inputs(void **state)
{
    (void)state;
    for (unsigned input = 0; input < 16; input++) {
        if (input == 2)
            continue;
        assert_false(i8259_pending(&pic));
        pulse(input);
        assert_true(pic.intr.level);
        assert_int_equal(irr(input < 8 ? M : S), 1 << (input & 7));
        expect_ack(input < 8 ? 0x20 + input : 0x68 + input);
        assert_false(i8259_pending(&pic));
        assert_int_equal(irr(input < 8 ? M : S), 0);
        assert_int_equal(isr(M), input < 8 ? 1 << input : 4);
        assert_int_equal(isr(S), input < 8 ? 0 : 1 << (input - 8));
        if (input >= 8)
            out(S, 0x20);
        out(M, 0x20);
        assert_int_equal(isr(M) | isr(S), 0);
        irq(input, false);
    }
}

static void test_inputs_that_do_not_exist(void **state)
{
    (void)state;
    irq(2, true);
    irq(16, true);
    irq(~0u, true);
    assert_false(i8259_pending(&pic));
    assert_int_equal(irr(M) | irr(S), 0);
}

static void test_icw_sequences(void **state)
{
    (void)state;
    out(M, 0x13); /* single, with ICW4: no ICW3 */
    out(M + 1, 0x47);
    out(M + 1, 0x03); /* ICW4: automatic EOI */
    out(M + 1, 0xfb); /* OCW1 */
    assert_int_equal(in(M + 1), 0xfb);
    pulse(8); /* IR2 is no slave's input now */
    expect_ack(0x42);
    assert_int_equal(isr(M), 0);
    out(M, 0x12); /* single, no ICW4: automatic EOI is off again */
    out(M + 1, 0x48);
    out(M + 1, 0xfe);
    assert_int_equal(in(M + 1), 0xfe);
    pulse(0);
    expect_ack(0x48);
    assert_int_equal(isr(M), 1);
    out(M, 0x10); /* cascade, no ICW4 */
    out(M + 1, 0x50);
    out(M + 1, 0x04);
    out(M + 1, 0xfd);
    assert_int_equal(in(M + 1), 0xfd);
    out(M, 0x11);
    out(M + 1, 0x58);
    out(M, 0x11); /* starts over in the midst of a sequence */
    out(M + 1, 0x60);
    out(M + 1, 0x04);
    out(M + 1, 0x01);
    out(M + 1, 0x7f);
    assert_int_equal(in(M + 1), 0x7f);
    pulse(7);
    expect_ack(0x67);
}

static void test_priority_and_nesting(void **state)
{
    (void)state;
    for (unsigned input = 0; input < 8; input++)
        pulse(input);
    pulse(15);
    pulse(12);
    static const uint8_t order[] = {0x20, 0x21, 0x74, 0x77, 0x23, 0x24, 0x25, 0x26, 0x27};
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        expect_ack(order[i]);
        assert_false(i8259_pending(&pic)); /* those below wait for the EOI */
        if (order[i] >= 0x70)
            out(S, 0x20);
        out(M, 0x20);
    }
    assert_false(i8259_pending(&pic));
    pulse(5);
    expect_ack(0x25);
    pulse(6);
    pulse(5);
    assert_false(i8259_pending(&pic));
    pulse(3);
    expect_ack(0x23); /* a higher one interrupts */
    assert_int_equal(isr(M), 0x28);
    out(M, 0x20); /* ends 3 */
    assert_int_equal(isr(M), 0x20);
    assert_false(i8259_pending(&pic));
    out(M, 0x65); /* specific: ends 5 */
    expect_ack(0x25);
}

static void test_mask(void **state)
{
    (void)state;
    out(M + 1, 0xff);
    out(S + 1, 0xfe);
    pulse(4);
    pulse(8);
    assert_int_equal(irr(M), 0x14); /* the IRR shows masked requests */
    assert_false(i8259_pending(&pic));
    out(M + 1, 0xfb);
    expect_ack(0x70);
    out(M + 1, 0x00);
    out(S, 0x20);
    out(M, 0x20);
    expect_ack(0x24);
}

static void test_rotation(void **state)
{
    (void)state;
    out(M, 0xc3); /* set priority: 3 lowest, 4 highest */
    pulse(3);
    pulse(0);
    pulse(5);
    expect_ack(0x25);
    out(M, 0xa0); /* rotate on non-specific EOI: 5 lowest */
    expect_ack(0x20);
    assert_int_equal(isr(M), 1);
    out(M, 0xe0); /* rotate on specific EOI: 0 lowest */
    pulse(1);
    expect_ack(0x21);
    assert_int_equal(isr(M), 2);
    out(M, 0x40); /* no operation */
    assert_int_equal(isr(M), 2);
    out(M, 0x61);
    expect_ack(0x23);
}

static void test_automatic_eoi(void **state)
{
    (void)state;
    program(3, 3);
    pulse(1);
    pulse(6);
    expect_ack(0x21);
    assert_int_equal(isr(M), 0);
    expect_ack(0x26);
    out(M, 0x80); /* rotate in automatic EOI mode */
    pulse(1);
    pulse(6);
    expect_ack(0x21); /* now 1 is lowest, 2 highest */
    pulse(1);
    expect_ack(0x26); /* 6 lowest, 7 highest */
    pulse(7);
    expect_ack(0x27);
    out(M, 0x00); /* rotation off: 7 stays lowest */
    expect_ack(0x21);
    pulse(1);
    pulse(0);
    expect_ack(0x20);
    expect_ack(0x21);
}

static void test_edge_and_level(void **state)
{
    (void)state;
    irq(5, true);
    expect_ack(0x25);
    out(M, 0x20);
    assert_false(i8259_pending(&pic)); /* edge: high is not enough */
    assert_int_equal(irr(M), 0);
    out(0x4d0, 0x20);
    out(0x4d1, 0x02);
    assert_int_equal(in(0x4d0), 0x20);
    assert_int_equal(in(0x4d1), 0x02);
    expect_ack(0x25); /* level: it is */
    out(M, 0x20);
    expect_ack(0x25);
    irq(5, false);
    out(M, 0x20);
    assert_false(i8259_pending(&pic));
    irq(9, true);
    expect_ack(0x71);
    out(S, 0x20);
    assert_false(i8259_pending(&pic)); /* the master's IR2 still in service */
    out(M, 0x20);
    expect_ack(0x71);
}

static void test_special_fully_nested(void **state)
{
    (void)state;
    program(0x11, 1);
    pulse(12);
    expect_ack(0x74);
    pulse(14);
    assert_false(i8259_pending(&pic)); /* lower within the slave */
    pulse(9);
    expect_ack(0x71); /* higher within the slave: the master lets it through */
    assert_int_equal(isr(M), 4);
    assert_int_equal(isr(S), 0x12);
    program(1, 1);
    irq(12, false);
    pulse(12);
    expect_ack(0x74);
    pulse(9);
    assert_false(i8259_pending(&pic)); /* without the mode it waits */
}

/* The CPU has sampled INT, then the request goes, then comes the INTA. */
static void test_spurious_7(void **state)
{
    (void)state;
    irq(5, true);
    assert_true(i8259_pending(&pic));
    irq(5, false);
    assert_int_equal(irr(M), 0);
    assert_int_equal(i8259_ack(&pic), 0x27);
    assert_int_equal(isr(M), 0);
    assert_false(i8259_pending(&pic));
    assert_int_equal(i8259_ack(&pic), 0x27); /* an INTA out of the blue */
    out(M, 0xc2);
    assert_int_equal(i8259_ack(&pic), 0x27); /* IR7 also with rotated priorities */
    irq(10, true);
    irq(10, false); /* a slave's request that goes takes the master's IR2 with it */
    assert_int_equal(i8259_ack(&pic), 0x27);
    assert_int_equal(isr(M) | isr(S), 0);
    pulse(10);
    expect_ack(0x72);
}

/* The slave is asked, by an ICW3 that names the wrong input, and has no request: its own IR7. */
static void test_spurious_15(void **state)
{
    (void)state;
    out(M, 0x11);
    out(M + 1, 0x20);
    out(M + 1, 0x24); /* slaves on IR2 and IR5 */
    out(M + 1, 0x01);
    out(S, 0x11);
    out(S + 1, 0x70);
    out(S + 1, 0x05);
    out(S + 1, 0x01);
    pulse(5);
    expect_ack(0x77);
    assert_int_equal(isr(M), 0x20);
    assert_int_equal(isr(S), 0);
    out(M, 0x20);
    assert_false(i8259_pending(&pic));
}

/* What the guest does between the request and its INTA; each must take INT down, and what is left must come
 * again. */
static void test_choice_1(void **state)
{
    (void)state;
    pulse(4);
    assert_true(i8259_pending(&pic));
    out(M + 1, 0xff); /* masked with IF = 0: nothing is left for the next STI */
    assert_false(i8259_pending(&pic));
    assert_false(pic.intr.level);
    out(M + 1, 0);
    expect_ack(0x24); /* the masked request was still there */
    out(M, 0x20);
    irq(4, false);

    pulse(8);
    out(S + 1, 0x01); /* the same on the slave: IR2 falls with it */
    assert_false(i8259_pending(&pic));
    assert_int_equal(irr(M), 0);
    out(S + 1, 0);
    expect_ack(0x70);
    out(S, 0x20);
    out(M, 0x20);
    irq(8, false);

    pulse(3);
    irq(3, false); /* the line falls, as the PIT's in modes 2 and 3 */
    assert_false(i8259_pending(&pic));
    irq(3, true);
    pulse(1);
    out(M + 1, 0x02); /* the higher of two goes: INT stays, for the other */
    assert_true(i8259_pending(&pic));
    expect_ack(0x23);
    out(M + 1, 0);
    expect_ack(0x21);
    out(M, 0x11);
    assert_false(i8259_pending(&pic));
}

static void test_choice_2(void **state)
{
    (void)state;
    irq(3, true);
    expect_ack(0x23);
    irq(4, true);
    out(M, 0xc2);
    out(M, 0x80);
    out(M, 0x68);
    out(M, 0x0f); /* poll, read ISR */
    program(3, 1);
    assert_int_equal(in(M + 1), 0);
    assert_int_equal(in(M), 0); /* the IRR, empty: both lines are high since before */
    assert_int_equal(isr(M), 0);
    assert_false(i8259_pending(&pic));
    pulse(4);
    pulse(3);
    expect_ack(0x23); /* fixed priorities again */
    pulse(0);
    expect_ack(0x20);
    expect_ack(0x24);
}

static void test_choice_3(void **state)
{
    (void)state;
    i8259_init(&pic);
    pulse(1);
    assert_false(i8259_pending(&pic));
    assert_int_equal(irr(M), 2);
    out(M, 0x11);
    out(M + 1, 0x20);
    pulse(1);
    assert_false(i8259_pending(&pic));
    out(M, 0xc1); /* OCW2 amid the sequence: 1 is lowest */
    out(M + 1, 4);
    pulse(6);
    assert_false(i8259_pending(&pic));
    out(M + 1, 1);
    expect_ack(0x26);
}

static void test_choice_4(void **state)
{
    (void)state;
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    assert_int_equal(in(0x4d0), 0xf8);
    assert_int_equal(in(0x4d1), 0xde);
    program(1, 1);
    assert_int_equal(in(0x4d0), 0xf8);
    out(0x4d0, 0);
    out(0x4d1, 0);
    irq(1, true);
    out(M, 0x19); /* LTIM */
    out(M + 1, 0x20);
    out(M + 1, 0x04);
    out(M + 1, 0x01);
    expect_ack(0x21);
    out(M, 0x20);
    expect_ack(0x21);
    irq(1, false);
    out(M, 0x20);
    pulse(9); /* the cascade by level */
    pulse(10);
    expect_ack(0x71);
    out(S, 0x20);
    out(M, 0x20);
    expect_ack(0x72);
}

static void test_choice_5(void **state)
{
    (void)state;
    out(0x4d0, 0x20);
    out(M + 1, 0x20);
    irq(5, true);
    out(0x4d0, 0);
    out(M + 1, 0);
    expect_ack(0x25); /* came by level, not yet taken: stays */
    out(M, 0x20);
    out(0x4d0, 0x20);
    expect_ack(0x25);
    out(0x4d0, 0);
    out(M, 0x20);
    assert_false(i8259_pending(&pic)); /* taken: does not come again */
}

static void test_choice_6(void **state)
{
    (void)state;
    pulse(3);
    expect_ack(0x23);
    pulse(1);
    expect_ack(0x21);
    pulse(2 + 4);
    out(M, 0x68); /* special mask mode */
    out(M + 1, 0x02);
    assert_false(i8259_pending(&pic)); /* 3 in service, unmasked */
    out(M + 1, 0x0a);
    expect_ack(0x26);
    out(M, 0x20); /* not 1, not 3: they are masked */
    assert_int_equal(isr(M), 0x0a);
    out(M, 0x20);
    assert_int_equal(isr(M), 0x0a);
    out(M, 0x28); /* ESMM = 0: no change */
    pulse(6);
    expect_ack(0x26);
    out(M, 0x20);
    out(M, 0x48); /* mode off */
    pulse(6);
    assert_false(i8259_pending(&pic));
    out(M, 0x20);
    assert_int_equal(isr(M), 0x08);
}

static void test_choice_7(void **state)
{
    (void)state;
    program(0x11, 1);
    pulse(12);
    expect_ack(0x74);
    pulse(3);
    assert_false(i8259_pending(&pic));
    pulse(1);
    expect_ack(0x21);
    pulse(1);
    assert_false(i8259_pending(&pic)); /* no slave's input: its own level blocks */
}

static void test_choice_8(void **state)
{
    (void)state;
    out(M, 0xa0);
    out(M, 0x20);
    pulse(7);
    pulse(0);
    expect_ack(0x20);
}

static void test_choice_9(void **state)
{
    (void)state;
    out(M, 0x0c);
    assert_int_equal(in(M), 0x07);
    assert_int_equal(in(M), 0); /* only one read polls: the IRR again */
    out(M, 0x0c);
    pulse(6);
    pulse(4); /* after the command, before the read */
    assert_int_equal(in(M + 1), 0x84);
    assert_false(i8259_pending(&pic));
    assert_int_equal(isr(M), 0x10);
    out(M, 0x0c);
    out(M, 0x0a); /* takes it back */
    assert_int_equal(in(M), 0x40);
    out(M, 0x0f);
    assert_int_equal(in(M), 0x07); /* 6 is below 4, in service */
    assert_int_equal(in(M), 0x10); /* RR and RIS acted: the ISR */
    out(M, 0x20);
    program(3, 3);
    pulse(11);
    pulse(12);
    out(M, 0x0c);
    assert_int_equal(in(M), 0x82); /* the slave is not asked */
    assert_int_equal(irr(S), 0x18);
    out(S, 0x0c);
    assert_int_equal(in(S), 0x83);
    assert_int_equal(isr(M) | isr(S), 0); /* automatic EOI */
    assert_int_equal(irr(M), 4);
    expect_ack(0x74); /* the slave's next request made its own edge */
}

static void test_choice_10(void **state)
{
    (void)state;
    out(S, 0x11);
    out(S + 1, 0x70);
    out(S + 1, 0x03);
    out(S + 1, 0x01);
    pulse(8);
    expect_ack(0xff);
    assert_int_equal(isr(M), 4);
    assert_int_equal(isr(S), 0);
    setup(NULL);
    out(S, 0x13);
    out(S + 1, 0x70);
    out(S + 1, 0x01);
    pulse(8);
    expect_ack(0xff);
    setup(NULL);
    out(M, 0x11);
    out(M + 1, 0x20);
    out(M + 1, 0x00); /* no slave at all: IR2 is the master's own */
    out(M + 1, 0x01);
    irq(8, false);
    pulse(8);
    expect_ack(0x22);
}

static void test_choice_11(void **state)
{
    (void)state;
    program(1, 3);
    pulse(8);
    pulse(9);
    expect_ack(0x70);
    assert_int_equal(irr(M), 4); /* by automatic EOI the second came at once: a new edge on IR2 */
    out(M, 0x20);
    expect_ack(0x71);
}

static void test_choice_12(void **state)
{
    (void)state;
    pulse(3);
    expect_ack(0x23);
    out(M, 0x80);
    program(3, 1);
    assert_int_equal(i8259_ack(&pic), 0x27);
    assert_int_equal(isr(M), 0);
    assert_int_equal(pic.state.chip[I8259_MASTER].lowest, 7);
}

static unsigned changes;

static void count_change(void *opaque, unsigned input, bool level)
{
    assert_ptr_equal(opaque, &changes);
    assert_int_equal(input, 3);
    assert_int_equal(level, i8259_pending(&pic));
    changes++;
}

static void test_intr_line(void **state)
{
    (void)state;
    changes = 0;
    irq_line_connect(&pic.intr, count_change, &changes, 3);
    pulse(1);
    assert_int_equal(changes, 1);
    pulse(0);
    assert_int_equal(changes, 1);
    i8259_ack(&pic);
    assert_int_equal(changes, 2);
    struct i8259_state saved = pic.state;
    out(M, 0x20);
    assert_int_equal(changes, 3);
    pic.state = saved;
    pic.device.restored(pic.device.opaque);
    assert_int_equal(changes, 4); /* 0 is in service again, 1 waits */
    assert_false(pic.intr.level);
}

static void test_reset_keeps_lines(void **state)
{
    (void)state;
    irq(6, true);
    irq(12, true);
    pic.device.reset(pic.device.opaque);
    assert_false(i8259_pending(&pic));
    assert_false(pic.intr.level);
    program(1, 1);
    assert_false(i8259_pending(&pic));
    pulse(12);
    expect_ack(0x74);
}

static void test_restore_forces_ranges(void **state)
{
    (void)state;
    assert_ptr_equal(pic.device.state, &pic.state);
    assert_int_equal(pic.device.state_size, sizeof(pic.state));
    memset(&pic.state, 0xff, sizeof(pic.state));
    pic.device.restored(pic.device.opaque);
    for (unsigned i = 0; i < I8259_CHIPS; i++) {
        assert_in_range(pic.state.chip[i].lowest, 0, 7);
        assert_int_equal(pic.state.chip[i].step, I8259_NEEDS_ICW1);
        assert_int_equal(pic.state.chip[i].icw2, 0xf8);
        assert_int_equal(pic.state.chip[i].int_out, 0); /* not yet initialised */
    }
    assert_int_equal(in(0x4d0), 0xf8);
    assert_int_equal(in(0x4d1), 0xde);
    assert_false(pic.intr.level);
}

/* Whether an HLT can ever end: an initialised pair with an open path from some input to INT. */
static void can_interrupt_follows_the_masks(void **state)
{
    static struct i8259_pair pair;
    const struct bus_ops *ops;

    (void)state;
    i8259_init(&pair);
    assert_false(i8259_can_interrupt(&pair)); /* no ICW yet */
    for (unsigned chip = 0; chip < 2; chip++) {
        ops = pair.regions[chip].ops;
        ops->write(pair.regions[chip].opaque, 0, 1, 0x11);
        ops->write(pair.regions[chip].opaque, 1, 1, chip ? 0x28 : 0x20);
        ops->write(pair.regions[chip].opaque, 1, 1, chip ? 2 : 4);
        ops->write(pair.regions[chip].opaque, 1, 1, 1);
    }
    assert_true(i8259_can_interrupt(&pair));
    ops = pair.regions[0].ops;
    ops->write(pair.regions[0].opaque, 1, 1, 0xFB); /* the cascade alone */
    assert_true(i8259_can_interrupt(&pair));
    ops->write(pair.regions[1].opaque, 1, 1, 0xFF); /* and nothing behind it */
    assert_false(i8259_can_interrupt(&pair));
    ops->write(pair.regions[0].opaque, 1, 1, 0xFE);
    assert_true(i8259_can_interrupt(&pair));
    ops->write(pair.regions[0].opaque, 1, 1, 0xFF);
    assert_false(i8259_can_interrupt(&pair));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(can_interrupt_follows_the_masks),
        T(test_vectors_of_all_inputs),
        T(test_inputs_that_do_not_exist),
        T(test_icw_sequences),
        T(test_priority_and_nesting),
        T(test_mask),
        T(test_rotation),
        T(test_automatic_eoi),
        T(test_edge_and_level),
        T(test_special_fully_nested),
        T(test_spurious_7),
        T(test_spurious_15),
        T(test_choice_1),
        T(test_choice_2),
        T(test_choice_3),
        T(test_choice_4),
        T(test_choice_5),
        T(test_choice_6),
        T(test_choice_7),
        T(test_choice_8),
        T(test_choice_9),
        T(test_choice_10),
        T(test_choice_11),
        T(test_choice_12),
        T(test_intr_line),
        T(test_reset_keeps_lines),
        T(test_restore_forces_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
