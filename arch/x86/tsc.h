/* The rate of the host's TSC. */
#ifndef ARCH_X86_TSC_H
#define ARCH_X86_TSC_H

#include "lib/base.h"

/* The value in [low, high] with the most trailing decimal zeros. */
uint64_t tsc_coarsest(uint64_t low, uint64_t high);

#endif
