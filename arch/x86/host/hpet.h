/*
 * The host's HPET, as a counter to measure the TSC with: its main counter only, no comparators. Boot CPU, at
 * boot. Source: IA-PC HPET (High Precision Event Timers) Specification 1.0a, "Register Definitions".
 */
#ifndef ARCH_X86_HOST_HPET_H
#define ARCH_X86_HOST_HPET_H

#include "arch/x86/rate.h"

/*
 * Maps the registers at physical `base` and sets the main counter going where it stood. False when there is
 * no HPET that keeps to the specification. After memory_map_init(); to be followed by host_hpet_stop().
 */
bool host_hpet_start(uint64_t base, struct rate_counter *counter);

/* Puts the counter's enable bit back to what it was. */
void host_hpet_stop(void);

#endif
