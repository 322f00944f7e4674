/*
 * The guest clock: the cycles that a guest consumed itself, and the only source of every clock that it can
 * read. Time moves in one function, guest_clock_advance(), which runs each deadline on the way at exactly its
 * own moment.
 *
 * Pure arithmetic, used by the run loop on the owning CPU and by host tests as it is.
 */
#ifndef HV_CLOCK_H
#define HV_CLOCK_H

#include "hv/devapi/clock.h"
#include "hv/deadline.h"

struct guest_clock {
    uint64_t now;                    /* guest cycles since reset */
    uint64_t hz;                     /* guest cycles per guest second */
    struct deadline_queue deadlines; /* all timers of the VM */
};
_Static_assert(offsetof(struct guest_clock, now) == 0, "guest_clock_now() reads the first field");

void guest_clock_init(struct guest_clock *clock, uint64_t hz);

/*
 * guest_clock_advance() moves the clock to `to` (not back: an earlier moment only runs what is due now),
 * running every deadline due by then in order, each with the clock standing on its own moment. A callback
 * that set a deadline in the past is run at the clock's present moment.
 */
void guest_clock_run_deadlines(struct guest_clock *clock, uint64_t to);

static inline void guest_clock_advance(struct guest_clock *clock, uint64_t to)
{
    if (__builtin_expect(deadline_queue_next(&clock->deadlines) > to && to >= clock->now, 1))
        clock->now = to;
    else
        guest_clock_run_deadlines(clock, to);
}

#endif
