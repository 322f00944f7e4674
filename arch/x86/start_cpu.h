/* What start_cpu.asm and start_cpus.c share. */
#ifndef ARCH_X86_START_CPU_H
#define ARCH_X86_START_CPU_H

#include "lib/base.h"

struct far_pointer {
    uint32_t offset; /* in the code; start_cpus.c adds where the page is */
    uint16_t selector, unused;
} __attribute__((packed));

/* The last part of the page that a CPU starts in. */
struct start_page {
    uint64_t boot_tables; /* physical, below 4 GB */
    uint64_t tables;      /* the page tables that it goes on with */
    uint32_t expected;    /* the APIC ID of the CPU that may; START_NOBODY: none, or it has come */
    struct far_pointer to_32, to_64;
    uint16_t gdt_limit;
    uint32_t gdt_base; /* likewise an offset at first */
    uint16_t unused;
    uint64_t gdt[4];
} __attribute__((packed));

#define START_NOBODY 0xFFFFFFFFu

extern const char start_cpu_code[], start_cpu_page[], start_cpu_end[];

/* On the new CPU, when the boot CPU's timer is known: virtualisation, calibration; a line about them. False
 * with a logged reason: it can't run guests. cpu.c. */
bool cpu_join(void);

/* On the new CPU, on its own stack; cpus.c. */
_Noreturn void cpu_entered(void);

#endif
