/*
 * The Linux loader: see load_linux.h. The setup header is read by load_linux_header.c; this file places and
 * writes the kernel, the initrd, the command line, boot_params, page tables and GDT. Left out: zImage,
 * protocols before 2.02 (they need a BIOS), EFI, setup_data, addresses above 4 GB.
 *
 * What the protocol leaves open, each pinned in tests/unit/test_load_linux.c:
 * 1. A relocatable kernel too is loaded at its preferred address: loaded below, it would move itself there.
 * 2. The initrd goes as high as the kernel and the RAM below the hole allow.
 * 3. A command line that is too long is an error, never cut.
 * 4. Bytes behind syssize (signatures) are not loaded.
 */
#include "guest/load_linux.h"
#include "guest/e820.h"
#include "guest/load_linux_header.h"
#include "lib/string.h"

/* boot_params beside the header ("Zero Page"), and struct screen_info at its start. */
enum {
    BP_EXT_MEM_K = 0x02,
    BP_VIDEO_MODE = 0x06,
    BP_VIDEO_COLS = 0x07,
    BP_VIDEO_LINES = 0x0E,
    BP_VIDEO_IS_VGA = 0x0F,
    BP_VIDEO_POINTS = 0x10,
    BP_ACPI_RSDP = 0x70,
    BP_ALT_MEM_K = 0x1E0,
    BP_E820_ENTRIES = 0x1E8,
    BP_E820_TABLE = 0x2D0,
};

static bool write_kernel(struct guest_memory *memory, const struct load_request *request,
                         const struct linux_kernel *kernel, struct load_result *result)
{
    if (!load_is_usable(memory, kernel->load_gpa, kernel->run_size))
        return load_fail(result, LOAD_NO_MEMORY,
                         "guest memory too small: the kernel needs at least %lu MB, the guest has %lu",
                         load_megabytes(kernel->load_gpa + kernel->run_size), memory->ram_bytes >> 20);
    result->image_gpa = kernel->load_gpa;
    result->image_length = kernel->run_size;
    return guest_mem_write(memory, kernel->load_gpa, request->image + kernel->payload, kernel->payload_size);
}

/* Choice 2. The pieces stand on 4-byte boundaries, as the kernel's cpio reader expects of joined archives. */
static bool write_initrd(struct guest_memory *memory, const struct load_request *request,
                         struct linux_kernel *kernel, struct load_result *result)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < request->module_count; i++) {
        if (request->modules[i].size > UINT32_MAX)
            return load_fail(result, LOAD_MODULES_TOO_LARGE, "the initrd is larger than 4 GB");
        size = ALIGN_UP(size, UINT64_C(4)) + request->modules[i].size;
    }
    if (size == 0)
        return true;
    uint64_t floor = ALIGN_UP(kernel->load_gpa + kernel->run_size, MEMORY_PAGE);
    uint64_t end = MIN(kernel->initrd_end, guest_mem_low_bytes(memory->ram_bytes));
    uint64_t gpa = end >= size ? ALIGN_DOWN(end - size, MEMORY_PAGE) : 0;
    if (gpa < floor || !load_is_usable(memory, gpa, size))
        return load_fail(result, LOAD_MODULES_TOO_LARGE,
                         "the initrd of %lu KB does not fit: %lu KB are free between the kernel and %lu MB",
                         (size + 1023) >> 10, end > floor ? (end - floor) >> 10 : 0, end >> 20);
    kernel->initrd_gpa = result->modules_gpa = gpa;
    kernel->initrd_size = result->modules_length = size;
    uint64_t at = gpa;
    for (unsigned i = 0; i < request->module_count; i++) {
        at = ALIGN_UP(at, UINT64_C(4));
        guest_mem_write(memory, at, request->modules[i].data, request->modules[i].size);
        at += request->modules[i].size;
    }
    return true;
}

/* Choice 3. */
static bool write_command_line(struct guest_memory *memory, const struct load_request *request,
                               const struct linux_kernel *kernel, struct load_result *result)
{
    const char *line = request->command_line ? request->command_line : "";
    uint64_t length = strlen(line);
    if (length > kernel->command_line_max)
        return load_fail(result, LOAD_COMMAND_LINE_TOO_LONG,
                         "the command line has %lu bytes, this kernel takes %lu", length,
                         kernel->command_line_max);
    if (!guest_mem_write(memory, LINUX_COMMAND_LINE, line, length + 1))
        return load_fail(result, LOAD_NO_MEMORY, "no guest memory for the command line");
    return true;
}

static void put16(uint8_t *page, unsigned offset, uint64_t value)
{
    memcpy(page + offset, &value, 2);
}

static void put32(uint8_t *page, unsigned offset, uint64_t value)
{
    memcpy(page + offset, &value, 4);
}

static void put64(uint8_t *page, unsigned offset, uint64_t value)
{
    memcpy(page + offset, &value, 8);
}

static void fill_memory_and_screen(uint8_t *page, const struct guest_memory *memory)
{
    struct e820_entry entries[E820_ENTRIES];
    unsigned count = e820_build(memory->ram_bytes, entries);
    uint64_t extended_k = (guest_mem_low_bytes(memory->ram_bytes) - E820_HIGH) >> 10;
    memcpy(page + BP_E820_TABLE, entries, count * sizeof entries[0]);
    page[BP_E820_ENTRIES] = (uint8_t)count;
    put32(page, BP_ALT_MEM_K, extended_k);
    put16(page, BP_EXT_MEM_K, MIN(extended_k, UINT64_C(0xFFFF)));
    page[BP_VIDEO_MODE] = 3;
    page[BP_VIDEO_COLS] = 80;
    page[BP_VIDEO_LINES] = 25;
    page[BP_VIDEO_IS_VGA] = 1;
    put16(page, BP_VIDEO_POINTS, 16);
}

static bool write_boot_params(struct guest_memory *memory, const struct load_request *request,
                              const struct linux_kernel *kernel, struct load_result *result)
{
    uint8_t *page = guest_mem_map(memory, LINUX_BOOT_PARAMS, MEMORY_PAGE);
    if (!page)
        return load_fail(result, LOAD_NO_MEMORY, "no guest memory for the boot parameters");
    memset(page, 0, MEMORY_PAGE);
    memcpy(page + HDR_START, request->image + HDR_START, kernel->header_end - HDR_START);
    put16(page, HDR_VID_MODE, 0xFFFF); /* "normal": as the firmware left it */
    page[HDR_TYPE_OF_LOADER] = 0xFF;   /* without a number of its own */
    put32(page, HDR_CODE32_START, kernel->load_gpa);
    put32(page, HDR_RAMDISK_IMAGE, kernel->initrd_gpa);
    put32(page, HDR_RAMDISK_SIZE, kernel->initrd_size);
    put32(page, HDR_CMD_LINE_PTR, LINUX_COMMAND_LINE);
    if (kernel->version >= 0x207)
        put32(page, HDR_SUBARCH, 0); /* a PC */
    if (kernel->version >= 0x209)
        put64(page, HDR_SETUP_DATA, 0);
    put64(page, BP_ACPI_RSDP, request->acpi_rsdp_gpa);
    fill_memory_and_screen(page, memory);
    guest_mem_dirty(memory, LINUX_BOOT_PARAMS, MEMORY_PAGE);
    return true;
}

/* AMD64 APM vol. 2, "2-Mbyte Page Translation": one PML4 page, one PDPT page, four page directories. */
static bool write_page_tables(struct guest_memory *memory, struct load_result *result)
{
    const uint64_t present_writable = 3, large = 0x80;
    const uint64_t bytes = 6 * MEMORY_PAGE;
    uint8_t *tables = guest_mem_map(memory, LINUX_PAGE_TABLES, bytes);
    if (!tables)
        return load_fail(result, LOAD_NO_MEMORY, "no guest memory for the first page tables");
    memset(tables, 0, bytes);
    put64(tables, 0, (LINUX_PAGE_TABLES + MEMORY_PAGE) | present_writable);
    for (unsigned i = 0; i < 4; i++)
        put64(tables, 0x1000 + 8 * i, (LINUX_PAGE_TABLES + (2 + i) * MEMORY_PAGE) | present_writable);
    for (unsigned i = 0; i < 4 * 512; i++)
        put64(tables, 0x2000 + 8 * i, (uint64_t)i << 21 | large | present_writable);
    guest_mem_dirty(memory, LINUX_PAGE_TABLES, bytes);
    return true;
}

/* "32-bit Boot Protocol" and "64-bit Boot Protocol": flat segments, interrupts off, boot_params in RSI. */
static bool set_cpu(struct guest_memory *memory, const struct linux_kernel *kernel,
                    struct load_result *result)
{
    struct load_cpu *cpu = &result->cpu;
    cpu->mode = kernel->entry64 ? LOAD_LONG64 : LOAD_PROTECTED32;
    cpu->rip = kernel->load_gpa + (kernel->entry64 ? LINUX_ENTRY_64 : 0);
    cpu->rsp = LINUX_BOOT_PARAMS;
    cpu->rsi = LINUX_BOOT_PARAMS;
    cpu->rflags = 2;
    cpu->cr0 = 0x11; /* PE, ET */
    if (kernel->entry64) {
        cpu->cr0 |= BIT(31); /* PG */
        cpu->cr3 = LINUX_PAGE_TABLES;
        cpu->cr4 = BIT(5);            /* PAE */
        cpu->efer = BIT(8) | BIT(10); /* LME, LMA */
        if (!write_page_tables(memory, result))
            return false;
    }
    if (!load_flat_segments(memory, cpu, LINUX_GDT))
        return load_fail(result, LOAD_NO_MEMORY, "no guest memory for the first descriptor table");
    return true;
}

bool load_linux_matches(const struct load_request *request)
{
    return linux_header_matches(request);
}

bool load_linux(struct guest_memory *memory, const struct load_request *request, struct load_result *result)
{
    struct linux_kernel kernel;
    memset(&kernel, 0, sizeof kernel);
    result->protocol = LOAD_LINUX;
    return linux_header_read(request, &kernel, result) && write_kernel(memory, request, &kernel, result) &&
           write_initrd(memory, request, &kernel, result) &&
           write_command_line(memory, request, &kernel, result) &&
           write_boot_params(memory, request, &kernel, result) && set_cpu(memory, &kernel, result);
}
