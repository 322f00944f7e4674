/*
 * A guest's output on its way to the console: a ring that the guest's UART fills and the console drains
 * between slices. When it is full the VM is not run, its clock stands still, until there is room:
 * back-pressure is a freeze that the guest can't see.
 */
#ifndef HV_OUTPUT_H
#define HV_OUTPUT_H

#include "lib/base.h"

#define OUTPUT_SIZE    8192
#define OUTPUT_RESERVE 64 /* full is called this much early: an instruction in flight may still write */

struct output {
    uint8_t bytes[OUTPUT_SIZE];
    unsigned head, count;
    uint64_t total, dropped;
    uint64_t stuck_since; /* host TSC since when the sink took nothing; 0: it takes */
};

static inline bool output_full(const struct output *output)
{
    return output->count > OUTPUT_SIZE - OUTPUT_RESERVE;
}

/* Takes up to `length` bytes; returns how many. */
static inline size_t output_put(struct output *output, const uint8_t *data, size_t length)
{
    size_t taken = MIN(length, (size_t)(OUTPUT_SIZE - output->count));

    for (size_t i = 0; i < taken; i++)
        output->bytes[(output->head + output->count + i) % OUTPUT_SIZE] = data[i];
    output->count += (unsigned)taken;
    output->total += taken;
    return taken;
}

/* The oldest bytes in one piece, and taking them away. */
static inline size_t output_peek(const struct output *output, const uint8_t **data)
{
    *data = output->bytes + output->head;
    return MIN(output->count, OUTPUT_SIZE - output->head);
}

static inline void output_drop(struct output *output, size_t length)
{
    output->head = (output->head + (unsigned)length) % OUTPUT_SIZE;
    output->count -= (unsigned)length;
}

#endif
