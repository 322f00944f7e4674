/* The deadline queue; the contract is in deadline.h and devapi/deadline.h. */
#include "hv/deadline.h"

/* To be called with each change of the head. */
static void set_first(struct deadline_queue *queue, struct deadline *first)
{
    queue->first = first;
    queue->next = first ? first->when : DEADLINE_NEVER;
}

void deadline_queue_init(struct deadline_queue *queue)
{
    set_first(queue, NULL);
    queue->fired = 0;
}

void deadline_init(struct deadline *deadline, struct deadline_queue *queue, deadline_callback *fire,
                   void *opaque, const char *name)
{
    deadline->queue = queue;
    deadline->next = NULL;
    deadline->when = DEADLINE_NEVER;
    deadline->fire = fire;
    deadline->opaque = opaque;
    deadline->name = name;
}

void deadline_cancel(struct deadline *deadline)
{
    if (deadline->when == DEADLINE_NEVER)
        return;
    struct deadline **link = &deadline->queue->first;
    while (*link != deadline)
        link = &(*link)->next;
    *link = deadline->next;
    deadline->next = NULL;
    deadline->when = DEADLINE_NEVER;
    set_first(deadline->queue, deadline->queue->first);
}

void deadline_set(struct deadline *deadline, uint64_t when)
{
    deadline_cancel(deadline);
    if (when == DEADLINE_NEVER)
        return;
    struct deadline **link = &deadline->queue->first;
    while (*link && (*link)->when <= when)
        link = &(*link)->next;
    deadline->when = when;
    deadline->next = *link;
    *link = deadline;
    set_first(deadline->queue, deadline->queue->first);
}

struct deadline *deadline_queue_take(struct deadline_queue *queue, uint64_t now)
{
    struct deadline *deadline = queue->first;

    if (!deadline || deadline->when > now)
        return NULL;
    set_first(queue, deadline->next);
    deadline->next = NULL;
    deadline->when = DEADLINE_NEVER;
    queue->fired++;
    return deadline;
}
