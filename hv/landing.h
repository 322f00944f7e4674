/*
 * Landing: how the one-shot is aimed at a deadline on hardware whose timer has jitter, and what is made of
 * where it landed. Pure arithmetic; per VM on its CPU, and host-tested.
 *
 * Late means: the guest began an instruction at or after the deadline before the exit. The lead adapts so
 * that this goes to nil. A landing early by at most the snap window is charged (the guest sees the event at
 * exactly its cycle); by more, a new one-shot is set. What a guest executes before a deadline must depend on
 * the guest alone: so only a one-shot that was set at this entry for this deadline is a landing; after any
 * other exit, however close, the rest is executed. Without spread (QEMU icount, Bochs) lead and window are 0:
 * nothing is ever charged.
 */
#ifndef HV_LANDING_H
#define HV_LANDING_H

#include "lib/base.h"

#define LANDING_BUCKETS 8

struct landing {
    uint64_t lead;   /* cycles before the deadline at which the timer is aimed */
    uint64_t window; /* largest gap that may be charged */
    uint64_t grain;  /* an exit up to this much behind the deadline is the end of the instruction in flight */
    uint64_t spread; /* of the calibration; 0: lead and window stay 0 */
    bool exact;      /* never charge */
    unsigned on_time;     /* landings with the whole lead since it was last changed ... */
    uint64_t least_early; /* ... and the one that came nearest to the deadline */
    unsigned stuck;       /* runs in a row that the timer ended before the guest's first instruction */
    uint64_t landed, late, snaps;
    uint64_t worst_late;                 /* cycles */
    uint64_t histogram[LANDING_BUCKETS]; /* gaps of 0, 1-9, 10-99, ... cycles, early or late */
};

/* spread: of the calibration, cycles. exact: never charge. */
void landing_init(struct landing *landing, uint64_t spread, uint64_t grain, bool exact);

/* The lead for a run of `distance` cycles to the deadline: at most 1/8 of it. */
uint64_t landing_lead(const struct landing *landing, uint64_t distance);

/*
 * A run that was `distance` from its deadline ended after `consumed` cycles, either late or by the timer;
 * `aimed`: a one-shot set at its entry for that deadline ended it. Returns the cycles to charge so that the
 * clock stands on the deadline; 0 when it does already, is behind it, or when the rest is to be executed.
 */
uint64_t landing_take(struct landing *landing, uint64_t distance, uint64_t consumed, bool aimed);

#endif
