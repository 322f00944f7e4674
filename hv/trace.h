/* The monitor's side of the trace: whose records they are, and showing them. */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include "hv/clock.h"
#include "hv/devapi/trace.h"

/* Records from now on belong to this VM and carry its clock. */
void trace_set_vm(unsigned vm, const struct guest_clock *clock);

/* Logs the last `most` records. */
void trace_show(unsigned most);

#endif
