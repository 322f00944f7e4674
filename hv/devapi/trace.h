/*
 * The trace: fixed-size records in a ring, cheap enough for the path from exit to entry. Shown by Ctrl-A d
 * and on a panic.
 */
#ifndef HV_DEVAPI_TRACE_H
#define HV_DEVAPI_TRACE_H

#include "lib/base.h"

enum trace_event {
    TRACE_NONE,
    TRACE_ENTRY,     /* a: stop in guest cycles, b: vector injected or 0 */
    TRACE_EXIT,      /* a: exit kind, b: RIP */
    TRACE_LANDING,   /* a: deadline in guest cycles, b: error in cycles (signed) */
    TRACE_INJECT,    /* a: vector, b: error code */
    TRACE_IRQ,       /* a: line, b: level */
    TRACE_PORT,      /* a: port | width << 16 | write << 24, b: value */
    TRACE_DEADLINE,  /* a: when, b: address of the name */
    TRACE_VM_SWITCH, /* a: VM from, b: VM to */
    TRACE_NOTE,      /* a, b: the caller's */
    TRACE_EVENTS
};

void trace(enum trace_event event, uint64_t a, uint64_t b);

#endif
