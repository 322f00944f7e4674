/* Landing; the contract is in landing.h. */
#include "hv/landing.h"

#define LEAD_SHARE  8u /* the lead is at most 1/8 of the gap */
#define WINDOW_MOST UINT64_C(100000)
#define LATE_MOST                                                                                            \
    WINDOW_MOST       /* a later landing is no jitter of the timer (an SMI): counted, not adapted to */
#define PATIENCE 256u /* landings on time before the lead shrinks */

static void set_window(struct landing *landing)
{
    landing->window = landing->exact ? 0 : MIN(2 * landing->lead, WINDOW_MOST);
}

void landing_init(struct landing *landing, uint64_t spread, uint64_t grain, bool exact)
{
    *landing = (struct landing){
        .grain = grain, .spread = spread, .exact = exact, .lead = spread, .least_early = UINT64_MAX};
    set_window(landing);
}

uint64_t landing_lead(const struct landing *landing, uint64_t distance)
{
    /* A timer that keeps expiring before the guest's first instruction is aimed later until the guest moves.
     */
    if (landing->stuck > 1)
        return 0;
    return MIN(landing->lead, distance / LEAD_SHARE);
}

static void count(struct landing *landing, uint64_t gap)
{
    unsigned bucket = 0;

    for (uint64_t bound = 1; gap >= bound && bucket < LANDING_BUCKETS - 1; bound *= 10)
        bucket++;
    landing->histogram[bucket]++;
}

/*
 * The lead grows by what a landing was late, at once. It shrinks when of many landings none came near: by
 * half of what the nearest one left beyond a margin, never below the spread. So it settles a little above the
 * timer's worst jitter, and one bad landing is forgotten.
 */
static void adapt(struct landing *landing, uint64_t early, uint64_t late)
{
    if (late && late <= LATE_MOST)
        landing->lead += late;
    landing->least_early = MIN(landing->least_early, early);
    if (late) {
        landing->least_early = UINT64_MAX;
        landing->on_time = 0;
    } else if (++landing->on_time == PATIENCE) {
        uint64_t margin = landing->spread / 4;

        if (landing->least_early > margin)
            landing->lead -= MIN(landing->lead - landing->spread, (landing->least_early - margin + 1) / 2);
        landing->least_early = UINT64_MAX;
        landing->on_time = 0;
    }
    set_window(landing);
}

uint64_t landing_take(struct landing *landing, uint64_t distance, uint64_t consumed, bool aimed)
{
    uint64_t early = distance > consumed ? distance - consumed : 0;
    uint64_t behind = consumed > distance ? consumed - distance : 0;
    bool late = behind >= MAX(landing->grain, UINT64_C(1));

    if (!aimed && !late)
        return 0;
    if (aimed)
        landing->stuck = consumed ? 0 : landing->stuck + 1;
    uint64_t window = landing->window; /* this landing's; the next one has another */
    if (landing->spread && (late || landing->lead <= distance / LEAD_SHARE))
        adapt(landing, early, late ? behind : 0);
    if (early > window)
        return 0;
    landing->landed++;
    count(landing, early + behind);
    if (late) {
        landing->late++;
        landing->worst_late = MAX(landing->worst_late, behind);
    }
    if (early)
        landing->snaps++;
    return early;
}
