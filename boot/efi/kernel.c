/*
 * Verge's own image, build/verge.elf32, which verge.efi carries: laid out below 4 GB, wherever there is room,
 * since it finds its own base (boot/entry.asm). It is ours, so its headers are believed. The contract is in
 * loader.h. Source: System V ABI, "Object Files".
 */
#include "boot/efi/loader.h"
#include "lib/string.h"

#define PT_LOAD 1

struct elf_header {
    unsigned char identification[16];
    uint16_t type, machine;
    uint32_t version, entry, segments, sections, flags;
    uint16_t size, segment_size, segment_count;
};

struct elf_segment {
    uint32_t type, offset, virtual_address, address, file_size, memory_size, flags, alignment;
};

static uint64_t base, size;

static struct elf_segment segment_of(const struct elf_header *header, unsigned index)
{
    struct elf_segment segment;

    memcpy(&segment, efi_kernel + header->segments + index * header->segment_size, sizeof segment);
    return segment;
}

EFI_STATUS kernel_load(uint32_t *entry)
{
    struct elf_header header;
    uint32_t start = UINT32_MAX, end = 0;
    EFI_STATUS status;

    memcpy(&header, efi_kernel, sizeof header);
    for (unsigned i = 0; i < header.segment_count; i++) {
        struct elf_segment segment = segment_of(&header, i);

        start = MIN(start, segment.address);
        end = MAX(end, segment.address + segment.memory_size);
    }
    size = end - start;
    status = efi_allocate(EfiLoaderCode, size, "Verge", &base);
    if (EFI_ERROR(status)) {
        size = 0;
        return status;
    }
    memset((void *)(uintptr_t)base, 0, size);
    for (unsigned i = 0; i < header.segment_count; i++) {
        struct elf_segment segment = segment_of(&header, i);

        if (segment.type == PT_LOAD)
            memcpy((char *)(uintptr_t)base + (segment.address - start), efi_kernel + segment.offset,
                   segment.file_size);
    }
    *entry = (uint32_t)base + (header.entry - start);
    return EFI_SUCCESS;
}

void kernel_free(void)
{
    if (size)
        efi_free(base, size);
}
