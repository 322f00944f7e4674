/*
 * Writes Multiboot 2's information, tag by tag, into memory of a fixed size. Pure: knows no firmware, so that
 * a host test can read back with boot/info_multiboot2.c what was written here. What does not fit is left out
 * and makes information_end() return false. Source: Multiboot2 Specification 2.0, "Boot information format".
 */
#ifndef BOOT_EFI_INFORMATION_H
#define BOOT_EFI_INFORMATION_H

#include "boot/boot_info.h"
#include "boot/multiboot2.h"

struct information {
    char *memory;
    size_t size, used;
    size_t map; /* where the memory map's tag stands, 0 before it */
    bool full;
};

/* `memory` must be aligned to MB2_ALIGNMENT. */
void information_begin(struct information *information, void *memory, size_t size);

/* MB2_TAG_CMDLINE or MB2_TAG_LOADER_NAME. */
void information_add_string(struct information *information, enum mb2_tag_type type, const char *string);

/* The whole of it must lie below 4 GB: the tag has 32 bits for its ends. */
void information_add_module(struct information *information, uint64_t base, uint64_t size,
                            const char *string);

/* A screen of BOOT_SCREEN_PIXELS. */
void information_add_screen(struct information *information, const struct boot_screen *screen);

/* A copy of the ACPI RSDP: MB2_TAG_ACPI_OLD for revision 0, MB2_TAG_ACPI_NEW for later ones. */
void information_add_rsdp(struct information *information, enum mb2_tag_type type, const void *rsdp,
                          size_t size);

/* A line of the memory map, the last tag to be written: all calls in a row. One that goes on where the last
 * one ended, with the same type, is joined to it. */
void information_add_range(struct information *information, const struct mb2_range *range);

/* The end tag. False: something did not fit. */
bool information_end(struct information *information);

#endif
