/*
 * The Multiboot 1 loader: finds and checks the header, places the image. See load_multiboot.h; the program
 * headers are read by load_elf.c, and what the guest is told is written by load_multiboot_info.c.
 *
 * Left out: the ELF symbol table, drives, BIOS tables (there is none), graphics modes: a header that asks for
 * a video mode gets the text mode, as the specification allows.
 *
 * What the specification leaves open, each pinned in tests/unit/test_load_multiboot.c:
 * 1. With flag 16 the header's addresses count, also in an ELF file.
 * 2. Segments that overlap are an error; so is one that touches page 0 or what the map calls reserved.
 * 3. An ELF entry inside a segment's virtual addresses is taken as virtual, any other as physical.
 * 4. The guest's command line and the modules' strings begin with the file name where there is one.
 */
#include "guest/load_multiboot.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define MULTIBOOT_HEADER_MAGIC 0x1BADB002u
#define MULTIBOOT_SEARCH       UINT64_C(8192) /* the header lies within the first 8 KB */

/* Header flags; those below 16 must be understood. */
#define FLAG_PAGE_ALIGN  BIT(0)
#define FLAG_MEMORY_INFO BIT(1)
#define FLAG_VIDEO_MODE  BIT(2)
#define FLAG_ADDRESSES   BIT(16)

/* Offset of the header, or UINT64_MAX. "OS image format": 4-byte aligned, magic + flags + checksum = 0. */
static uint64_t find_header(const struct load_request *request)
{
    uint64_t end = MIN(request->image_size, MULTIBOOT_SEARCH);
    for (uint64_t at = 0; at + 12 <= end; at += 4) {
        const uint8_t *header = request->image + at;
        uint32_t magic = load_le32(header);
        if (magic == MULTIBOOT_HEADER_MAGIC && magic + load_le32(header + 4) + load_le32(header + 8) == 0)
            return at;
    }
    return UINT64_MAX;
}

bool load_multiboot_matches(const struct load_request *request)
{
    return find_header(request) != UINT64_MAX;
}

static bool overlaps(const struct multiboot_segment *a, const struct multiboot_segment *b)
{
    return a->gpa < b->gpa + b->memory_size && b->gpa < a->gpa + a->memory_size;
}

bool multiboot_add_segment(struct guest_memory *memory, const struct load_request *request,
                           const struct multiboot_segment *segment, struct multiboot_image *image,
                           struct load_result *result)
{
    if (segment->file_size > request->image_size ||
        segment->file_offset > request->image_size - segment->file_size)
        return load_fail(result, LOAD_TRUNCATED,
                         "the image is truncated: %lu bytes of it should be at %lu, it has %lu",
                         segment->file_size, segment->file_offset, request->image_size);
    if (segment->file_size > segment->memory_size)
        return load_fail(result, LOAD_MALFORMED,
                         "a segment of the image has more bytes in the file than in memory");
    if (segment->memory_size == 0)
        return true;
    if (!load_is_usable(memory, segment->gpa, segment->memory_size))
        return load_fail(result, LOAD_NO_MEMORY,
                         "no guest memory where the image wants to be: %lu KB at %lxh; the guest has %lu MB",
                         (segment->memory_size + 1023) >> 10, segment->gpa, memory->ram_bytes >> 20);
    if (image->segment_count == MULTIBOOT_SEGMENTS)
        return load_fail(result, LOAD_UNSUPPORTED, "the image has more than %d segments", MULTIBOOT_SEGMENTS);
    for (unsigned i = 0; i < image->segment_count; i++)
        if (overlaps(segment, &image->segments[i]))
            return load_fail(result, LOAD_MALFORMED, "two segments of the image overlap at %lxh",
                             MAX(segment->gpa, image->segments[i].gpa));
    image->low = image->segment_count ? MIN(image->low, segment->gpa) : segment->gpa;
    image->high = MAX(image->high, segment->gpa + segment->memory_size);
    image->segments[image->segment_count++] = *segment;
    return true;
}

/* "The address fields of Multiboot header": all physical; load_end 0 means to the end of the file, bss_end 0
 * no bss. */
static bool read_addresses(struct guest_memory *memory, const struct load_request *request,
                           uint64_t header_at, struct multiboot_image *image, struct load_result *result)
{
    if (request->image_size < header_at + 32)
        return load_fail(result, LOAD_TRUNCATED, "the image is truncated inside its Multiboot header");
    const uint8_t *header = request->image + header_at;
    uint64_t header_gpa = load_le32(header + 12), load_gpa = load_le32(header + 16);
    uint64_t load_end = load_le32(header + 20), bss_end = load_le32(header + 24);
    if (load_gpa > header_gpa || header_gpa - load_gpa > header_at)
        return load_fail(result, LOAD_MALFORMED,
                         "the Multiboot header's load address %lxh lies before the start of the file",
                         load_gpa);
    struct multiboot_segment segment = {.gpa = load_gpa, .file_offset = header_at - (header_gpa - load_gpa)};
    if (load_end == 0)
        load_end = load_gpa + (request->image_size - segment.file_offset);
    if (bss_end == 0)
        bss_end = load_end;
    if (load_end < load_gpa || bss_end < load_end)
        return load_fail(result, LOAD_MALFORMED,
                         "the Multiboot header's addresses run backwards: %lxh, %lxh, %lxh", load_gpa,
                         load_end, bss_end);
    segment.file_size = load_end - load_gpa;
    segment.memory_size = bss_end - load_gpa;
    image->entry = load_le32(header + 28);
    image->format = "a.out kludge";
    return multiboot_add_segment(memory, request, &segment, image, result);
}

static bool read_image(struct guest_memory *memory, const struct load_request *request,
                       struct multiboot_image *image, struct load_result *result)
{
    uint64_t at = find_header(request);
    uint32_t flags = load_le32(request->image + at + 4);
    uint32_t unknown = flags & 0xFFFF & ~(FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO | FLAG_VIDEO_MODE);
    if (unknown)
        return load_fail(result, LOAD_UNSUPPORTED,
                         "the image needs Multiboot features that are not there: flags %xh", unknown);
    if (flags & FLAG_ADDRESSES)
        return read_addresses(memory, request, at, image, result);
    if (request->image_size >= 4 && memcmp(request->image,
                                           "\x7F"
                                           "ELF",
                                           4) == 0)
        return load_elf_read(memory, request, image, result);
    return load_fail(result, LOAD_MALFORMED,
                     "a Multiboot image that is no ELF file and has no addresses in its header");
}

static bool entry_is_loaded(const struct multiboot_image *image)
{
    for (unsigned i = 0; i < image->segment_count; i++)
        if (image->entry >= image->segments[i].gpa &&
            image->entry - image->segments[i].gpa < image->segments[i].memory_size)
            return true;
    return false;
}

bool load_multiboot(struct guest_memory *memory, const struct load_request *request,
                    struct load_result *result)
{
    struct multiboot_image image;
    memset(&image, 0, sizeof image);
    result->protocol = LOAD_MULTIBOOT;
    if (!read_image(memory, request, &image, result))
        return false;
    if (image.segment_count == 0)
        return load_fail(result, LOAD_MALFORMED, "the Multiboot image has nothing to load");
    if (!entry_is_loaded(&image))
        return load_fail(result, LOAD_MALFORMED, "the image's entry %lxh lies outside of what it loads",
                         image.entry);
    for (unsigned i = 0; i < image.segment_count; i++) {
        const struct multiboot_segment *segment = &image.segments[i];
        guest_mem_write(memory, segment->gpa, request->image + segment->file_offset, segment->file_size);
    }
    result->image_gpa = image.low;
    result->image_length = image.high - image.low;
    const char *name = load_base_name(request->name);
    fmt_snprintf(result->description, sizeof result->description, "Multiboot %.40s%s(%s)", name,
                 *name ? " " : "", image.format);
    return load_multiboot_info(memory, request, &image, result);
}
