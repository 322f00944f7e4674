/*
 * perturb=SEED: disturbs the host side at random (burns cycles at exits, arms early one-shots, unmaps nested
 * pages, ends slices), to show that no guest can tell. A test facility; one flag test per exit when off.
 */
#ifndef HV_PERTURB_H
#define HV_PERTURB_H

#include "hv/vm.h"

extern bool perturb_on;

/* On each CPU, which draws from a series of its own; 0: off. */
void perturb_init(uint64_t seed);

/* After an exit: burns time and unmaps pages. */
void perturb_exit(struct vm *vm);

/* May bring the run's host limit forward, and tells whether the slice should end. */
uint64_t perturb_limit(uint64_t host_now, uint64_t host_limit);
bool perturb_ends_slice(void);

#endif
