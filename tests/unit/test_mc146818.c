/*
 * The MC146818 against the data sheet: each register, flag and interrupt at its exact guest cycle, and one
 * test for each numbered choice in devices/mc146818.c. The random comparison with a slow model is
 * test_mc146818_model.c, the calendar's test_mc146818_calendar.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "devices/mc146818.h"
#include "hv/clock.h"

#define HZ 999999937u /* nothing divides it */

static struct guest_clock guest;
static struct mc146818 rtc;
static uint64_t rises[64];
static unsigned rise_count;

static void line_changed(void *opaque, unsigned input, bool level)
{
    assert_ptr_equal(opaque, &rtc);
    assert_int_equal(input, 8);
    if (level && rise_count < ARRAY_SIZE(rises))
        rises[rise_count++] = guest.now;
}

static int setup(void **state)
{
    (void)state;
    guest_clock_init(&guest, HZ);
    mc146818_init(&rtc, &guest, &guest.deadlines);
    irq_line_connect(&rtc.irq, line_changed, &rtc, 8);
    rise_count = 0;
    return 0;
}

static uint64_t tick(uint64_t k)
{
    return (uint64_t)(((unsigned __int128)k * HZ + 32767) / 32768);
}

static void at(uint64_t cycle)
{
    assert_true(cycle >= guest.now);
    guest_clock_advance(&guest, cycle);
}

static void out(unsigned index, unsigned value)
{
    rtc.region.ops->write(rtc.region.opaque, 0, 1, index);
    rtc.region.ops->write(rtc.region.opaque, 1, 1, value);
}

static unsigned in(unsigned index)
{
    rtc.region.ops->write(rtc.region.opaque, 0, 1, index);
    return (unsigned)rtc.region.ops->read(rtc.region.opaque, 1, 1);
}

static void test_power_on(void **state)
{
    (void)state;
    assert_int_equal(in(0x0a), 0x26);
    assert_int_equal(in(0x0b), 0x02);
    assert_int_equal(in(0x0c), 0x00);
    static const uint8_t date[][2] = {{0, 0},    {2, 0},    {4, 0},    {6, 7}, /* a Saturday */
                                      {7, 0x01}, {8, 0x01}, {9, 0x00}, {0x32, 0x20}};
    for (unsigned i = 0; i < ARRAY_SIZE(date); i++)
        assert_int_equal(in(date[i][0]), date[i][1]);
    assert_null(guest.deadlines.first); /* nothing is enabled: nothing to wait for */
    assert_int_equal(rtc.region.base, 0x70);
    assert_int_equal(rtc.region.length, 2);
}

static void test_seconds_are_exact(void **state)
{
    (void)state;
    mc146818_set_time(&rtc, 1709251195); /* 2024-02-29 23:59:55 */
    for (unsigned s = 1; s < 5; s++) {
        at((uint64_t)s * HZ - 1);
        assert_int_equal(in(0), 0x54 + s);
        at((uint64_t)s * HZ);
        assert_int_equal(in(0), 0x55 + s);
    }
    assert_int_equal(in(7), 0x29);
    at(5u * (uint64_t)HZ);
    assert_int_equal(in(0) | in(2) | in(4), 0);
    assert_int_equal(in(7), 0x01);
    assert_int_equal(in(8), 0x03);
    at((uint64_t)86400 * 365 * HZ + 5u * (uint64_t)HZ); /* a year later in one leap */
    assert_int_equal(in(7), 0x01);
    assert_int_equal(in(8), 0x03);
    assert_int_equal(in(9), 0x25);
}

static void test_periodic_rates(void **state)
{
    static const unsigned hz[] = {0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2};

    (void)state;
    for (unsigned rate = 0; rate < 16; rate++) {
        setup(NULL);
        out(0x0a, 0x20 | rate);
        out(0x0b, 0x42);
        for (unsigned k = 1; k <= 20; k++) {
            if (rate == 0) {
                at((uint64_t)k * HZ);
                assert_int_equal(rise_count, 0);
                continue;
            }
            uint64_t edge = tick((uint64_t)k * (32768 / hz[rate]));
            at(edge - 1);
            assert_false(rtc.irq.level);
            at(edge);
            assert_true(rtc.irq.level);
            assert_int_equal(rises[k - 1], edge);
            assert_int_equal(in(0x0c) & 0xef, 0xc0);
            assert_false(rtc.irq.level);
        }
    }
}

static void test_flags_without_enables(void **state)
{
    (void)state;
    out(1, 0xff);
    out(3, 0xff);
    out(5, 0xff);
    at(HZ - 1);
    assert_int_equal(in(0x0c), 0x40);
    assert_int_equal(in(0x0c), 0x00);
    at(HZ);
    assert_int_equal(in(0x0c), 0x70);
    at(3u * (uint64_t)HZ);
    out(0x0b, 0x12); /* UF stands already: IRQF at once */
    assert_true(rtc.irq.level);
    out(0x0b, 0x02);
    assert_false(rtc.irq.level);
    out(0x0b, 0x32);
    assert_int_equal(in(0x0c), 0xf0);
    assert_false(rtc.irq.level);
    assert_int_equal(guest.deadlines.fired, 0);
}

static void test_update_ended_interrupt(void **state)
{
    (void)state;
    out(0x0b, 0x12);
    at(3u * (uint64_t)HZ + 5);
    assert_int_equal(rise_count, 1); /* not read: stays up */
    assert_int_equal(rises[0], HZ);
    assert_null(guest.deadlines.first);
    in(0x0c);
    at(5u * (uint64_t)HZ);
    assert_int_equal(rise_count, 2);
    assert_int_equal(rises[1], 4u * (uint64_t)HZ);
}

static void test_alarm_interrupt(void **state)
{
    (void)state;
    out(1, 0x30);
    out(3, 0x01);
    out(5, 0xc0); /* any hour */
    out(0x0b, 0x22);
    at((uint64_t)4000 * HZ);
    assert_int_equal(rise_count, 1);
    assert_int_equal(rises[0], (uint64_t)90 * HZ);
    assert_int_equal(in(0x0c), 0xf0);
    at((uint64_t)8000 * HZ);
    assert_int_equal(rises[1], (uint64_t)3690 * HZ + (uint64_t)3600 * HZ);
    out(5, 0x05);
    in(0x0c);
    at((uint64_t)200000 * HZ);
    assert_int_equal(rises[2], (uint64_t)(5 * 3600 + 90) * HZ);
    assert_int_equal(guest.deadlines.fired, 3);
    out(1, 0x7f); /* no such second */
    in(0x0c);
    assert_null(guest.deadlines.first);
    at((uint64_t)400000 * HZ);
    assert_int_equal(in(0x0c) & 0x20, 0);
}

static void test_set_and_formats(void **state)
{
    (void)state;
    out(0x0b, 0x84); /* SET, binary, 12 h */
    static const uint8_t time[][2] = {{0, 59}, {2, 59}, {4, 0x8b}, {6, 7},
                                      {7, 31}, {8, 12}, {9, 99},   {0x32, 19}};
    for (unsigned i = 0; i < ARRAY_SIZE(time); i++)
        out(time[i][0], time[i][1]);
    at(2u * (uint64_t)HZ);
    for (unsigned i = 0; i < ARRAY_SIZE(time); i++)
        assert_int_equal(in(time[i][0]), time[i][1]);
    out(0x0b, 0x04);
    at(3u * (uint64_t)HZ);
    static const uint8_t after[][2] = {{0, 0}, {2, 0}, {4, 12}, {6, 1}, {7, 1}, {8, 1}, {9, 0}, {0x32, 20}};
    for (unsigned i = 0; i < ARRAY_SIZE(after); i++)
        assert_int_equal(in(after[i][0]), after[i][1]);
}

static void test_ram_and_index(void **state)
{
    (void)state;
    for (unsigned i = 0x0e; i < 0x80; i++)
        out(i, i ^ 0x5a);
    for (unsigned i = 0x0e; i < 0x80; i++)
        assert_int_equal(in(i), i ^ 0x5a);
    assert_false(mc146818_nmi_masked(&rtc));
    assert_int_equal(in(0x80 | 0x33), 0x33 ^ 0x5a);
    assert_true(mc146818_nmi_masked(&rtc));
    mc146818_set_cmos(&rtc, 0x15, 0x80);
    mc146818_set_cmos(&rtc, 0x7f, 0x81);
    mc146818_set_cmos(&rtc, 0x0d, 0x55);
    mc146818_set_cmos(&rtc, 0x80, 0x55);
    assert_int_equal(in(0x15), 0x80);
    assert_int_equal(in(0x7f), 0x81);
    assert_int_equal(in(0x0d), 0x80);
}

static void test_choice_1(void **state)
{
    (void)state;
    out(0x0b, 0x12);
    for (unsigned s = 1; s < 4; s++) {
        at(tick(s * 32768u - 8) - 1);
        assert_int_equal(in(0x0a), 0x26);
        at(tick(s * 32768u - 8));
        assert_int_equal(in(0x0a), 0xa6);
        at((uint64_t)s * HZ - 1);
        assert_int_equal(in(0x0a), 0xa6);
        assert_int_equal(in(0), s - 1);
        assert_false(rtc.irq.level);
        at((uint64_t)s * HZ);
        assert_int_equal(in(0x0a), 0x26);
        assert_int_equal(in(0), s);
        assert_true(rtc.irq.level);
        in(0x0c);
    }
}

static void test_choice_2(void **state)
{
    (void)state;
    for (unsigned divider = 0; divider < 8; divider++) {
        setup(NULL);
        at(12345);
        out(0x0a, divider << 4 | 6);
        at(3u * (uint64_t)HZ + 77);
        assert_int_equal(in(0), divider == 2 ? 3 : 0);
        if (divider == 2)
            continue;
        out(0x0a, 0x26);
        uint64_t released = guest.now;
        at(released + (HZ + 1) / 2 - 1); /* 500 ms, rounded up */
        assert_int_equal(in(0), 0);
        assert_int_equal(in(0x0a), 0xa6);
        at(released + (HZ + 1) / 2);
        assert_int_equal(in(0), 1);
        at(released + tick(16384 + 32768) - 1);
        assert_int_equal(in(0), 1);
        at(released + tick(16384 + 32768));
        assert_int_equal(in(0), 2);
        out(0x0a, 0x2f); /* a change of rate is no release */
        at(released + tick(16384 + 2 * 32768));
        assert_int_equal(in(0), 3);
    }
}

static void test_choice_3(void **state)
{
    (void)state;
    out(0x0b, 0x72);
    at(tick(32768 - 8));
    assert_true(rtc.irq.level);
    assert_int_equal(in(0x0a), 0xa6);
    out(0x0a, 0x76);
    assert_int_equal(in(0x0a), 0x76);
    assert_true(rtc.irq.level);
    assert_int_equal(in(0x0c), 0xc0);
    assert_null(guest.deadlines.first);
    at(10u * (uint64_t)HZ);
    assert_int_equal(in(0x0c), 0);
    assert_int_equal(in(0), 0);
}

static void test_choice_4(void **state)
{
    (void)state;
    at(HZ / 3);
    out(0x0b, 0x12);
    assert_non_null(guest.deadlines.first);
    out(0x0b, 0x92);
    assert_int_equal(in(0x0b), 0x82);
    assert_null(guest.deadlines.first);
    at(tick(3 * 32768 - 4));
    assert_int_equal(in(0x0a), 0x26);
    assert_int_equal(in(0x0c), 0x40); /* the periodic flag goes on */
    out(0x0b, 0x12);
    assert_int_equal(in(0x0a), 0xa6);
    at(3u * (uint64_t)HZ);
    assert_int_equal(rises[0], 3u * (uint64_t)HZ);
    assert_int_equal(in(0), 1);
}

static void test_choice_5(void **state)
{
    (void)state;
    mc146818_set_time(&rtc,
                      954640799); /* 2000-04-02 01:59:59, the US change of that spring by the chip's rule */
    out(0x0b, 0x03);
    assert_int_equal(in(0x0b), 0x03);
    at(HZ);
    assert_int_equal(in(4), 0x02);
}

static void test_choice_6(void **state)
{
    (void)state;
    at(tick(5));
    out(0x0a, 0x25); /* 2048 Hz: every 16 ticks */
    out(0x0b, 0x42);
    at(tick(16));
    assert_int_equal(rises[0], tick(16));
    in(0x0c);
    out(0x0a, 0x29); /* every 256 */
    at(tick(256));
    assert_int_equal(rises[1], tick(256));
    out(0x0b, 0x52);
    at(HZ - 1);
    in(0x0c);
    at(HZ);
    assert_int_equal(in(0x0c), 0xd0);
}

static void test_choice_7(void **state)
{
    (void)state;
    at(HZ / 2);
    out(1, 0x00);
    out(3, 0x00);
    out(5, 0x00);
    out(0x0b, 0x22);
    assert_int_equal(in(0x0c) & 0x20, 0);
    at((uint64_t)86400 * HZ - 1);
    assert_int_equal(rise_count, 0);
    at((uint64_t)86400 * HZ);
    assert_int_equal(rise_count, 1);
}

static void test_choice_8(void **state)
{
    (void)state;
    mc146818_set_time(&rtc, 13 * 3600 + 58);
    out(0x0b, 0x06); /* BCD 13:00:58 is now binary 19:00:88 */
    assert_int_equal(in(0), 0x58);
    assert_int_equal(in(4), 0x13);
    at(HZ);
    assert_int_equal(in(0), 0);
    assert_int_equal(in(2), 1);
    assert_int_equal(in(4), 0x13);
}

static void test_choice_9(void **state)
{
    (void)state;
    rtc.region.ops->write(rtc.region.opaque, 0, 1, 0x0b);
    assert_int_equal(rtc.region.ops->read(rtc.region.opaque, 0, 1), 0xff);
    out(0x0c, 0xff);
    out(0x0d, 0x00);
    out(0x0a, 0xa6); /* UIP is read-only */
    assert_int_equal(in(0x0c), 0);
    assert_int_equal(in(0x0d), 0x80);
    assert_int_equal(in(0x0a), 0x26);
}

static void test_choice_10(void **state)
{
    (void)state;
    out(0x40, 0x12);
    out(0x0b, 0x52);
    at((uint64_t)9 * HZ + 5);
    assert_true(rtc.irq.level);
    rtc.device.reset(rtc.device.opaque);
    assert_false(rtc.irq.level);
    assert_null(guest.deadlines.first);
    assert_int_equal(in(0x40), 0);
    assert_int_equal(in(0x09), 0);
    at((uint64_t)10 * HZ + 5); /* seconds count from the reset */
    assert_int_equal(in(0), 1);
}

static void test_restore_forces_ranges(void **state)
{
    (void)state;
    at(1000);
    assert_ptr_equal(rtc.device.state, &rtc.state);
    assert_int_equal(rtc.device.state_size, sizeof(rtc.state));
    memset(&rtc.state, 0xff, sizeof(rtc.state));
    rtc.state.cmos[0x0a] = 0xa6;
    rtc.device.restored(rtc.device.opaque);
    assert_int_equal(rtc.state.origin_cycles, 1000);
    assert_int_equal(rtc.state.halfway, 1);
    assert_int_equal(in(0x0a), 0x26);
    assert_int_equal(in(0x0b), 0xef);
    assert_int_equal(in(0x0c), 0xf0);
    assert_int_equal(in(0x0d), 0x80);
}

/* At the end of time deadlines saturate to "never". */
static void test_far_end(void **state)
{
    (void)state;
    at(UINT64_MAX - 5);
    out(0x0b, 0x12);
    in(0x0c);
    assert_null(guest.deadlines.first);
    assert_int_equal(in(0x0d), 0x80);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_power_on),
        T(test_seconds_are_exact),
        T(test_periodic_rates),
        T(test_flags_without_enables),
        T(test_update_ended_interrupt),
        T(test_alarm_interrupt),
        T(test_set_and_formats),
        T(test_ram_and_index),
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
        T(test_restore_forces_ranges),
        T(test_far_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
