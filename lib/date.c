/* Gregorian dates; the contract is in date.h. */
#include "lib/date.h"

uint64_t date_days(unsigned year, unsigned month, unsigned day)
{
    static const uint16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    unsigned past = year - 1;
    uint64_t days = (uint64_t)year * 365 + past / 4 - past / 100 + past / 400;
    const uint64_t days_1970 = UINT64_C(1970) * 365 + 1969 / 4 - 1969 / 100 + 1969 / 400;

    return days - days_1970 + before[month - 1] + day - 1 + (leap && month > 2);
}
