/* The guest clock; the contract is in clock.h. */
#include "hv/clock.h"

void guest_clock_init(struct guest_clock *clock, uint64_t hz)
{
    clock->now = 0;
    clock->hz = hz;
    deadline_queue_init(&clock->deadlines);
}

uint64_t guest_clock_hz(const struct guest_clock *clock)
{
    return clock->hz;
}

void guest_clock_run_deadlines(struct guest_clock *clock, uint64_t to)
{
    if (to < clock->now)
        to = clock->now;
    while (deadline_queue_next(&clock->deadlines) <= to) {
        uint64_t when = deadline_queue_next(&clock->deadlines);
        struct deadline *deadline = deadline_queue_take(&clock->deadlines, when);

        if (when > clock->now)
            clock->now = when;
        deadline->fire(deadline->opaque, when);
    }
    clock->now = to;
}
