/*
 * Loads a Linux bzImage (or what calls itself one, such as memtest86+) by its 64-bit entry, or by the 32-bit
 * entry when it has no other. Contract and types: load.h. Source: the Linux kernel's documentation, "The
 * Linux/x86 Boot Protocol".
 *
 * Low memory at the start, all inside what the memory map calls usable:
 *   20000h command line; 90000h boot_params, below it a stack; 91000h GDT; 92000h page tables (64-bit entry)
 */
#ifndef GUEST_LOAD_LINUX_H
#define GUEST_LOAD_LINUX_H

#include "guest/load.h"

#define LINUX_COMMAND_LINE       UINT64_C(0x20000)
#define LINUX_COMMAND_LINE_BYTES UINT64_C(0x10000) /* with its terminating 0 */
#define LINUX_BOOT_PARAMS        UINT64_C(0x90000)
#define LINUX_GDT                UINT64_C(0x91000)
#define LINUX_PAGE_TABLES        UINT64_C(0x92000) /* 6 pages: the first 4 GB one to one by 2 MB pages */

bool load_linux_matches(const struct load_request *request);
bool load_linux(struct guest_memory *memory, const struct load_request *request, struct load_result *result);

#endif
