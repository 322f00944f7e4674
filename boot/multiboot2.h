/*
 * The form of Multiboot 2's information, as far as Verge reads it (info_multiboot2.c) and as verge.efi writes
 * it (efi/information.c). Source: Multiboot2 Specification 2.0, "Boot information format".
 */
#ifndef BOOT_MULTIBOOT2_H
#define BOOT_MULTIBOOT2_H

#include "lib/base.h"

#define MB2_ALIGNMENT 8u /* of each tag */

enum mb2_tag_type {
    MB2_TAG_END = 0,
    MB2_TAG_CMDLINE = 1,
    MB2_TAG_LOADER_NAME = 2,
    MB2_TAG_MODULE = 3,
    MB2_TAG_MMAP = 6,
    MB2_TAG_FRAMEBUFFER = 8,
    MB2_TAG_ACPI_OLD = 14,
    MB2_TAG_ACPI_NEW = 15,
};

struct mb2_tag {
    uint32_t type, size;
};

enum mb2_range_type { MB2_AVAILABLE = 1, MB2_RESERVED = 2, MB2_ACPI = 3, MB2_ACPI_NVS = 4, MB2_BAD = 5 };

struct mb2_range {
    uint64_t base, length;
    uint32_t type, reserved;
};

#endif
