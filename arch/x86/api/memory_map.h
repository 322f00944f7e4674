/* The monitor's own address space, as main.c sees it. */
#ifndef ARCH_X86_API_MEMORY_MAP_H
#define ARCH_X86_API_MEMORY_MAP_H

struct boot_info;

/* Leaves the boot page tables for the final ones: W^X, null page and stack guards unmapped. After
 * phys_init(). */
void memory_map_init(const struct boot_info *info);

#endif
