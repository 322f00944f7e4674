/*
 * The one clock that a device may read. `now` is in guest cycles since the guest's reset (docs/time.md).
 * While a deadline's callback runs, now is the moment for which that deadline was set, whatever the guest has
 * consumed since; during a bus access it is the end of the access's charge, and every deadline due by then
 * has run. So a device never sees a due deadline that has not run.
 */
#ifndef HV_DEVAPI_CLOCK_H
#define HV_DEVAPI_CLOCK_H

#include <stdint.h>

struct guest_clock;

/* Guest cycles. The clock's first field is its reading (hv/clock.h): nearly every register access asks for
 * it. */
static inline uint64_t guest_clock_now(const struct guest_clock *clock)
{
    return *(const uint64_t *)(const void *)clock;
}

/* Guest cycles per guest second; fixed for the life of a VM. */
uint64_t guest_clock_hz(const struct guest_clock *clock);

#endif
