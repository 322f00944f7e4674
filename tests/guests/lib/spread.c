/* See spread.h. */
#include "tests/guests/lib/spread.h"

void spread_add(struct spread *spread, int64_t value)
{
    if (!spread->count || value < spread->min)
        spread->min = value;
    if (!spread->count || value > spread->max)
        spread->max = value;
    spread->count++;
    spread->sum += value;
    for (unsigned i = 0; i < SPREAD_VALUES; i++) {
        if (spread->times[i] && spread->value[i] != value)
            continue;
        spread->value[i] = value;
        spread->times[i]++;
        return;
    }
    spread->others++;
}

void spread_print(const char *name, const struct spread *spread)
{
    print("%s_min=%ld %s_max=%ld %s_hist=", name, spread->min, name, spread->max, name);
    for (unsigned i = 0; i < SPREAD_VALUES && spread->times[i]; i++)
        print("%s%ld:%lu", i ? "," : "", spread->value[i], spread->times[i]);
    if (spread->others)
        print(",+%lu", spread->others);
    print("\n");
}

uint64_t spread_width(const struct spread *spread)
{
    return spread->count ? (uint64_t)(spread->max - spread->min) : 0;
}
