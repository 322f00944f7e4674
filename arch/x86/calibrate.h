/* The parts of the calibration; calibrate() in backend.h puts them together. */
#ifndef ARCH_X86_CALIBRATE_H
#define ARCH_X86_CALIBRATE_H

#include "lib/base.h"

/* T1 less the guest's last reading less what that RDTSC cost: X of the last bare run. */
int64_t calibrate_yield_exit(void);

/* The one-shot, and the preemption timer if it is on: X of their exits, their distances. False with a logged
 * reason when one does not end runs. E and X of plain exits are known. */
bool calibrate_timers(void);

/* Whether a host interrupt ends the run of a guest that has interrupts off, as the manuals say. */
bool calibrate_interrupts_masked_guest(void);

#endif
