/* The host's UARTs: what is written to a PC16550D's registers, and ports where nothing answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/api/serial.h"
#include "arch/x86/asm.h"

/* A 16550 at 3F8h: its registers as last written, what was sent, and whether it takes anything. */
static struct {
    uint8_t divisor_low, divisor_high, line_control, interrupt_enable, fifo_control, modem_control, scratch;
    uint8_t sent[64];
    unsigned sent_count;
    bool busy;
} uart;
static unsigned long accesses;

void outb(uint16_t port, uint8_t value)
{
    bool latch = uart.line_control & 0x80;

    accesses++;
    switch (port) {
    case 0x3F8:
        if (latch)
            uart.divisor_low = value;
        else
            uart.sent[uart.sent_count++ % sizeof uart.sent] = value;
        break;
    case 0x3F9:
        *(latch ? &uart.divisor_high : &uart.interrupt_enable) = value;
        break;
    case 0x3FA:
        uart.fifo_control = value;
        break;
    case 0x3FB:
        uart.line_control = value;
        break;
    case 0x3FC:
        uart.modem_control = value;
        break;
    case 0x3FF:
        uart.scratch = value;
        break;
    default:
        break;
    }
}

uint8_t inb(uint16_t port)
{
    accesses++;
    if (port == 0x3FF)
        return uart.scratch;
    if (port == 0x3FD)
        return uart.busy ? 0 : 0x60;
    return 0xFF;
}

uint32_t inl(uint16_t port)
{
    (void)port;
    return UINT32_MAX;
}

static void test_line_settings(void **unused)
{
    static const struct {
        struct host_serial_line line;
        uint8_t control;
    } cases[] = {
        {{1, 8, 1, 'n'}, 0x03},    {{12, 7, 1, 'e'}, 0x1A}, {{3, 7, 2, 'o'}, 0x0E},
        {{2304, 5, 1, 'n'}, 0x00}, {{6, 6, 2, 'e'}, 0x1D},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        memset(&uart, 0, sizeof uart);
        assert_true(host_serial_open(0, cases[i].line));
        assert_int_equal(uart.line_control, cases[i].control);
        assert_int_equal(uart.divisor_low | uart.divisor_high << 8, cases[i].line.divisor);
        assert_int_equal(uart.interrupt_enable, 0);
        assert_int_equal(uart.fifo_control, 0x07);
        assert_int_equal(uart.modem_control & 0x03, 0x03);
    }
}

static void test_absent(void **unused)
{
    (void)unused;
    assert_false(host_serial_open(1, (struct host_serial_line){1, 8, 1, 'n'}));
    assert_int_equal(host_serial_write(1, (const uint8_t *)"abc", 3), 3);
    uint8_t byte;
    assert_int_equal(host_serial_read(1, &byte, 1), 0);
}

static void test_stuck_transmitter_ends(void **unused)
{
    (void)unused;
    memset(&uart, 0, sizeof uart);
    assert_true(host_serial_open(0, (struct host_serial_line){1, 8, 1, 'n'}));
    host_serial_write_all(0, (const uint8_t *)"hello", 5);
    assert_memory_equal(uart.sent, "hello", 5);
    uart.busy = true;
    host_serial_write_all(0, (const uint8_t *)"lost", 4);
    accesses = 0;
    host_serial_write_all(0, (const uint8_t *)"lost too", 8); /* no more waiting */
    host_serial_drain();
    assert_true(accesses < 10);
    uart.busy = false;
    host_serial_write_all(0, (const uint8_t *)"!", 1);
    assert_int_equal(uart.sent[5], '!');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_settings),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_stuck_transmitter_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
