/* The RTC's constant-time calendar against one-by-one counting (mc146818_naive.h) and against the C library's
 * dates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "devices/mc146818_calendar.h"
#include "tests/unit/mc146818_naive.h"

static uint64_t seed = 1;

static unsigned rnd(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static void random_time(uint8_t *cmos)
{
    static const uint8_t time_bytes[] = {0, 2, 4, 6, 7, 8, 9, 0x32};

    memset(cmos, 0, 128);
    cmos[RTC_B] = (uint8_t)(rnd(4) * 2);
    /* Shortly before some midnight of 0 to 9999, then now and then a byte of nonsense. */
    mc146818_calendar_set(cmos, 0);
    cmos[RTC_CENTURY] = naive_byte(cmos, rnd(2) ? 20 : (int)rnd(100));
    cmos[RTC_YEAR] = naive_byte(cmos, rnd(3) ? (int)rnd(100) : 99);
    cmos[RTC_MONTH] = naive_byte(cmos, 1 + (int)rnd(12));
    cmos[RTC_DAY] = naive_byte(cmos, rnd(2) ? 1 + (int)rnd(28) : naive_month_length(cmos));
    cmos[RTC_HOURS] = cmos[RTC_B] & RTC_B_24H ? naive_byte(cmos, 23) : naive_byte(cmos, 11) | 0x80;
    cmos[RTC_MINUTES] = naive_byte(cmos, 58);
    cmos[RTC_SECONDS] = naive_byte(cmos, (int)rnd(60));
    if (rnd(3) == 0)
        cmos[time_bytes[rnd(ARRAY_SIZE(time_bytes))]] = (uint8_t)rnd(256);
    if (rnd(6) == 0)
        for (unsigned i = 0; i < ARRAY_SIZE(time_bytes); i++)
            cmos[time_bytes[i]] = (uint8_t)rnd(256);
}

static void test_advance_equals_single_updates(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 3000; run++) {
        uint8_t fast[128], slow[128];
        unsigned count = rnd(4) ? rnd(300) : rnd(20000);

        random_time(fast);
        memcpy(slow, fast, sizeof(slow));
        mc146818_calendar_advance(fast, count);
        for (unsigned i = 0; i < count; i++)
            naive_update(slow);
        assert_memory_equal(fast, slow, sizeof(slow));
    }
}

/* Every midnight of a leap cycle and more: whole days by the naive model are cheap when it starts at
 * 23:59:59. */
static void test_every_day_of_400_years(void **state)
{
    uint8_t fast[128] = {0}, slow[128];
    uint64_t day = 0;

    (void)state;
    fast[RTC_B] = RTC_B_24H;
    mc146818_calendar_set(fast, 86399);
    memcpy(slow, fast, sizeof(slow));
    for (; day < 150000; day++) {
        naive_update(slow);
        slow[0] = slow[2] = 0x59;
        slow[4] = 0x23;
        uint8_t far[128];
        memcpy(far, fast, sizeof(far));
        mc146818_calendar_advance(far, (day + 1) * 86400);
        assert_memory_equal(far, slow, sizeof(far));
    }
}

static void test_long_jumps_add_up(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 20000; run++) {
        uint8_t once[128], twice[128];
        uint64_t a = (uint64_t)rnd(1u << 31) << rnd(32);
        uint64_t b = (uint64_t)rnd(1u << 31) << rnd(32);

        random_time(once);
        memcpy(twice, once, sizeof(once));
        mc146818_calendar_advance(once, a + b);
        mc146818_calendar_advance(twice, a);
        mc146818_calendar_advance(twice, b);
        if (a && b)
            assert_memory_equal(once, twice, sizeof(once));
    }
    uint8_t cmos[128] = {[RTC_B] = RTC_B_24H | RTC_B_DM, [RTC_DAY] = 31, [RTC_MONTH] = 12, [RTC_YEAR] = 99};
    cmos[RTC_CENTURY] = 99;
    cmos[RTC_WEEKDAY] = 6; /* 9999-12-31 is a Friday, 0000-01-01 a Saturday */
    mc146818_calendar_advance(cmos, 86400);
    assert_int_equal(cmos[RTC_WEEKDAY], 7);
    assert_int_equal(cmos[RTC_DAY] + cmos[RTC_MONTH], 2);
    assert_int_equal(cmos[RTC_YEAR] + cmos[RTC_CENTURY], 0);
    mc146818_calendar_advance(cmos, UINT64_MAX);
}

static void test_set_equals_gmtime(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 50000; run++) {
        uint8_t cmos[128] = {0};
        uint64_t seconds = ((uint64_t)rnd(1u << 31) << 10 | rnd(1024)) % 253402300800u;
        time_t t = (time_t)seconds;
        struct tm tm;

        if (run < 1000)
            t = (time_t)(seconds = (uint64_t)run * 86400 * 366 / 4);
        gmtime_r(&t, &tm);
        cmos[RTC_B] = RTC_B_24H | RTC_B_DM;
        mc146818_calendar_set(cmos, seconds);
        assert_int_equal(cmos[RTC_SECONDS], tm.tm_sec);
        assert_int_equal(cmos[RTC_MINUTES], tm.tm_min);
        assert_int_equal(cmos[RTC_HOURS], tm.tm_hour);
        assert_int_equal(cmos[RTC_WEEKDAY], tm.tm_wday + 1);
        assert_int_equal(cmos[RTC_DAY], tm.tm_mday);
        assert_int_equal(cmos[RTC_MONTH], tm.tm_mon + 1);
        assert_int_equal(cmos[RTC_CENTURY] * 100 + cmos[RTC_YEAR], tm.tm_year + 1900);
    }
    uint8_t cmos[128] = {0};
    mc146818_calendar_set(cmos, UINT64_MAX); /* BCD, 12 h: 9999-12-31 11:59:59 PM */
    assert_int_equal(cmos[RTC_HOURS], 0x91);
    assert_int_equal(cmos[RTC_SECONDS], 0x59);
    assert_int_equal(cmos[RTC_DAY], 0x31);
    assert_int_equal(cmos[RTC_MONTH], 0x12);
    assert_int_equal(cmos[RTC_YEAR], 0x99);
    assert_int_equal(cmos[RTC_CENTURY], 0x99);
}

static void test_hour_formats(void **state)
{
    static const uint8_t bcd12[] = {0x12, 0x01, 0x09, 0x10, 0x11, 0x92, 0x81, 0x91};
    static const uint8_t hours[] = {0, 1, 9, 10, 11, 12, 13, 23};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(hours); i++) {
        uint8_t cmos[128] = {0};

        mc146818_calendar_set(cmos, hours[i] * 3600u);
        assert_int_equal(cmos[RTC_HOURS], bcd12[i]);
    }
}

static void test_alarm_equals_search(void **state)
{
    unsigned found = 0;

    (void)state;
    for (unsigned run = 0; run < 600; run++) {
        uint8_t cmos[128], slow[128];
        uint64_t updates = 0;

        random_time(cmos);
        for (unsigned i = 0; i < 6; i += 2) {
            static const int last[] = {59, 0, 59, 0, 23};
            cmos[i + 1] = rnd(3) == 0   ? (uint8_t)(0xc0 + rnd(64))
                          : rnd(8) == 0 ? (uint8_t)rnd(256)
                          : rnd(4) == 0 ? cmos[i]
                                        : naive_byte(cmos, (int)rnd((unsigned)last[i] + 1));
        }
        if (rnd(2) && !(cmos[RTC_B] & RTC_B_24H) && cmos[RTC_HOURS_ALARM] < 0x40)
            cmos[RTC_HOURS_ALARM] |= 0x80;
        memcpy(slow, cmos, sizeof(slow));
        do {
            naive_update(slow);
            updates++;
        } while (!naive_alarm(slow) && updates < 180000);
        if (!naive_alarm(slow))
            updates = RTC_NEVER;
        else
            found++;
        assert_int_equal(mc146818_calendar_alarm(cmos), updates);
    }
    assert_in_range(found, 300, 599);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_advance_equals_single_updates),
        cmocka_unit_test(test_every_day_of_400_years),
        cmocka_unit_test(test_long_jumps_add_up),
        cmocka_unit_test(test_set_equals_gmtime),
        cmocka_unit_test(test_hour_formats),
        cmocka_unit_test(test_alarm_equals_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
