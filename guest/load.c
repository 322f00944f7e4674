/*
 * Finds the type of a guest's image and hands it to its loader; holds what the loaders share. See load.h for
 * the contract.
 */
#include "guest/load.h"
#include "guest/e820.h"
#include "guest/load_linux.h"
#include "guest/load_multiboot.h"
#include "lib/fmt.h"
#include "lib/string.h"

bool load_fail(struct load_result *result, enum load_error error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fmt_vsnprintf(result->error_text, sizeof result->error_text, format, arguments);
    va_end(arguments);
    result->error = error;
    return false;
}

bool load_is_usable(struct guest_memory *memory, uint64_t gpa, uint64_t length)
{
    if (length > MEMORY_HOLE_START || gpa < MEMORY_PAGE || gpa > MEMORY_HOLE_START - length)
        return false;
    if (gpa < E820_HIGH && (gpa > E820_EBDA || length > E820_EBDA - gpa))
        return false;
    return length == 0 || guest_mem_map(memory, gpa, length) != NULL;
}

bool load_flat_segments(struct guest_memory *memory, struct load_cpu *cpu, uint64_t gdt_gpa)
{
    /* AMD64 APM vol. 2, "Legacy Segment Descriptors" and "Code-Segment Descriptors" (long mode): base 0,
     * limit 4 GB, accessed. */
    static const uint64_t code32 = UINT64_C(0x00CF9B000000FFFF), code64 = UINT64_C(0x00AF9B000000FFFF);
    static const uint64_t data = UINT64_C(0x00CF93000000FFFF);
    bool is_long = cpu->mode == LOAD_LONG64;
    uint64_t table[LOAD_GDT_BYTES / 8] = {0, 0, is_long ? code64 : code32, data};
    cpu->gdt_base = gdt_gpa;
    cpu->gdt_limit = LOAD_GDT_BYTES - 1;
    cpu->cs = (struct load_segment){0x10, is_long ? 0xA09B : 0xC09B, UINT32_MAX, 0};
    cpu->data = (struct load_segment){0x18, 0xC093, UINT32_MAX, 0};
    cpu->tr = (struct load_segment){0, 0x008B, 0xFFFF, 0};
    return guest_mem_write(memory, gdt_gpa, table, sizeof table);
}

const char *load_base_name(const char *path)
{
    if (!path)
        return "";
    for (const char *slash; (slash = strchr(path, '/')) != NULL;)
        path = slash + 1;
    return path;
}

static bool starts_with(const struct load_request *request, const char *bytes, size_t count)
{
    return request->image_size >= count && memcmp(request->image, bytes, count) == 0;
}

static bool fail_unknown(const struct load_request *request, struct load_result *result)
{
    if (request->image_size == 0)
        return load_fail(result, LOAD_TRUNCATED, "the image is empty");
    if (starts_with(request, "\x1F\x8B", 2))
        return load_fail(result, LOAD_UNKNOWN_IMAGE, "the image is compressed by gzip: unpack it first");
    if (starts_with(request,
                    "\xFD"
                    "7zXZ",
                    5))
        return load_fail(result, LOAD_UNKNOWN_IMAGE, "the image is compressed by xz: unpack it first");
    if (starts_with(request, "070701", 6))
        return load_fail(result, LOAD_UNKNOWN_IMAGE,
                         "the image is a cpio archive (an initrd?), not a kernel");
    if (starts_with(request,
                    "\x7F"
                    "ELF",
                    4))
        return load_fail(result, LOAD_UNKNOWN_IMAGE,
                         "an ELF file without a Multiboot header: not a kernel that can be started");
    return load_fail(result, LOAD_UNKNOWN_IMAGE,
                     "not a kernel: neither a Linux bzImage nor a Multiboot image");
}

bool load_image(struct guest_memory *memory, const struct load_request *request, struct load_result *result)
{
    memset(result, 0, sizeof *result);
    if (memory->ram_bytes < LOAD_MIN_RAM)
        return load_fail(result, LOAD_NO_MEMORY, "guest memory too small: %lu KB, at least %lu KB needed",
                         memory->ram_bytes >> 10, LOAD_MIN_RAM >> 10);
    if (request->module_count > LOAD_MODULES)
        return load_fail(result, LOAD_TOO_MANY_MODULES, "%u modules, at most %d are possible",
                         request->module_count, LOAD_MODULES);
    if (!bios_data_write(memory))
        return load_fail(result, LOAD_NO_MEMORY, "no guest memory at the BIOS data area");
    if (load_linux_matches(request))
        return load_linux(memory, request, result);
    if (load_multiboot_matches(request))
        return load_multiboot(memory, request, result);
    return fail_unknown(request, result);
}
