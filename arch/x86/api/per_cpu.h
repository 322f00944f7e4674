/*
 * Variables of which each CPU has its own, under one name and one address: every CPU's page tables map the
 * pages of the section to memory of its own (arch/x86/paging.c), so that an access costs what any other does.
 * They begin as zero on each CPU. A pointer to one means another variable on another CPU: never hand it on.
 */
#ifndef ARCH_X86_API_PER_CPU_H
#define ARCH_X86_API_PER_CPU_H

#ifdef VERGE_HOST
#define PER_CPU
#else
#define PER_CPU __attribute__((section(".bss.per_cpu")))
#endif

#endif
