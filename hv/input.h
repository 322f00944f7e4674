/*
 * Everything that enters a VM from outside: one queue, each batch stamped with the guest's clock and
 * delivered as a deadline. The one place to record and replay.
 */
#ifndef HV_INPUT_H
#define HV_INPUT_H

#include "hv/clock.h"
#include "lib/base.h"

#define INPUT_SIZE 256

struct input {
    uint8_t bytes[INPUT_SIZE];
    unsigned head, count;
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

/* From outside: queues one byte for delivery at the guest's present moment. A full queue drops it, counted.
 */
void input_put(struct input *input, uint8_t byte);

/* The device has room again. */
void input_ready(struct input *input);

#endif
