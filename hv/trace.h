/* The monitor's side of the trace: whose records they are, and showing them. */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include "hv/clock.h"
#include "hv/devapi/trace.h"

#define TRACE_RECORDS 1024u

struct trace_record {
    uint64_t guest_cycles;
    uint64_t a, b;
    uint32_t event, vm;
};

extern struct trace_record trace_records[TRACE_RECORDS];
extern uint64_t trace_next;

/* The same as trace() for who knows the VM and its clock: for the run loop. */
static inline void trace_of(unsigned vm, uint64_t guest_cycles, enum trace_event event, uint64_t a,
                            uint64_t b)
{
    trace_records[trace_next++ % TRACE_RECORDS] = (struct trace_record){guest_cycles, a, b, event, vm};
}

/* Records from now on belong to this VM and carry its clock. */
void trace_set_vm(unsigned vm, const struct guest_clock *clock);

/* Logs the last `most` records. */
void trace_show(unsigned most);

#endif
