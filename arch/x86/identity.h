/* Who made this CPU, and what its microcode is. Boot only. */
#ifndef ARCH_X86_IDENTITY_H
#define ARCH_X86_IDENTITY_H

#include "lib/base.h"

bool cpu_is_intel(void);

/* AMD, or Hygon, whose CPUs are AMD's. */
bool cpu_is_amd(void);

/* A hypervisor stands below Verge: what CPUID says of errata and microcode is its word. */
bool cpu_is_virtual(void);

/* The revision of the loaded microcode; 0: the CPU does not say. */
uint32_t cpu_microcode(void);

#endif
