/*
 * A guest's output on its way to the console: a ring that the guest's UART fills on the guest's CPU and the
 * console drains on its own, at the same time: either writes its own counter alone. When it is full the VM is
 * not run, its clock stands still, until there is room: back-pressure is a freeze that the guest can't see.
 */
#ifndef HV_OUTPUT_H
#define HV_OUTPUT_H

#include "lib/base.h"

#define OUTPUT_SIZE    8192
#define OUTPUT_RESERVE 64 /* full is called this much early: an instruction in flight may still write */

struct output {
    uint8_t bytes[OUTPUT_SIZE];
    uint64_t put;   /* bytes since boot, */
    uint64_t taken; /* and how many of them left */
    uint64_t dropped;
    uint64_t stuck_since; /* host TSC since when the sink took nothing; 0: it takes */
};

static inline unsigned output_count(const struct output *output)
{
    return (unsigned)(__atomic_load_n(&output->put, __ATOMIC_ACQUIRE) -
                      __atomic_load_n(&output->taken, __ATOMIC_ACQUIRE));
}

static inline bool output_full(const struct output *output)
{
    return output_count(output) > OUTPUT_SIZE - OUTPUT_RESERVE;
}

/* Takes up to `length` bytes; returns how many. */
static inline size_t output_put(struct output *output, const uint8_t *data, size_t length)
{
    size_t room = OUTPUT_SIZE - output_count(output); /* read once: the other end moves meanwhile */
    size_t taken = MIN(length, room);

    for (size_t i = 0; i < taken; i++)
        output->bytes[(output->put + i) % OUTPUT_SIZE] = data[i];
    __atomic_store_n(&output->put, output->put + taken, __ATOMIC_RELEASE);
    return taken;
}

/* The oldest bytes in one piece, and taking them away. */
static inline size_t output_peek(const struct output *output, const uint8_t **data)
{
    unsigned head = output->taken % OUTPUT_SIZE, count = output_count(output);

    *data = output->bytes + head;
    return MIN(count, OUTPUT_SIZE - head);
}

static inline void output_drop(struct output *output, size_t length)
{
    __atomic_store_n(&output->taken, output->taken + length, __ATOMIC_RELEASE);
}

#endif
