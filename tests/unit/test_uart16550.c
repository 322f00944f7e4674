/* The 16550A, rule by rule: each choice of uart16550.h, and what drivers rely on. Random sequences are in
 * test_uart16550_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "devices/uart16550.h"
#include "hv/clock.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, FCR = IIR, DLL = RBR, DLM = IER };

#define HZ 1000000000

static struct rig {
    struct guest_clock clock;
    struct uart16550 uart;
    char out[256];
    uint64_t out_when[256];
    unsigned out_count;
    unsigned sink_room;
    unsigned rises, readies;
    const char *waiting; /* input that ready() offers again */
    bool level;
} rig;

static size_t sink_write(void *opaque, const uint8_t *data, size_t length)
{
    assert_ptr_equal(opaque, &rig);
    assert_int_equal(length, 1);
    if (rig.sink_room == 0)
        return 0;
    rig.sink_room--;
    assert_in_range(rig.out_count, 0, sizeof(rig.out) - 2);
    rig.out_when[rig.out_count] = rig.clock.now;
    rig.out[rig.out_count++] = (char)*data;
    return 1;
}

static size_t feed(const char *text)
{
    return uart16550_receive(&rig.uart, (const uint8_t *)text, strlen(text));
}

static void sink_ready(void *opaque)
{
    assert_ptr_equal(opaque, &rig);
    rig.readies++;
    if (rig.waiting)
        rig.waiting += feed(rig.waiting);
}

static void line_changed(void *opaque, unsigned input, bool level)
{
    (void)opaque;
    (void)input;
    rig.level = level;
    rig.rises += level;
}

static uint8_t in(unsigned reg)
{
    return (uint8_t)rig.uart.ports.ops->read(rig.uart.ports.opaque, reg, 1);
}

static void out(unsigned reg, uint8_t value)
{
    rig.uart.ports.ops->write(rig.uart.ports.opaque, reg, 1, value);
}

static void pass(uint64_t cycles)
{
    guest_clock_advance(&rig.clock, rig.clock.now + cycles);
}

static void start(enum uart16550_speed speed)
{
    memset(&rig, 0, sizeof(rig));
    rig.sink_room = 1000;
    guest_clock_init(&rig.clock, HZ);
    struct uart16550_config config = {.clock = &rig.clock,
                                      .deadlines = &rig.clock.deadlines,
                                      .wire = {sink_write, sink_ready, &rig},
                                      .speed = speed,
                                      .base = 0x3f8,
                                      .name = "com1"};
    uart16550_init(&rig.uart, &config);
    irq_line_connect(&rig.uart.irq, line_changed, NULL, 4);
}

static void set_divisor(unsigned divisor)
{
    uint8_t lcr = in(LCR);

    out(LCR, lcr | 0x80);
    out(DLL, (uint8_t)divisor);
    out(DLM, (uint8_t)(divisor >> 8));
    out(LCR, lcr);
}

/* Edge k of the half-bit grid, by the formula. */
static uint64_t half_bit(uint64_t k, uint64_t divisor)
{
    return (k * HZ * divisor + 230399) / 230400;
}

static void test_reset_state(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    assert_int_equal(rig.uart.ports.base, 0x3f8);
    assert_int_equal(in(IER), 0);
    assert_int_equal(in(IIR), 0x01);
    assert_int_equal(in(LCR), 0x03);
    assert_int_equal(in(MCR), 0);
    assert_int_equal(in(LSR), 0x60);
    assert_int_equal(in(MSR), 0xb0);
    assert_int_equal(in(SCR), 0);
    out(LCR, 0x83);
    assert_int_equal(in(DLL), 12);
    assert_int_equal(in(DLM), 0);
    out(SCR, 0x5a);
    out(MCR, 0xff);
    out(LSR, 0xff);
    out(MSR, 0xff);
    assert_int_equal(in(SCR), 0x5a);
    assert_int_equal(in(MCR), 0x1f);
    assert_int_equal(in(LSR), 0x60);
    rig.uart.device.reset(rig.uart.device.opaque);
    assert_int_equal(in(LCR), 0x03);
    assert_int_equal(in(SCR), 0);
    assert_int_equal(rig.uart.deadline.when, DEADLINE_NEVER);
}

static void test_fast_output(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    for (const char *p = "Hello"; *p; p++) {
        assert_int_equal(in(LSR), 0x60);
        out(THR, (uint8_t)*p);
    }
    assert_string_equal(rig.out, "Hello");
    out(LCR, 0x02); /* 7 bits */
    out(THR, 0xc1);
    assert_int_equal(rig.out[5], 0x41);
}

static void test_thre_interrupt(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(MCR, 0x08);
    out(IER, 0x02);
    assert_true(rig.level);
    assert_int_equal(in(IIR), 0x02);
    assert_false(rig.level); /* the read ended it */
    assert_int_equal(in(IIR), 0x01);
    out(IER, 0x02); /* 1 over 1 */
    assert_false(rig.level);
    out(IER, 0x00);
    out(IER, 0x02); /* 0 to 1 */
    assert_true(rig.level);
    assert_int_equal(rig.rises, 2);
    out(THR, 'a'); /* falls by the write, rises because it is empty again: an edge for the PIC */
    assert_true(rig.level);
    assert_int_equal(rig.rises, 3);
    assert_int_equal(in(IIR), 0x02);
    out(THR, 'b');
    assert_int_equal(rig.rises, 4);
    /* IIR read while a higher cause shows does not end it. */
    feed("x");
    out(IER, 0x03);
    assert_int_equal(in(IIR), 0x04);
    assert_int_equal(in(RBR), 'x');
    assert_int_equal(in(IIR), 0x02);
    assert_int_equal(in(IIR), 0x01);
}

static void test_priorities(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(MCR, 0x08);
    out(IER, 0x0f);
    assert_int_equal(in(IIR), 0x02);
    uart16550_set_modem(&rig.uart, 0x30); /* carrier lost */
    assert_int_equal(in(IIR), 0x00);
    out(THR, 'a');
    assert_true(uart16550_receive_error(&rig.uart, 0, 0x18)); /* break */
    assert_int_equal(in(IIR), 0x06);
    assert_int_equal(in(LSR), 0x60 | 0x19);
    assert_int_equal(in(IIR), 0x04);
    assert_int_equal(in(RBR), 0);
    assert_int_equal(in(IIR), 0x02);
    assert_int_equal(in(IIR), 0x00);
    assert_true(rig.level);
    assert_int_equal(in(MSR), 0x38);
    assert_int_equal(in(IIR), 0x01);
    assert_false(rig.level);
    assert_int_equal(in(MSR), 0x30);
}

static void test_out2_gates_irq(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(IER, 0x02);
    assert_false(rig.level);
    out(MCR, 0x08);
    assert_true(rig.level);
    out(MCR, 0x03);
    assert_false(rig.level);
}

static void test_trigger_levels(void **unused)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    (void)unused;
    for (unsigned i = 0; i < 4; i++) {
        start(UART16550_FAST);
        out(MCR, 0x08);
        out(IER, 0x01);
        out(FCR, (uint8_t)(0x01 | i << 6));
        for (unsigned n = 1; n <= 16; n++) {
            assert_int_equal(feed("q"), 1);
            assert_int_equal(rig.level, n >= levels[i]);
        }
        assert_int_equal(feed("q"), 0);
        assert_int_equal(in(IIR), 0xc4);
        for (unsigned n = 15; n >= levels[i]; n--) {
            in(RBR);
            assert_true(rig.level);
        }
        in(RBR);
        assert_false(rig.level);
    }
}

static void test_receive_timeout(void **unused)
{
    (void)unused;
    for (unsigned speed = UART16550_FAST; speed <= UART16550_BAUD; speed++) {
        start(speed);
        set_divisor(1);
        out(MCR, 0x08);
        out(IER, 0x01);
        out(FCR, 0xc1);
        pass(12345);
        feed("ab");
        if (speed == UART16550_BAUD)
            pass(half_bit(20, 1) + 12345); /* one of them */
        uint64_t last = rig.clock.now;
        uint64_t whole = 0;
        if (speed == UART16550_BAUD) { /* it arrived at the frame's end, not now */
            last = half_bit(3 + 20, 1);
        }
        while (half_bit(whole, 1) <= last)
            whole += 2;
        uint64_t due = half_bit(whole + 4 * 20, 1);
        guest_clock_advance(&rig.clock, due - 1);
        assert_false(rig.level);
        assert_int_equal(in(IIR), 0xc1);
        guest_clock_advance(&rig.clock, due);
        assert_true(rig.level);
        assert_int_equal(in(IIR), 0xcc);
        assert_int_equal(in(RBR), 'a');
        assert_false(rig.level);
        pass(5 * half_bit(20, 1));
        assert_int_equal(rig.level, speed == UART16550_FAST); /* the second character times out again */
    }
}

/* With ERBFI off nobody can see it, so nothing stands in the queue; switching it on shows it at once. */
static void test_timeout_masked(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(MCR, 0x08);
    out(FCR, 0xc1);
    feed("a");
    assert_int_equal(rig.uart.deadline.when, DEADLINE_NEVER);
    pass(HZ);
    out(IER, 0x01);
    assert_true(rig.level);
    assert_int_equal(in(IIR), 0xcc);
}

static void test_timeout_over_trigger(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(IER, 0x01);
    out(FCR, 0x41);
    feed("abc");
    pass(HZ);
    assert_int_equal(in(IIR), 0xcc);
    feed("defg");
    assert_int_equal(in(IIR), 0xcc);
    in(RBR);
    assert_int_equal(in(IIR), 0xc4);
}

static void test_overrun(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    /* 16450 mode: the new character replaces the old one. */
    out(MCR, 0x10);
    out(THR, 'a');
    assert_int_equal(in(LSR), 0x61);
    out(THR, 'b');
    assert_int_equal(in(LSR), 0x63);
    assert_int_equal(in(LSR), 0x61);
    assert_int_equal(in(RBR), 'b');
    /* FIFO mode: the FIFO keeps what it has, the new one is lost and restarts nothing. */
    out(FCR, 0xc1);
    out(IER, 0x05);
    for (unsigned i = 0; i < 16; i++)
        out(THR, (uint8_t)i);
    uint64_t timeout = rig.uart.deadline.when;
    pass(1000000);
    out(THR, 99);
    assert_int_equal(rig.uart.deadline.when, timeout);
    assert_int_equal(in(IIR), 0xc6);
    assert_int_equal(in(LSR), 0x63);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(RBR), i);
    assert_int_equal(in(LSR), 0x60);
}

static void test_fifo_errors(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(FCR, 0x01);
    feed("a");
    assert_true(uart16550_receive_error(&rig.uart, 'b', 0x04));
    assert_true(uart16550_receive_error(&rig.uart, 'c', 0xff));
    feed("d");
    assert_int_equal(in(LSR), 0xe1); /* an error somewhere, not at the top */
    assert_int_equal(in(RBR), 'a');
    assert_int_equal(in(LSR), 0xe5);
    assert_int_equal(in(LSR), 0xe1);
    assert_int_equal(in(RBR), 'b');
    assert_int_equal(in(LSR), 0xfd); /* PE, FE, BI; OE is not a character's */
    assert_int_equal(in(LSR), 0x61);
}

static void test_error_bits_latch(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(FCR, 0x01);
    uart16550_receive_error(&rig.uart, 'a', 0x08);
    in(RBR);
    out(FCR, 0x03);
    assert_int_equal(in(LSR), 0xe8);
    assert_int_equal(in(LSR), 0x60);
}

static void test_rbr_repeats(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    feed("k");
    assert_int_equal(in(RBR), 'k');
    assert_int_equal(in(LSR)&1, 0);
    assert_int_equal(in(RBR), 'k');
}

static void test_flow_of_input(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    rig.waiting = "0123456789";
    rig.waiting += feed(rig.waiting); /* 16450 mode: 1 */
    assert_string_equal(rig.waiting, "123456789");
    for (char c = '0'; c <= '9'; c++)
        assert_int_equal(in(RBR), c); /* ready() refills each time */
    assert_int_equal(rig.readies, 9);
    assert_int_equal(in(LSR), 0x60);
    assert_int_equal(feed("abc"), 1);
    rig.waiting = NULL;
    in(RBR);
    in(RBR);
    assert_int_equal(rig.readies, 10); /* once, though nobody came */
    feed("z");
    assert_false(uart16550_receive_error(&rig.uart, 0, 0x18));
    out(FCR, 0x01); /* clears the FIFO: room */
    assert_int_equal(rig.readies, 11);
}

static void test_loopback_holds_input(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(MCR, 0x10);
    assert_int_equal(feed("a"), 0);
    assert_int_equal(rig.readies, 0);
    out(MCR, 0x0b);
    assert_int_equal(rig.readies, 1);
    assert_int_equal(feed("a"), 1);
    /* Under way when loopback begins: arrives. */
    start(UART16550_BAUD);
    feed("a");
    out(MCR, 0x10);
    pass(HZ);
    assert_int_equal(in(RBR), 'a');
}

static void test_loopback_gates_irq(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(IER, 0x01);
    out(MCR, 0x18);
    out(THR, 'a');
    assert_int_equal(rig.out_count, 0);
    assert_int_equal(in(IIR), 0x04);
    assert_false(rig.level);
    out(MCR, 0x08);
    assert_true(rig.level);
    assert_int_equal(in(RBR), 'a');
}

static void test_loopback_modem(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(MCR, 0x1f);
    assert_int_equal(in(MSR), 0xf0); /* all asserted; only RI changed, and its leading edge does not count */
    out(MCR, 0x1b);
    assert_int_equal(in(MSR), 0xb4); /* RI's trailing edge */
    out(MCR, 0x1a);
    assert_int_equal(in(MSR), 0x92); /* DTR is DSR */
    out(MCR, 0x10);
    assert_int_equal(in(MSR), 0x09); /* RTS is CTS, OUT2 is DCD */
    out(MCR, 0x00);
    assert_int_equal(in(MSR), 0xbb); /* back to the cable */
}

static void test_break(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(LCR, 0x43);
    out(THR, 'a');
    assert_int_equal(rig.out_count, 0);
    assert_int_equal(in(LSR), 0x60);
    out(MCR, 0x10);
    out(THR, 'b');
    assert_int_equal(in(RBR), 'b');
    out(MCR, 0x00);
    out(LCR, 0x03);
    out(THR, 'c');
    assert_string_equal(rig.out, "c");
}

static void test_fcr(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(FCR, 0xc0); /* without bit 0 nothing is programmed */
    assert_int_equal(in(IIR), 0x01);
    out(FCR, 0x81);
    feed("abc");
    out(FCR, 0x82); /* leaving FIFO mode clears it */
    assert_int_equal(in(LSR), 0x60);
    feed("d");
    out(FCR, 0x01);
    assert_int_equal(in(LSR), 0x60);
    feed("efg");
    out(FCR, 0x03);
    assert_int_equal(in(LSR), 0x60);
}

static void test_sink_full(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    out(MCR, 0x08);
    out(IER, 0x02);
    in(IIR);
    rig.sink_room = 1;
    out(THR, 'a');
    in(IIR);
    out(THR, 'b');
    assert_int_equal(in(LSR), 0x00);
    assert_false(rig.level);
    uart16550_room(&rig.uart); /* no room after all */
    assert_int_equal(in(LSR), 0x00);
    rig.sink_room = 1;
    uart16550_room(&rig.uart);
    assert_int_equal(in(LSR), 0x60);
    assert_true(rig.level);
    assert_string_equal(rig.out, "ab");
    uart16550_room(&rig.uart); /* nothing kept: nothing happens */
    assert_int_equal(in(IIR), 0x02);
    uart16550_room(&rig.uart);
    assert_int_equal(in(IIR), 0x01);
}

static void test_transmitter_overflow(void **unused)
{
    (void)unused;
    start(UART16550_FAST);
    rig.sink_room = 0;
    out(THR, 'a');
    out(THR, 'b');
    rig.sink_room = 1000;
    uart16550_room(&rig.uart);
    assert_string_equal(rig.out, "b");
    rig.sink_room = 0;
    out(FCR, 0x01);
    for (char c = 'A'; c < 'A' + 18; c++)
        out(THR, (uint8_t)c);
    rig.sink_room = 1000;
    uart16550_room(&rig.uart);
    assert_string_equal(rig.out, "bABCDEFGHIJKLMNOP");
}

static void test_fcr_clears_transmitter(void **unused)
{
    (void)unused;
    start(UART16550_BAUD);
    out(MCR, 0x08);
    out(FCR, 0x01);
    out(IER, 0x02);
    in(IIR);
    out(FCR, 0x05);
    assert_false(rig.level); /* it was empty */
    out(THR, 'a');
    out(THR, 'b');
    assert_int_equal(in(LSR), 0x00);
    out(FCR, 0x05);
    assert_int_equal(in(LSR), 0x60);
    assert_true(rig.level);
    pass(HZ);
    assert_int_equal(rig.out_count, 0);
}

static void test_baud_edges(void **unused)
{
    static const struct {
        uint8_t lcr;
        unsigned half_bits;
    } frames[] = {{0x03, 20}, {0x00, 14}, {0x04, 15}, {0x07, 22}, {0x0f, 24}, {0x1a, 20}};

    (void)unused;
    for (unsigned i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        for (unsigned divisor = 1; divisor <= 384; divisor *= 3) {
            start(UART16550_BAUD);
            out(LCR, frames[i].lcr);
            set_divisor(divisor);
            pass(777777);
            out(THR, 'U');
            uint64_t k = 0;
            while (half_bit(k, divisor) <= rig.clock.now)
                k += 2;
            guest_clock_advance(&rig.clock, half_bit(k, divisor) - 1);
            assert_int_equal(in(LSR), 0x00);
            pass(1);
            assert_int_equal(in(LSR), 0x20);      /* in the shift register */
            for (unsigned n = 1; n <= 100; n++) { /* keep it busy: no gap, no drift */
                out(THR, 'U');
                k += frames[i].half_bits;
                guest_clock_advance(&rig.clock, half_bit(k, divisor) - 1);
                assert_int_equal(rig.out_count, n - 1);
                pass(1);
                assert_int_equal(rig.out_count, n);
                assert_int_equal(rig.out_when[n - 1], half_bit(k, divisor));
            }
            k += frames[i].half_bits;
            guest_clock_advance(&rig.clock, half_bit(k, divisor) - 1);
            assert_int_equal(in(LSR), 0x20);
            pass(1);
            assert_int_equal(in(LSR), 0x60);
            assert_int_equal(rig.uart.deadline.when, DEADLINE_NEVER);
        }
    }
}

static void test_baud_divisor_change(void **unused)
{
    (void)unused;
    start(UART16550_BAUD);
    set_divisor(3);
    out(THR, 'a');
    pass(half_bit(2, 3));
    out(THR, 'b');
    set_divisor(7);
    uint64_t end = half_bit(22, 3);
    guest_clock_advance(&rig.clock, end);
    assert_int_equal(rig.out_count, 1);
    uint64_t k = 0;
    while (half_bit(k, 7) < end)
        k++;
    pass(HZ);
    assert_int_equal(rig.out_when[1], half_bit(k + 20, 7));
}

static void test_baud_thre_delay(void **unused)
{
    (void)unused;
    start(UART16550_BAUD);
    set_divisor(1);
    out(MCR, 0x08);
    out(IER, 0x02);
    out(FCR, 0x01);
    in(IIR);
    out(THR, 'a'); /* the first after the change of mode: at once */
    guest_clock_advance(&rig.clock, half_bit(2, 1));
    assert_int_equal(in(LSR), 0x20);
    assert_int_equal(in(IIR), 0xc2);
    out(THR, 'b'); /* one in the FIFO: 1 character less the last stop bit */
    guest_clock_advance(&rig.clock, half_bit(40, 1) - 1);
    assert_int_equal(in(LSR), 0x00);
    assert_false(rig.level);
    pass(1);
    assert_int_equal(in(LSR), 0x20);
    assert_true(rig.level);
    out(THR, 'c');
    out(THR, 'd'); /* two at once: no delay */
    guest_clock_advance(&rig.clock, half_bit(62, 1));
    assert_int_equal(in(LSR), 0x20);
    pass(HZ);
    assert_string_equal(rig.out, "abcd");
    out(FCR, 0x00); /* 16450 mode knows no delay */
    uint64_t k = 0;
    while (half_bit(k, 1) <= rig.clock.now)
        k += 2;
    out(THR, 'e');
    guest_clock_advance(&rig.clock, half_bit(k, 1));
    assert_int_equal(in(LSR), 0x20);
}

static void test_baud_receive(void **unused)
{
    (void)unused;
    start(UART16550_BAUD);
    set_divisor(1);
    out(FCR, 0x01);
    rig.waiting = "bcdef";
    pass(half_bit(9, 1) + 1);
    assert_int_equal(feed("a"), 1);
    assert_int_equal(feed("b"), 0);
    for (unsigned n = 0; n < 6; n++) { /* back to back from half bit 10 on */
        guest_clock_advance(&rig.clock, half_bit(10 + 20 * (n + 1), 1) - 1);
        assert_int_equal(in(LSR), 0x60);
        pass(1);
        assert_int_equal(in(LSR), 0x61);
        assert_int_equal(in(RBR), 'a' + n);
    }
    assert_int_equal(in(LSR), 0x60);
}

static void test_baud_stall(void **unused)
{
    (void)unused;
    start(UART16550_BAUD);
    set_divisor(1);
    out(FCR, 0x01);
    out(THR, 'a');
    out(THR, 'b');
    rig.sink_room = 0;
    guest_clock_advance(&rig.clock, half_bit(22, 1));
    assert_int_equal(in(LSR), 0x00); /* still in the shift register */
    uart16550_room(&rig.uart);
    assert_int_equal(rig.out_count, 0);
    rig.sink_room = 1000;
    pass(3); /* an access may end a little later; the next frame follows the grid all the same */
    uart16550_room(&rig.uart);
    assert_int_equal(in(LSR), 0x20);
    pass(HZ);
    assert_string_equal(rig.out, "ab");
    assert_int_equal(rig.out_when[1], half_bit(42, 1));
}

static void test_divisor_zero(void **unused)
{
    (void)unused;
    start(UART16550_BAUD);
    set_divisor(0);
    assert_int_equal(in(LSR), 0x60);
    out(THR, 'z');
    guest_clock_advance(&rig.clock, half_bit(22, 65536) - 1);
    assert_int_equal(rig.out_count, 0);
    pass(1);
    assert_int_equal(rig.out_count, 1);
    out(LCR, 0x83);
    assert_int_equal(in(DLL) | in(DLM), 0);
}

/* Any bytes as state: forced into range, and the device goes on working. */
static void test_restore_garbage(void **unused)
{
    (void)unused;
    for (unsigned seed = 0; seed < 256; seed++) {
        start(seed & 1 ? UART16550_BAUD : UART16550_FAST);
        pass(1000);
        for (size_t i = 0; i < sizeof(rig.uart.state); i++)
            ((uint8_t *)&rig.uart.state)[i] = (uint8_t)(seed * 37 + i * seed * 11 + i / 3);
        rig.uart.device.restored(rig.uart.device.opaque);
        pass(HZ);
        for (unsigned reg = 0; reg < 8; reg++)
            in(reg);
        rig.out_count = 0;
        rig.uart.device.reset(rig.uart.device.opaque);
        out(THR, 'k');
        pass(HZ);
        assert_int_equal(rig.out[0], 'k');
    }
    /* Saved in fast speed with a full sink, restored in baud speed: the character still goes out. */
    start(UART16550_FAST);
    rig.sink_room = 0;
    out(THR, 'q');
    struct uart16550_state saved = rig.uart.state;
    start(UART16550_BAUD);
    rig.uart.state = saved;
    rig.uart.device.restored(rig.uart.device.opaque);
    pass(HZ);
    assert_string_equal(rig.out, "q");
    /* And the other way round. */
    start(UART16550_BAUD);
    out(FCR, 0x01);
    out(THR, 'r');
    out(THR, 's');
    saved = rig.uart.state;
    start(UART16550_FAST);
    rig.uart.state = saved;
    rig.uart.device.restored(rig.uart.device.opaque);
    pass(HZ);
    assert_string_equal(rig.out, "rs");
}

static void test_no_sink(void **unused)
{
    struct uart16550_config config = {
        .clock = &rig.clock, .deadlines = &rig.clock.deadlines, .base = 0x2f8, .name = "com2"};

    (void)unused;
    start(UART16550_FAST);
    uart16550_init(&rig.uart, &config);
    out(THR, 'x');
    assert_int_equal(in(LSR), 0x60);
    assert_int_equal(feed("ab"), 1);
    assert_int_equal(in(RBR), 'a'); /* no ready() to call */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset_state),
        cmocka_unit_test(test_fast_output),
        cmocka_unit_test(test_thre_interrupt),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_out2_gates_irq),
        cmocka_unit_test(test_trigger_levels),
        cmocka_unit_test(test_receive_timeout),
        cmocka_unit_test(test_timeout_masked),
        cmocka_unit_test(test_timeout_over_trigger),
        cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_fifo_errors),
        cmocka_unit_test(test_error_bits_latch),
        cmocka_unit_test(test_rbr_repeats),
        cmocka_unit_test(test_flow_of_input),
        cmocka_unit_test(test_loopback_holds_input),
        cmocka_unit_test(test_loopback_gates_irq),
        cmocka_unit_test(test_loopback_modem),
        cmocka_unit_test(test_break),
        cmocka_unit_test(test_fcr),
        cmocka_unit_test(test_sink_full),
        cmocka_unit_test(test_transmitter_overflow),
        cmocka_unit_test(test_fcr_clears_transmitter),
        cmocka_unit_test(test_baud_edges),
        cmocka_unit_test(test_baud_divisor_change),
        cmocka_unit_test(test_baud_thre_delay),
        cmocka_unit_test(test_baud_receive),
        cmocka_unit_test(test_baud_stall),
        cmocka_unit_test(test_divisor_zero),
        cmocka_unit_test(test_restore_garbage),
        cmocka_unit_test(test_no_sink),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
