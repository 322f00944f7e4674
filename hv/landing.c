/* Landing; the contract is in landing.h. */
#include "hv/landing.h"

#define LEAD_SHARE  8u /* the lead is at most 1/8 of the gap, and moves by 1/8 of the error */
#define WINDOW_MOST UINT64_C(100000)

void landing_init(struct landing *landing, uint64_t spread, uint64_t grain, bool exact)
{
    *landing = (struct landing){.grain = grain, .fixed = spread == 0};
    if (spread) {
        landing->lead = spread;
        landing->window = exact ? 0 : 2 * spread;
    }
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

static void adapt(struct landing *landing, uint64_t early, uint64_t late)
{
    if (landing->fixed)
        return;
    if (late)
        landing->lead += late;
    else if (early > landing->window / 2)
        landing->lead -= MIN(landing->lead, early - landing->window / 2) / LEAD_SHARE;
    if (landing->window)
        landing->window = MAX(landing->window, MIN(2 * landing->lead, WINDOW_MOST));
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
    if (early > landing->window)
        return 0;
    landing->landed++;
    count(landing, early + behind);
    if (late) {
        landing->late++;
        landing->worst_late = MAX(landing->worst_late, behind);
    }
    adapt(landing, early, late ? behind : 0);
    if (early)
        landing->snaps++;
    return early;
}
