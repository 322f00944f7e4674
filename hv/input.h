/*
 * Everything that enters a VM from outside: one queue, which the console's CPU fills and the guest's own CPU
 * empties; each batch is stamped with the guest's clock and delivered as a deadline. The one place to record
 * and replay.
 */
#ifndef HV_INPUT_H
#define HV_INPUT_H

#include "hv/clock.h"
#include "lib/base.h"

#define INPUT_SIZE 256

struct input {
    uint8_t bytes[INPUT_SIZE];
    uint64_t put;   /* bytes since boot: the console's CPU writes this */
    uint64_t seen;  /* of them, those that have been given a moment */
    uint64_t taken; /* and those that were delivered: the guest's CPU writes these two */
    uint64_t dropped;
    struct deadline deadline;
    size_t (*deliver)(void *opaque, const uint8_t *data, size_t length); /* returns how much was taken */
    void *opaque;
    struct guest_clock *clock;
};

void input_init(struct input *input, struct guest_clock *clock,
                size_t (*deliver)(void *, const uint8_t *, size_t), void *opaque);

/* The guest was reset and its clock stands at 0: what waits is delivered then. */
void input_reset(struct input *input);

/* From outside, on any one CPU: queues one byte. A full queue drops it, counted. */
void input_put(struct input *input, uint8_t byte);

/* On the guest's CPU, between two runs: what has come is delivered at the guest's present moment. */
void input_look(struct input *input);

/* The device has room again. */
void input_ready(struct input *input);

#endif
