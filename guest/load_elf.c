/*
 * Program headers of ELF32 and ELF64 images that carry a Multiboot header: see load_multiboot.h. Only what is
 * needed to place segments by their physical addresses is read. Sources: System V ABI, "Object Files";
 * "ELF-64 Object File Format".
 */
#include "guest/load_multiboot.h"
#include "lib/string.h"

#define PT_LOAD 1u

enum {
    EI_CLASS = 4,
    EI_DATA = 5,
    ELFCLASS32 = 1,
    ELFCLASS64 = 2,
    ELFDATA2LSB = 1,
    EM_386 = 3,
    EM_X86_64 = 62
};

/* A program header of either class. */
struct program_header {
    uint32_t type;
    uint64_t offset, vaddr, paddr, filesz, memsz;
};

/* The parts of the ELF header that count. */
struct elf {
    bool is64;
    uint64_t entry;
    uint64_t table; /* file offset of the program headers */
    uint64_t stride;
    unsigned count;
};

static bool read_elf_header(const struct load_request *request, struct elf *elf, struct load_result *result)
{
    const uint8_t *file = request->image;
    bool is64 = request->image_size > EI_CLASS && file[EI_CLASS] == ELFCLASS64;
    if (request->image_size < (is64 ? 64 : 52))
        return load_fail(result, LOAD_TRUNCATED, "the image is truncated inside its ELF header");
    if ((!is64 && file[EI_CLASS] != ELFCLASS32) || file[EI_DATA] != ELFDATA2LSB)
        return load_fail(result, LOAD_UNSUPPORTED,
                         "an ELF file that is neither 32- nor 64-bit little-endian");
    unsigned machine = load_le16(file + 18);
    if (machine != EM_386 && machine != EM_X86_64)
        return load_fail(result, LOAD_UNSUPPORTED, "an ELF file for another machine: type %u", machine);
    elf->is64 = is64;
    elf->entry = is64 ? load_le64(file + 24) : load_le32(file + 24);
    elf->table = is64 ? load_le64(file + 32) : load_le32(file + 28);
    elf->stride = load_le16(file + (is64 ? 54 : 42));
    elf->count = load_le16(file + (is64 ? 56 : 44));
    if (elf->count && elf->stride < (is64 ? 56 : 32))
        return load_fail(result, LOAD_MALFORMED, "the ELF program headers are too small: %lu bytes each",
                         elf->stride);
    uint64_t bytes = elf->stride * elf->count;
    if (bytes > request->image_size || elf->table > request->image_size - bytes)
        return load_fail(result, LOAD_TRUNCATED,
                         "the image is truncated: its ELF program headers lie behind its end");
    return true;
}

static struct program_header read_program_header(const uint8_t *p, bool is64)
{
    if (is64)
        return (struct program_header){load_le32(p),      load_le64(p + 8),  load_le64(p + 16),
                                       load_le64(p + 24), load_le64(p + 32), load_le64(p + 40)};
    return (struct program_header){load_le32(p),      load_le32(p + 4),  load_le32(p + 8),
                                   load_le32(p + 12), load_le32(p + 16), load_le32(p + 20)};
}

bool load_elf_read(struct guest_memory *memory, const struct load_request *request,
                   struct multiboot_image *image, struct load_result *result)
{
    struct elf elf = {0};
    if (!read_elf_header(request, &elf, result))
        return false;
    image->format = elf.is64 ? "ELF64" : "ELF32";
    image->entry = elf.entry;
    for (unsigned i = 0; i < elf.count; i++) {
        struct program_header header =
            read_program_header(request->image + elf.table + i * elf.stride, elf.is64);
        if (header.type != PT_LOAD)
            continue;
        struct multiboot_segment segment = {header.paddr, header.memsz, header.offset, header.filesz};
        if (!multiboot_add_segment(memory, request, &segment, image, result))
            return false;
        if (elf.entry >= header.vaddr && elf.entry - header.vaddr < header.memsz)
            image->entry = elf.entry - header.vaddr + header.paddr; /* choice 3 of load_multiboot.c */
    }
    return true;
}
