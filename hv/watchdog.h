/*
 * The watchdog: CPUs with guests watch each other, and one without guests watches all where there is one. A
 * CPU that has not come round its run loop for a minute is stuck in the monitor, with interrupts off: it is
 * asked by an NMI where it stands, and the machine ends in a panic. A single CPU is not watched.
 */
#ifndef HV_WATCHDOG_H
#define HV_WATCHDOG_H

#include "lib/base.h"

/* From now on this CPU is looked after: at each turn of its run loop. `now`: host TSC, as in the next one. */
void watchdog_turn(uint64_t now);

/* It is alive, where that takes long; once in a second it looks after the others. */
void watchdog_look(uint64_t now);

/* It need not be, until its next turn: it has ended its run loop, or does what may take very long. */
void watchdog_rest(void);

/* A job (cpus_begin()) of a CPU that has nothing else to do: looks after the others, without end. */
void watchdog_watch(void *nothing);

#endif
