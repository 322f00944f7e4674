/*
 * The deadline queue of a VM: one list sorted by guest cycle, FIFO on ties. The rules for callbacks are in
 * devapi/deadline.h. A VM has a dozen deadlines at most, so a list beats a heap and stays readable.
 */
#ifndef HV_DEADLINE_H
#define HV_DEADLINE_H

#include "hv/devapi/deadline.h"

struct deadline_queue {
    struct deadline *first;
    uint64_t next;  /* the first one's moment, or DEADLINE_NEVER */
    uint64_t fired; /* how many callbacks ran: the "timer events" of the closing line */
};

void deadline_queue_init(struct deadline_queue *queue);

/* The earliest moment in the queue, or DEADLINE_NEVER. */
static inline uint64_t deadline_queue_next(const struct deadline_queue *queue)
{
    return queue->next;
}

/* Takes the first deadline out if it is due at or before `now`; NULL otherwise. */
struct deadline *deadline_queue_take(struct deadline_queue *queue, uint64_t now);

#endif
