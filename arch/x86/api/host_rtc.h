/* The host's date, from its CMOS clock. */
#ifndef ARCH_X86_API_HOST_RTC_H
#define ARCH_X86_API_HOST_RTC_H

#include "lib/base.h"

/* Seconds since 1970 of the date that the host's clock shows; 0 when it has none. Reads each field; no
 * waiting beyond one update. */
uint64_t host_rtc_seconds(void);

#endif
