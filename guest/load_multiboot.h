/*
 * Loads a Multiboot 1 image: by the addresses in its header (the "a.out kludge") or by the program headers of
 * ELF32 and ELF64. Contract and types: load.h. Source: the Multiboot Specification, version 0.6.96.
 */
#ifndef GUEST_LOAD_MULTIBOOT_H
#define GUEST_LOAD_MULTIBOOT_H

#include "guest/load.h"

#define MULTIBOOT_BOOTLOADER_MAGIC UINT64_C(0x2BADB002)
/* Where the information goes unless the image is there. */
#define MULTIBOOT_INFO_LOW UINT64_C(0x10000)

/* Where an image's bytes go, checked: inside usable RAM, no two overlapping. Used by the two files below. */
#define MULTIBOOT_SEGMENTS 64

struct multiboot_segment {
    uint64_t gpa;
    uint64_t memory_size; /* bytes; what exceeds file_size stays zero */
    uint64_t file_offset;
    uint64_t file_size;
};

struct multiboot_image {
    struct multiboot_segment segments[MULTIBOOT_SEGMENTS];
    unsigned segment_count;
    uint64_t low, high; /* all segments lie in [low, high) */
    uint64_t entry;     /* physical */
    const char *format; /* for the description */
};

bool load_multiboot_matches(const struct load_request *request);
bool load_multiboot(struct guest_memory *memory, const struct load_request *request,
                    struct load_result *result);

/* Appends a segment after checking it against the file and the guest's memory. */
bool multiboot_add_segment(struct guest_memory *memory, const struct load_request *request,
                           const struct multiboot_segment *segment, struct multiboot_image *image,
                           struct load_result *result);

/* load_elf.c: fills *image from ELF32 or ELF64 program headers, by physical addresses. */
bool load_elf_read(struct guest_memory *memory, const struct load_request *request,
                   struct multiboot_image *image, struct load_result *result);

/* load_multiboot_info.c: writes modules and the information structure behind *image, and sets the registers.
 */
bool load_multiboot_info(struct guest_memory *memory, const struct load_request *request,
                         const struct multiboot_image *image, struct load_result *result);

#endif
