/* The run loop: one per CPU. */
#ifndef HV_RUN_H
#define HV_RUN_H

#include "lib/base.h"

struct run_settings {
    uint64_t slice; /* host TSC cycles */
    bool coarse;    /* timer=periodic: a halted guest wakes at the host's tick, not at its deadline */
};

/* Runs all VMs in turn until the last has ended or the console asks to quit; returns the highest code. */
unsigned run_all(const struct run_settings *settings);

#endif
