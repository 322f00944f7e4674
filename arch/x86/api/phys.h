/*
 * The physical memory manager. Memory is given out at boot and never taken back: guests, their tables and the
 * monitor's own pages live as long as the machine runs, so what is here is a sorted list of free ranges, not
 * a general allocator.
 */
#ifndef ARCH_X86_API_PHYS_H
#define ARCH_X86_API_PHYS_H

#include "lib/base.h"

struct boot_info;

#define PAGE_SIZE    4096u
#define PAGE_SIZE_2M 0x200000u
#define PAGE_SIZE_1G 0x40000000u

/* Takes the loader's map: usable ranges less unusable ones, the first MB, the image and the modules. */
void phys_init(const struct boot_info *info);

/*
 * `size` contiguous bytes (rounded up to pages) at a multiple of `alignment` (a power of two, at least a
 * page), zeroed when `zero`. Lowest address first, below 4 GB while there is room. Returns the host-physical
 * address, 0 when no range is large enough.
 */
uint64_t phys_alloc(uint64_t size, uint64_t alignment, bool zero);

/* Like phys_alloc(), as a pointer in the direct map; panics when memory is out: only for the monitor's own
 * needs at boot. */
void *phys_alloc_own(uint64_t size);

/* A free page below 512 KB, which a CPU that starts in real mode can reach; 0: there is none. */
uint64_t phys_low_page(void);

/* The direct map of all RAM. */
void *phys_to_virt(uint64_t address);

/* The inverse, for pointers into the direct map. */
uint64_t virt_to_phys(const void *pointer);

/* Bytes of usable RAM in the machine, free now, and given to the monitor itself. */
uint64_t phys_total(void);
uint64_t phys_free(void);
uint64_t phys_largest_free(void);
uint64_t phys_own(void);

#endif
