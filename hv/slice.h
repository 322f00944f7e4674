/* A slice of a VM's run: what the run loop gives out in turn. */
#ifndef HV_SLICE_H
#define HV_SLICE_H

#include "lib/base.h"

struct vm;

/*
 * Runs a runnable VM of this CPU for `slice` host TSC cycles: a little longer where a deadline of its is just
 * ahead, less if it halts, ends or wants a reset; then does what it asked for. Books all of that in the
 * ledger, what came before the first entry as LEDGER_SCHEDULE.
 */
void slice_run(struct vm *vm, uint64_t slice);

#endif
