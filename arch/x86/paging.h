/* The monitor's own address space: W^X, NX, null page and stack guards unmapped. Source: AMD64 APM vol. 2
 * "Page Translation and Protection". */
#ifndef ARCH_X86_PAGING_H
#define ARCH_X86_PAGING_H

#include "lib/base.h"

/* The direct map of physical memory. */
#define DIRECT_MAP 0xFFFF800000000000u
/* Where device registers are mapped, uncached. */
#define DEVICE_MAP 0xFFFFC00000000000u

#define PTE_P       BIT64(0)
#define PTE_W       BIT64(1)
#define PTE_U       BIT64(2)
#define PTE_PWT     BIT64(3)
#define PTE_PCD     BIT64(4)
#define PTE_A       BIT64(5)
#define PTE_D       BIT64(6)
#define PTE_LARGE   BIT64(7)
#define PTE_NX      BIT64(63)
#define PTE_ADDRESS 0x000FFFFFFFFFF000u

/*
 * Page tables for a further CPU: the boot CPU's, but that the per-CPU part of the image (api/per_cpu.h) is
 * memory of its own, all zero. Returns their address for CR3. What is mapped later is seen by all CPUs only
 * where the boot CPU had mapped something in the same 512 GB before: after all devices.
 */
uint64_t paging_for_further_cpu(void);

/* Where something in the image stands in physical memory, on the boot CPU. */
uint64_t paging_of_image(const void *pointer);

/* Maps device registers uncached; returns their address. */
volatile void *paging_map_device(uint64_t physical, uint64_t size);

/* Maps a screen's memory write-combining; returns its address. */
volatile void *paging_map_screen(uint64_t physical, uint64_t size);

/* phys.c: the machine's RAM, and the modules wherever they are, as sorted disjoint ranges; false past the
 * last. */
bool phys_ram_range(unsigned index, uint64_t *start, uint64_t *end);

/* First physical address beyond what this CPU can address, at most 2^46 (what the direct map holds). */
uint64_t paging_phys_limit(void);

#endif
