/* Gregorian dates. */
#ifndef LIB_DATE_H
#define LIB_DATE_H

#include "lib/base.h"

/* Days since 1970-01-01. year: 1970 and up; month: 1 to 12; day: 1 to 31. */
uint64_t date_days(unsigned year, unsigned month, unsigned day);

#endif
