/* Measuring one clock with another; the contract is in rate.h. */
#include "arch/x86/rate.h"
#include "lib/ratio.h"

#define AS_PER_SECOND UINT64_C(1000000000000000000)
#define MEASURE_AS    (AS_PER_SECOND / 100) /* 10 ms */
#define COUNTS_MOST   100u                  /* times 10 ms: the most that one measurement may take */
#define TRIES         3
#define GOOD_PPM      500u
#define READS                                                                                                \
    8 /* at each end, of which the shortest counts: the first are slowed down by cold caches, any by an SMI  \
       */

enum outcome { DEAD, ODD, GOOD };

struct sample {
    uint64_t before, after; /* clock cycles around the read */
    uint32_t count;
};

uint64_t rate_per_second(uint64_t cycles, uint64_t units_per_second, uint64_t time, bool up)
{
    struct ratio ratio;

    ratio_init(&ratio, units_per_second, time);
    return up ? ratio_ceil(&ratio, cycles) : ratio_floor(&ratio, cycles);
}

static bool in_order(const struct rate_counter *counter, const struct sample *first,
                     const struct sample *second)
{
    return ((second->count - first->count) & counter->mask) <= counter->mask / 2;
}

/* The read that took least, among those that stand in order between their neighbours: some chip sets' PM
 * timers give a wrong value now and then. */
static bool take_sample(const struct rate_counter *counter, rate_clock *clock, struct sample *best)
{
    struct sample samples[READS];
    bool found = false;

    for (unsigned i = 0; i < READS; i++) {
        samples[i].before = clock();
        samples[i].count = counter->read(counter->device) & counter->mask;
        samples[i].after = clock();
    }
    for (unsigned i = 1; i < READS - 1; i++) {
        const struct sample *s = &samples[i];

        if (!in_order(counter, s - 1, s) || !in_order(counter, s, s + 1))
            continue;
        if (!found || s->after - s->before < best->after - best->before)
            *best = *s;
        found = true;
    }
    return found;
}

/* Waits until `wanted` counts have passed since `first`; GOOD with the counter's step. */
static enum outcome wait_for(const struct rate_counter *counter, rate_clock *clock,
                             const struct sample *first, uint64_t wanted, uint32_t *step)
{
    uint32_t now, previous = first->count, least = UINT32_MAX;
    bool seen_twice = false;

    for (;;) {
        bool late = clock() - first->after >
                    RATE_TIMEOUT_CYCLES; /* before the read: a pause between the two is no dead counter */

        now = counter->read(counter->device) & counter->mask;
        if (now == previous)
            seen_twice = true;
        else
            least = MIN(least, (now - previous) & counter->mask);
        previous = now;
        if (((now - first->count) & counter->mask) >= wanted)
            break;
        if (late)
            return DEAD;
    }
    *step = seen_twice ? least : 1;
    return GOOD;
}

static enum outcome measure_once(const struct rate_counter *counter, rate_clock *clock,
                                 struct rate_interval *interval)
{
    uint64_t wanted = MEASURE_AS / counter->period_low_as + 1, counts;
    struct sample first, last;
    uint32_t step;

    if (!take_sample(counter, clock, &first))
        return ODD;
    if (wait_for(counter, clock, &first, wanted, &step) == DEAD)
        return DEAD;
    if (!take_sample(counter, clock, &last))
        return ODD;
    counts = (last.count - first.count) & counter->mask;
    /* Too few: a stray read ended the wait. Too many: a pause, which may have hidden a wrap. */
    if (counts < wanted / 2 || counts > wanted * COUNTS_MOST || step > counts / 2 ||
        last.before <= first.after || last.before - first.after > RATE_TIMEOUT_CYCLES)
        return ODD;
    interval->low = rate_per_second(last.before - first.after, AS_PER_SECOND,
                                    (counts + step) * counter->period_high_as, false);
    interval->high = rate_per_second(last.after - first.before, AS_PER_SECOND,
                                     (counts - step) * counter->period_low_as, true);
    return interval->low > 0 && interval->high < BIT64(62) ? GOOD : ODD;
}

bool rate_measure(const struct rate_counter *counter, rate_clock *clock, struct rate_interval *interval)
{
    bool found = false;

    for (unsigned i = 0; i < TRIES; i++) {
        struct rate_interval one;
        enum outcome outcome = measure_once(counter, clock, &one);

        if (outcome == DEAD)
            break;
        if (outcome == GOOD && (!found || one.high - one.low < interval->high - interval->low)) {
            *interval = one;
            found = true;
        }
        if (found && interval->high - interval->low <= interval->low / 1000000 * GOOD_PPM)
            break;
    }
    return found;
}

uint64_t rate_coarsest(uint64_t low, uint64_t high)
{
    uint64_t middle = low + (high - low) / 2;

    for (uint64_t step = UINT64_C(1000000000000); step > 1; step /= 10) {
        uint64_t below = middle - middle % step, above = below + step;
        bool below_fits = below && below >= low, above_fits = above <= high;

        if (below_fits && above_fits)
            return middle - below <= above - middle ? below : above;
        if (below_fits || above_fits)
            return below_fits ? below : above;
    }
    return middle;
}
