/* Least, greatest, sum and the first distinct values of a series of signed figures. */
#ifndef GUEST_SPREAD_H
#define GUEST_SPREAD_H

#include "tests/guests/lib/guest.h"

#define SPREAD_VALUES 16

struct spread {
    uint64_t count, others; /* others: figures whose value found no room below */
    int64_t min, max, sum;
    int64_t value[SPREAD_VALUES];
    uint64_t times[SPREAD_VALUES];
};

void spread_add(struct spread *spread, int64_t value);
/* `NAME_min=.. NAME_max=.. NAME_hist=value:times,...[,+others]`, with a line end */
void spread_print(const char *name, const struct spread *spread);
/* max - min; 0 for an empty series */
uint64_t spread_width(const struct spread *spread);

#endif
