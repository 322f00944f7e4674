/* The host's 16550 driver on a fake register file: at ports, in memory with registers of a byte side by side,
 * of 32 bits, and of a byte four apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_16550.h"

static const struct host_serial_line as_it_is = {0, 8, 1, 'n'};
static const struct uart_place places[] = {
    {.memory = false, .stride = 1, .width = 8, .address = 0xC060},
    {.memory = true, .stride = 1, .width = 8, .address = 0xFEB00000},
    {.memory = true, .stride = 4, .width = 32, .address = 0xFE034000},
    {.memory = true, .stride = 4, .width = 8, .address = 0xFE034004},
};
#define PLACES ARRAY_SIZE(places)

static struct fake_16550 fake;
static struct uart uart;

static struct fake_16550 *fake_at(bool memory, uint64_t address)
{
    bool here = fake.stride && memory == fake.memory && address >= fake.address &&
                address < fake.address + 8 * fake.stride;

    return here ? &fake : NULL;
}

/* A chip as firmware may leave it: 57600, 7e2, interrupts on, the divisor latch open. */
static void make(const struct uart_place *place)
{
    fake = (struct fake_16550){.memory = place->memory,
                               .stride = place->stride,
                               .width = place->width,
                               .address = place->address,
                               .dll = 2,
                               .ier = 0x0F,
                               .lcr = 0x9E,
                               .mcr = 0x08};
    uart = (struct uart){.place = *place, .memory = (volatile uint8_t *)(uintptr_t)place->address};
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
    for (size_t i = 0; i < ARRAY_SIZE(cases) * PLACES; i++) {
        make(&places[i % PLACES]);
        assert_true(uart_open(&uart, cases[i / PLACES].line));
        assert_int_equal(fake.lcr, cases[i / PLACES].control);
        assert_int_equal(fake.dll | fake.dlm << 8, cases[i / PLACES].line.divisor);
        assert_int_equal(fake.ier, 0);
        assert_int_equal(fake.fcr, 0x07);
        assert_int_equal(fake.mcr, 0x03);
    }
}

static void test_auto_keeps_the_divisor(void **unused)
{
    const uint16_t divisors[] = {1, 2, 12, 0x100, 0x900, 0xFFFF};

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(divisors) * PLACES; i++) {
        uint16_t divisor = divisors[i / PLACES];

        make(&places[i % PLACES]);
        fake.dll = (uint8_t)divisor;
        fake.dlm = (uint8_t)(divisor >> 8);
        assert_true(uart_open(&uart, as_it_is));
        assert_int_equal(fake.dll | fake.dlm << 8, divisor);
        assert_int_equal(fake.divisor_writes, 0);
        assert_int_equal(fake.lcr, 0x03); /* the format is forced all the same */
        assert_int_equal(fake.ier, 0);
    }
}

static void test_auto_without_a_divisor(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PLACES; i++) {
        make(&places[i]);
        fake.dll = 0;
        assert_true(uart_open(&uart, as_it_is));
        assert_int_equal(fake.dll | fake.dlm << 8, 1);
        make(&places[i]);
        fake.dll = 0;
        uart.place.baud = 9600;
        assert_true(uart_open(&uart, as_it_is));
        assert_int_equal(fake.dll | fake.dlm << 8, 12);
    }
}

static void test_probing(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PLACES; i++) {
        make(&places[i]);
        fake.no_loopback = true;
        assert_true(uart_open(&uart, as_it_is));
        make(&places[i]);
        fake.no_scratch = true; /* an 8250 */
        fake.no_fifo = true;
        assert_true(uart_open(&uart, as_it_is));
        assert_int_equal(uart_write(&uart, (const uint8_t *)"ab", 2), 1);
        make(&places[i]);
        fake.no_scratch = fake.no_loopback = true; /* something else */
        assert_false(uart_open(&uart, as_it_is));
        assert_true(fake.mcr == 0x08 && fake.lcr == 0x9E && fake.dll == 2);
    }
}

static void test_absent(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PLACES; i++) {
        make(&places[i]);
        fake.stride = 0;
        fake_accesses = 0;
        assert_false(uart_open(&uart, as_it_is));
        assert_int_equal(fake_accesses, 1);
    }
}

static void test_vanished(void **unused)
{
    uint8_t bytes[16];

    (void)unused;
    for (size_t i = 0; i < PLACES; i++) {
        make(&places[i]);
        assert_true(uart_open(&uart, as_it_is));
        fake.stride = 0;
        fake_accesses = 0;
        uart_write_all(&uart, (const uint8_t *)"gone", 4);
        uart_drain(&uart);
        assert_int_equal(uart_read(&uart, bytes, sizeof bytes), 0);
        assert_true(fake_accesses < 10);
    }
}

static void test_bytes_both_ways(void **unused)
{
    static const char text[] = "forty bytes go out in three bursts here.";
    uint8_t bytes[8];

    (void)unused;
    for (size_t i = 0; i < PLACES; i++) {
        make(&places[i]);
        assert_true(uart_open(&uart, as_it_is));
        assert_int_equal(uart_write(&uart, (const uint8_t *)text, 40), 16);
        uart_write_all(&uart, (const uint8_t *)text + 16, 24);
        assert_int_equal(fake.sent_count, 40);
        assert_memory_equal(fake.sent, text, 40);
        memcpy(fake.received, "\xFF keys", 6);
        fake.received_count = 6;
        assert_int_equal(uart_read(&uart, bytes, 4), 4);
        assert_int_equal(uart_read(&uart, bytes + 4, 4), 2);
        assert_memory_equal(bytes, "\xFF keys", 6);
    }
}

/* What a boot loader sent last leaves before the rate changes and the FIFO is cleared; one that never gets
 * rid of it isn't waited for. */
static void test_last_bytes(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PLACES; i++) {
        make(&places[i]);
        fake.sends_on = 5000;
        assert_true(uart_open(&uart, (struct host_serial_line){1, 8, 1, 'n'}));
        assert_int_equal(fake.sends_on, 0);
        assert_int_equal(fake.dll, 1);
        fake.busy = true;
        fake_accesses = 0;
        assert_true(uart_open(&uart, as_it_is));
        assert_true(fake_accesses < 200000);
    }
}

static void test_stuck_transmitter_ends(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < PLACES; i++) {
        make(&places[i]);
        assert_true(uart_open(&uart, as_it_is));
        uart_write_all(&uart, (const uint8_t *)"hello", 5);
        assert_memory_equal(fake.sent, "hello", 5);
        fake.busy = true;
        if (i == 0) /* the long wait, once */
            uart_write_all(&uart, (const uint8_t *)"lost", 4);
        else
            uart.stuck = true;
        assert_true(uart.stuck);
        fake_accesses = 0;
        uart_write_all(&uart, (const uint8_t *)"lost too", 8); /* no more waiting */
        uart_drain(&uart);
        assert_int_equal(uart_write(&uart, (const uint8_t *)"so too", 6), 6);
        assert_true(fake_accesses < 10);
        assert_int_equal(fake.sent_count, 5);
        fake.busy = false;
        uart_write_all(&uart, (const uint8_t *)"!", 1);
        assert_int_equal(fake.sent[5], '!');
        assert_false(uart.stuck);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_settings),
        cmocka_unit_test(test_auto_keeps_the_divisor),
        cmocka_unit_test(test_auto_without_a_divisor),
        cmocka_unit_test(test_probing),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_vanished),
        cmocka_unit_test(test_bytes_both_ways),
        cmocka_unit_test(test_last_bytes),
        cmocka_unit_test(test_stuck_transmitter_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
