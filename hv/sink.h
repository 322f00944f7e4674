/*
 * What waits for the screen and the guests' port: the guests' bytes as they are where there is one guest,
 * else whole lines with the guest's name before them. Boot CPU only, but for what other CPUs read of its
 * counters.
 */
#ifndef HV_SINK_H
#define HV_SINK_H

#include "hv/output.h"

extern struct output sink;

/* Moves on what the guests have sent, as far as there is room; of many, each in its turn. */
void sink_gather(void);

/* No more comes in until something has left. */
bool sink_full(void);

#endif
