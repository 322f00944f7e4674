/*
 * The MC146818's calendar; the contract is in mc146818_calendar.h.
 * Source: Motorola, "MC146818 Real-Time Clock plus RAM", "Address Map".
 */
#include "devices/mc146818_calendar.h"

#define HOUR_PM         0x80u
#define ALARM_ANY       0xc0u
#define DAYS_PER_400    146097u
#define DAYS_PER_10000  (25u * DAYS_PER_400)
#define DAYS_TO_1970    719528u /* from 0000-01-01 */
#define SECONDS_PER_DAY 86400u

static unsigned clamp(unsigned value, unsigned low, unsigned high)
{
    return value < low ? low : value > high ? high : value;
}

static unsigned decode(const uint8_t *cmos, unsigned byte)
{
    return cmos[RTC_B] & RTC_B_DM ? byte : (byte >> 4) * 10 + (byte & 15);
}

static uint8_t encode(const uint8_t *cmos, unsigned value)
{
    return (uint8_t)(cmos[RTC_B] & RTC_B_DM ? value : value / 10 * 16 + value % 10);
}

static unsigned get(const uint8_t *cmos, unsigned index, unsigned low, unsigned high)
{
    return clamp(decode(cmos, cmos[index]), low, high);
}

static unsigned decode_hour(const uint8_t *cmos, unsigned byte)
{
    if (cmos[RTC_B] & RTC_B_24H)
        return clamp(decode(cmos, byte), 0, 23);
    unsigned hour = clamp(decode(cmos, byte & ~HOUR_PM), 1, 12) % 12;

    return byte & HOUR_PM ? hour + 12 : hour;
}

static uint8_t encode_hour(const uint8_t *cmos, unsigned hour)
{
    if (cmos[RTC_B] & RTC_B_24H)
        return encode(cmos, hour);
    unsigned byte = encode(cmos, hour % 12 ? hour % 12 : 12);

    return (uint8_t)(hour >= 12 ? byte | HOUR_PM : byte);
}

/* ---- dates: years 0 to 9999, months and days from 1
 * ---------------------------------------------------------------- */

struct date {
    unsigned year;
    unsigned month;
    unsigned day;
};

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days of a year before the first of a month. */
static unsigned days_before_month(unsigned year, unsigned month)
{
    static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

    return before[month - 1] + (month > 2 && is_leap(year) ? 1u : 0u);
}

static unsigned month_length(unsigned year, unsigned month)
{
    return days_before_month(year, month + 1) - days_before_month(year, month);
}

/* Days from 0000-01-01 to the first of January of a year (which is a leap year itself). */
static unsigned days_before_year(unsigned year)
{
    unsigned leaps = year ? (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1 : 0;

    return year * 365 + leaps;
}

static unsigned date_to_days(const struct date *date)
{
    return days_before_year(date->year) + days_before_month(date->year, date->month) + date->day - 1;
}

/* days: below DAYS_PER_10000. */
static struct date date_from_days(unsigned days)
{
    struct date date;

    /* The mean year is 365.2425 days: the guess is off by one at most. */
    date.year = (unsigned)((uint64_t)days * 400 / DAYS_PER_400);
    if (date.year > 0 && days_before_year(date.year) > days)
        date.year--;
    else if (days_before_year(date.year + 1) <= days)
        date.year++;
    days -= days_before_year(date.year);
    date.month = 1;
    while (date.month < 12 && days_before_month(date.year, date.month + 1) <= days)
        date.month++;
    date.day = days - days_before_month(date.year, date.month) + 1;
    return date;
}

static void advance_date(uint8_t *cmos, uint64_t days)
{
    struct date from = {get(cmos, RTC_CENTURY, 0, 99) * 100 + get(cmos, RTC_YEAR, 0, 99),
                        get(cmos, RTC_MONTH, 1, 12), 0};

    from.day = get(cmos, RTC_DAY, 1, month_length(from.year, from.month));

    uint64_t target = date_to_days(&from) + days;
    struct date to = date_from_days((unsigned)(target % DAYS_PER_10000));
    uint64_t year = target / DAYS_PER_10000 * 10000 + to.year;
    unsigned weekday = get(cmos, RTC_WEEKDAY, 1, 7);

    cmos[RTC_WEEKDAY] = encode(cmos, (unsigned)((weekday - 1 + days) % 7 + 1));
    cmos[RTC_DAY] = encode(cmos, to.day);
    if (year == from.year && to.month == from.month)
        return;
    cmos[RTC_MONTH] = encode(cmos, to.month);
    if (year == from.year)
        return;
    cmos[RTC_YEAR] = encode(cmos, to.year % 100);
    if (year / 100 != from.year / 100)
        cmos[RTC_CENTURY] = encode(cmos, to.year / 100);
}

void mc146818_calendar_advance(uint8_t *cmos, uint64_t updates)
{
    if (updates == 0)
        return;
    uint64_t count = get(cmos, RTC_SECONDS, 0, 59) + updates % 60;
    uint64_t carry = updates / 60 + count / 60;

    cmos[RTC_SECONDS] = encode(cmos, (unsigned)(count % 60));
    if (carry == 0)
        return;
    count = get(cmos, RTC_MINUTES, 0, 59) + carry;
    carry = count / 60;
    cmos[RTC_MINUTES] = encode(cmos, (unsigned)(count % 60));
    if (carry == 0)
        return;
    count = decode_hour(cmos, cmos[RTC_HOURS]) + carry;
    carry = count / 24;
    cmos[RTC_HOURS] = encode_hour(cmos, (unsigned)(count % 24));
    if (carry)
        advance_date(cmos, carry);
}

/* ---- alarm
 * ---------------------------------------------------------------------------------------------------------
 */

#define VALUE_ANY  0x100u
#define VALUE_NONE 0x101u

/* The value for which the chip's counter holds exactly the alarm's byte. */
static unsigned alarm_value(const uint8_t *cmos, unsigned index)
{
    unsigned byte = cmos[index];

    if ((byte & ALARM_ANY) == ALARM_ANY)
        return VALUE_ANY;
    if (index == RTC_HOURS_ALARM) {
        unsigned hour = decode_hour(cmos, byte);

        return encode_hour(cmos, hour) == byte ? hour : VALUE_NONE;
    }
    unsigned value = clamp(decode(cmos, byte), 0, 59);

    return encode(cmos, value) == byte ? value : VALUE_NONE;
}

static bool matches_now(const uint8_t *cmos, unsigned alarm, unsigned time)
{
    return (cmos[alarm] & ALARM_ANY) == ALARM_ANY || cmos[alarm] == cmos[time];
}

/* The first value past `now` that an alarm value matches, up to `last`; VALUE_NONE if there is none. */
static unsigned next_match(unsigned alarm, unsigned now, unsigned last)
{
    unsigned next = alarm == VALUE_ANY ? now + 1 : alarm;

    return next > now && next <= last ? next : VALUE_NONE;
}

uint64_t mc146818_calendar_alarm(const uint8_t *cmos)
{
    unsigned seconds = get(cmos, RTC_SECONDS, 0, 59);
    unsigned minutes = get(cmos, RTC_MINUTES, 0, 59);
    unsigned hours = decode_hour(cmos, cmos[RTC_HOURS]);
    unsigned second = alarm_value(cmos, RTC_SECONDS_ALARM);
    unsigned minute = alarm_value(cmos, RTC_MINUTES_ALARM);
    unsigned hour = alarm_value(cmos, RTC_HOURS_ALARM);

    if (second == VALUE_NONE)
        return RTC_NEVER;
    if (matches_now(cmos, RTC_HOURS_ALARM, RTC_HOURS)) {
        unsigned next = next_match(second, seconds, 59);

        if (next != VALUE_NONE && matches_now(cmos, RTC_MINUTES_ALARM, RTC_MINUTES))
            return next - seconds;
        next = next_match(minute, minutes, 59);
        if (next != VALUE_NONE)
            return (next - minutes) * 60 - seconds + (second == VALUE_ANY ? 0 : second);
    }
    if (minute == VALUE_NONE || hour == VALUE_NONE)
        return RTC_NEVER;
    /* A later hour, today or tomorrow: the same hour of tomorrow at the latest. */
    unsigned ahead = hour == VALUE_ANY ? 1 : hour > hours ? hour - hours : hour + 24 - hours;

    return (ahead * 60 - minutes + (minute == VALUE_ANY ? 0 : minute)) * 60 - seconds +
           (second == VALUE_ANY ? 0 : second);
}

/* ---- setting
 * ------------------------------------------------------------------------------------------------------- */

void mc146818_calendar_set(uint8_t *cmos, uint64_t seconds_since_1970)
{
    uint64_t last = (uint64_t)(DAYS_PER_10000 - DAYS_TO_1970) * SECONDS_PER_DAY - 1;
    uint64_t seconds = MIN(seconds_since_1970, last);
    unsigned days = (unsigned)(seconds / SECONDS_PER_DAY) + DAYS_TO_1970;
    unsigned rest = (unsigned)(seconds % SECONDS_PER_DAY);
    struct date date = date_from_days(days);

    cmos[RTC_SECONDS] = encode(cmos, rest % 60);
    cmos[RTC_MINUTES] = encode(cmos, rest / 60 % 60);
    cmos[RTC_HOURS] = encode_hour(cmos, rest / 3600);
    cmos[RTC_WEEKDAY] = encode(cmos, (days + 6) % 7 + 1); /* 0000-01-01 was a Saturday */
    cmos[RTC_DAY] = encode(cmos, date.day);
    cmos[RTC_MONTH] = encode(cmos, date.month);
    cmos[RTC_YEAR] = encode(cmos, date.year % 100);
    cmos[RTC_CENTURY] = encode(cmos, date.year / 100);
}
