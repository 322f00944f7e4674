/*
 * Deadlines: absolute guest cycles at which a device wants to be called.
 *
 * Rules:
 * - Callbacks run in order of `when`, first set first called on ties, in the monitor, on the CPU that owns
 * the VM.
 * - A deadline is taken out of the queue before its callback runs; the callback may set or cancel any
 * deadline, its own included.
 * - A periodic source computes its next moment from its grid (lib/ratio.h), never from the moment of the
 * call.
 * - A deadline set at or before now runs at the next advance of the clock, before the guest executes
 * anything.
 * - A deadline lives inside its device and belongs to one queue for life.
 */
#ifndef HV_DEVAPI_DEADLINE_H
#define HV_DEVAPI_DEADLINE_H

#include "lib/base.h"

struct deadline_queue;

#define DEADLINE_NEVER UINT64_MAX

/* `when` is the moment the deadline was set for; guest_clock_now() gives the same. */
typedef void deadline_callback(void *opaque, uint64_t when);

struct deadline {
    struct deadline_queue *queue;
    struct deadline *next; /* valid while set */
    uint64_t when;         /* guest cycles; DEADLINE_NEVER while not set */
    deadline_callback *fire;
    void *opaque;
    const char *name; /* for the trace and the console */
};

void deadline_init(struct deadline *deadline, struct deadline_queue *queue, deadline_callback *fire,
                   void *opaque, const char *name);

/* (Re)sets it to an absolute moment; DEADLINE_NEVER cancels. */
void deadline_set(struct deadline *deadline, uint64_t when);
void deadline_cancel(struct deadline *deadline);

#endif
