/* The run loop: one per CPU. */
#ifndef HV_RUN_H
#define HV_RUN_H

#include "lib/base.h"

struct run_settings {
    uint64_t slice;        /* host TSC cycles */
    uint32_t periodic_hz;  /* timer=periodic: the host's tick, at which a halted guest wakes, not at its
                              deadline; 0: not */
    uint64_t perturb_seed; /* 0: off */
};

/*
 * Runs all VMs, each CPU its own in turn, until the last has ended or the console asks to quit; returns the
 * highest code. On the boot CPU, which serves the console meanwhile.
 */
unsigned run_all(const struct run_settings *settings);

/* The CPU has guests of its own. */
bool run_has_guests(unsigned cpu);

#endif
