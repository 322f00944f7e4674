/* Which CPUs' TSC-deadline timers are to be trusted: pure. */
#ifndef ARCH_X86_HOST_DEADLINE_H
#define ARCH_X86_HOST_DEADLINE_H

#include "lib/base.h"

/*
 * The microcode revision from which on the TSC-deadline timer of an Intel CPU works: 0, any; UINT32_MAX:
 * none is known. signature: CPUID.01H:EAX.
 */
uint32_t deadline_microcode(uint32_t signature);

#endif
