/*
 * Reads a bzImage's setup header: see load_linux_header.h; the numbered choices are in load_linux.c.
 */
#include "guest/load_linux_header.h"
#include "guest/e820.h"
#include "guest/load_linux.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define LOADED_HIGH   BIT(0)
#define XLF_KERNEL_64 BIT(0)
#define SECTOR        UINT64_C(512)

bool linux_header_matches(const struct load_request *request)
{
    const uint8_t *image = request->image;
    return request->image_size >= HDR_VERSION + 2 && load_le16(image + HDR_BOOT_FLAG) == 0xAA55 &&
           memcmp(image + HDR_MAGIC, "HdrS", 4) == 0;
}

static bool check_version(const uint8_t *image, struct linux_kernel *kernel, struct load_result *result)
{
    /* The last field that each version must have. */
    uint64_t needed = kernel->version >= 0x20A   ? HDR_INIT_SIZE + 4
                      : kernel->version >= 0x206 ? HDR_CMDLINE_SIZE + 4
                      : kernel->version >= 0x205 ? HDR_RELOCATABLE + 1
                      : kernel->version >= 0x203 ? HDR_INITRD_ADDR_MAX + 4
                                                 : HDR_CMD_LINE_PTR + 4;
    if (kernel->version < 0x202)
        return load_fail(result, LOAD_UNSUPPORTED,
                         "a kernel of boot protocol %u.%02u, at least 2.02 is needed", kernel->version >> 8,
                         kernel->version & 0xFF);
    if (kernel->header_end < needed)
        return load_fail(result, LOAD_MALFORMED,
                         "the kernel's boot header ends at %lxh, too early for protocol %u.%02u",
                         kernel->header_end, kernel->version >> 8, kernel->version & 0xFF);
    if (!(image[HDR_LOADFLAGS] & LOADED_HIGH))
        return load_fail(result, LOAD_UNSUPPORTED,
                         "an old zImage that loads below 1 MB, a bzImage is needed");
    return true;
}

static bool find_payload(const struct load_request *request, struct linux_kernel *kernel,
                         struct load_result *result)
{
    unsigned sectors = request->image[HDR_START] ? request->image[HDR_START] : 4;
    kernel->payload = (sectors + 1) * SECTOR;
    if (request->image_size <= kernel->payload)
        return load_fail(result, LOAD_TRUNCATED,
                         "the kernel is truncated: its set-up code alone has %lu bytes, the image %lu",
                         kernel->payload, request->image_size);
    uint64_t rest = request->image_size - kernel->payload;
    uint64_t said = UINT64_C(16) * load_le32(request->image + HDR_SYSSIZE);
    if (kernel->version < 0x204) /* only 16 bits of syssize are reliable then */
        said = rest;
    if (rest + 15 < said)
        return load_fail(result, LOAD_TRUNCATED, "the kernel is truncated: it has %lu bytes of %lu",
                         request->image_size, kernel->payload + said);
    kernel->payload_size = MIN(rest, said);
    if (kernel->payload_size <= (kernel->entry64 ? LINUX_ENTRY_64 : 0))
        return load_fail(result, LOAD_MALFORMED, "the kernel has no code at its entry");
    return true;
}

/* Choice 1. */
static bool find_place(const uint8_t *image, struct linux_kernel *kernel, struct load_result *result)
{
    uint64_t alignment = 1;
    kernel->load_gpa = E820_HIGH;
    if (kernel->version >= 0x20A)
        kernel->load_gpa = load_le64(image + HDR_PREF_ADDRESS);
    if (kernel->version >= 0x205 && image[HDR_RELOCATABLE])
        alignment = load_le32(image + HDR_KERNEL_ALIGNMENT);
    if (alignment == 0 || (alignment & (alignment - 1)) != 0)
        return load_fail(result, LOAD_MALFORMED, "the kernel's alignment %lxh is no power of two", alignment);
    if (kernel->load_gpa < E820_HIGH || kernel->load_gpa >= MEMORY_HOLE_START)
        return load_fail(result, LOAD_MALFORMED,
                         "the kernel wants to be at %lxh, outside the memory from 1 MB to 3 GB",
                         kernel->load_gpa);
    kernel->load_gpa = ALIGN_UP(kernel->load_gpa, alignment);
    kernel->run_size = kernel->payload_size;
    if (kernel->version >= 0x20A)
        kernel->run_size = MAX(kernel->run_size, (uint64_t)load_le32(image + HDR_INIT_SIZE));
    return true;
}

/* "Linux " and the release, the first word of the version string; other programs' strings as they are. */
static void describe(const struct load_request *request, const struct linux_kernel *kernel,
                     struct load_result *result)
{
    char text[64];
    size_t length = 0;
    uint64_t start = load_le16(request->image + HDR_KERNEL_VERSION) + SECTOR;
    bool is_linux = false;
    for (uint64_t at = start; start > SECTOR && at < kernel->payload && length < sizeof text - 1; at++) {
        char c = (char)request->image[at];
        if (at == start)
            is_linux = c >= '0' && c <= '9';
        if (c < ' ' || c > '~' || (is_linux && c == ' '))
            break;
        text[length++] = c;
    }
    text[length] = 0;
    if (length)
        fmt_snprintf(result->description, sizeof result->description, "%s%s", is_linux ? "Linux " : "", text);
    else
        fmt_snprintf(result->description, sizeof result->description, "kernel of Linux boot protocol %u.%02u",
                     kernel->version >> 8, kernel->version & 0xFF);
}

bool linux_header_read(const struct load_request *request, struct linux_kernel *kernel,
                       struct load_result *result)
{
    const uint8_t *image = request->image;
    kernel->version = load_le16(image + HDR_VERSION);
    kernel->header_end = MIN((uint64_t)HDR_MAGIC + image[HDR_JUMP_OFFSET], (uint64_t)HDR_LIMIT);
    if (request->image_size < kernel->header_end)
        return load_fail(result, LOAD_TRUNCATED,
                         "the kernel is truncated: its boot header ends at %lu, the image at %lu",
                         kernel->header_end, request->image_size);
    if (!check_version(image, kernel, result))
        return false;
    kernel->entry64 = kernel->version >= 0x20C && (load_le16(image + HDR_XLOADFLAGS) & XLF_KERNEL_64);
    kernel->command_line_max = kernel->version >= 0x206 ? load_le32(image + HDR_CMDLINE_SIZE) : 255;
    kernel->command_line_max = MIN(kernel->command_line_max, LINUX_COMMAND_LINE_BYTES - 1);
    kernel->initrd_end =
        kernel->version >= 0x203 ? load_le32(image + HDR_INITRD_ADDR_MAX) + UINT64_C(1) : 0x38000000;
    if (!find_payload(request, kernel, result) || !find_place(image, kernel, result))
        return false;
    describe(request, kernel, result);
    return true;
}
