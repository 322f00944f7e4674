/*
 * What a Multiboot guest is told: modules, memory map, command line, the text screen, and its first CPU
 * state. See load_multiboot.h. Source: Multiboot Specification 0.6.96, "Boot information format", "Machine
 * state".
 *
 * Modules stand behind the image, each on a page boundary, from 1 MB up. The information is one block: the
 * structure, GDT, memory map, module list, strings; at 10000h, or behind the modules when the image is there.
 */
#include "guest/e820.h"
#include "guest/load_multiboot.h"
#include "lib/string.h"

enum {
    INFO_FLAGS = 0,
    INFO_MEM_LOWER = 4,
    INFO_MEM_UPPER = 8,
    INFO_CMDLINE = 16,
    INFO_MODS_COUNT = 20,
    INFO_MODS_ADDR = 24,
    INFO_MMAP_LENGTH = 44,
    INFO_MMAP_ADDR = 48,
    INFO_BOOT_LOADER_NAME = 64,
    INFO_FRAMEBUFFER_ADDR = 88,
    INFO_FRAMEBUFFER_PITCH = 96,
    INFO_FRAMEBUFFER_WIDTH = 100,
    INFO_FRAMEBUFFER_HEIGHT = 104,
    INFO_FRAMEBUFFER_BPP = 108,
    INFO_FRAMEBUFFER_TYPE = 109,
    INFO_BYTES = 120,
};

#define INFO_HAS_MEMORY      BIT(0)
#define INFO_HAS_CMDLINE     BIT(2)
#define INFO_HAS_MODULES     BIT(3)
#define INFO_HAS_MMAP        BIT(6)
#define INFO_HAS_LOADER_NAME BIT(9)
#define INFO_HAS_FRAMEBUFFER BIT(12)

#define FRAMEBUFFER_EGA_TEXT 2
#define MMAP_ENTRY_BYTES     24
#define MODULE_ENTRY_BYTES   16
#define INFO_LOW_END         UINT64_C(0x90000)

static const char loader_name[] = "Verge";

/* The block of information while it is written. Sized beforehand, so that it can't overflow. */
struct block {
    uint8_t *host;
    uint64_t gpa;
    uint64_t used, size;
};

static uint64_t text_bytes(const char *text)
{
    return text ? strlen(text) + 1 : 1;
}

static uint64_t block_bytes(const struct load_request *request)
{
    uint64_t bytes = INFO_BYTES + LOAD_GDT_BYTES + E820_ENTRIES * MMAP_ENTRY_BYTES + sizeof loader_name;
    bytes += text_bytes(load_base_name(request->name)) + text_bytes(request->command_line);
    for (unsigned i = 0; i < request->module_count; i++)
        bytes += MODULE_ENTRY_BYTES + text_bytes(request->modules[i].text);
    return bytes;
}

static void put32(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, 4);
}

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, 8);
}

/* Returns the host address of the next `bytes` of the block and stores their gpa. */
static uint8_t *take(struct block *block, uint64_t bytes, uint64_t *gpa)
{
    uint8_t *at = block->host + block->used;
    *gpa = block->gpa + block->used;
    block->used += bytes;
    return at;
}

static uint64_t put_text(struct block *block, const char *text)
{
    uint64_t gpa, bytes = text_bytes(text);
    uint8_t *at = take(block, bytes, &gpa);
    memcpy(at, text ? text : "", bytes);
    return gpa;
}

/* ---- modules ---- */

/* Sets where each goes; false when they do not fit. *end: behind the last one, page aligned. */
static bool place_modules(struct guest_memory *memory, const struct load_request *request,
                          const struct multiboot_image *image, uint64_t gpas[LOAD_MODULES], uint64_t *end,
                          struct load_result *result)
{
    uint64_t at = ALIGN_UP(MAX(image->high, E820_HIGH), MEMORY_PAGE);
    uint64_t start = at;
    for (unsigned i = 0; i < request->module_count; i++) {
        if (!load_is_usable(memory, at, request->modules[i].size))
            return load_fail(result, LOAD_MODULES_TOO_LARGE,
                             "module %u of %lu KB does not fit into the guest's %lu MB behind %lu MB", i + 1,
                             (request->modules[i].size + 1023) >> 10, memory->ram_bytes >> 20,
                             load_megabytes(at));
        gpas[i] = at;
        at = ALIGN_UP(at + request->modules[i].size, MEMORY_PAGE);
    }
    if (request->module_count) {
        result->modules_gpa = start;
        result->modules_length = at - start;
    }
    *end = at;
    return true;
}

static uint64_t put_modules(struct guest_memory *memory, const struct load_request *request,
                            struct block *block, const uint64_t gpas[LOAD_MODULES])
{
    uint64_t list_gpa;
    uint8_t *list = take(block, (uint64_t)request->module_count * MODULE_ENTRY_BYTES, &list_gpa);
    for (unsigned i = 0; i < request->module_count; i++) {
        const struct load_module *module = &request->modules[i];
        guest_mem_write(memory, gpas[i], module->data, module->size);
        put32(list, gpas[i]);
        put32(list + 4, gpas[i] + module->size);
        put32(list + 8, put_text(block, module->text));
        list += MODULE_ENTRY_BYTES;
    }
    return list_gpa;
}

/* ---- the structure ---- */

static void put_memory_map(struct block *block, uint8_t *info, uint64_t ram_bytes)
{
    struct e820_entry entries[E820_ENTRIES];
    unsigned count = e820_build(ram_bytes, entries);
    uint64_t gpa;
    uint8_t *at = take(block, count * MMAP_ENTRY_BYTES, &gpa);
    put32(info + INFO_MMAP_ADDR, gpa);
    put32(info + INFO_MMAP_LENGTH, count * MMAP_ENTRY_BYTES);
    for (unsigned i = 0; i < count; i++, at += MMAP_ENTRY_BYTES) {
        put32(at, sizeof entries[0]); /* the size field does not count itself */
        memcpy(at + 4, &entries[i], sizeof entries[0]);
    }
    put32(info + INFO_MEM_LOWER, E820_EBDA >> 10);
    put32(info + INFO_MEM_UPPER, (guest_mem_low_bytes(ram_bytes) - E820_HIGH) >> 10);
}

/* The image's file name, a space, the words. */
static uint64_t put_command_line(struct block *block, const struct load_request *request)
{
    const char *name = load_base_name(request->name);
    uint64_t gpa = put_text(block, name);
    if (*name && request->command_line && *request->command_line)
        block->host[block->used - 1] = ' '; /* over the name's terminating 0 */
    else
        block->used--;
    put_text(block, request->command_line && *request->command_line ? request->command_line : "");
    return gpa;
}

static void put_screen(uint8_t *info)
{
    put64(info + INFO_FRAMEBUFFER_ADDR, 0xB8000);
    put32(info + INFO_FRAMEBUFFER_PITCH, 160);
    put32(info + INFO_FRAMEBUFFER_WIDTH, 80);
    put32(info + INFO_FRAMEBUFFER_HEIGHT, 25);
    info[INFO_FRAMEBUFFER_BPP] = 16;
    info[INFO_FRAMEBUFFER_TYPE] = FRAMEBUFFER_EGA_TEXT;
}

/* "Machine state": 32-bit protected mode, paging off, flat segments, EAX the magic, EBX the information. */
static bool set_cpu(struct guest_memory *memory, const struct multiboot_image *image, uint64_t info_gpa,
                    struct load_result *result)
{
    struct load_cpu *cpu = &result->cpu;
    cpu->mode = LOAD_PROTECTED32;
    cpu->rip = image->entry;
    cpu->rflags = 2;
    cpu->rax = MULTIBOOT_BOOTLOADER_MAGIC;
    cpu->rbx = info_gpa;
    cpu->cr0 = 0x11; /* PE, ET */
    return load_flat_segments(memory, cpu, info_gpa + INFO_BYTES);
}

static bool place_block(struct guest_memory *memory, const struct load_request *request,
                        const struct multiboot_image *image, uint64_t behind, struct block *block)
{
    block->size = block_bytes(request);
    block->gpa = MULTIBOOT_INFO_LOW;
    bool image_is_there = image->low < INFO_LOW_END && image->high > MULTIBOOT_INFO_LOW;
    if (image_is_there || block->size > INFO_LOW_END - MULTIBOOT_INFO_LOW)
        block->gpa = behind;
    if (!load_is_usable(memory, block->gpa, block->size))
        return false;
    block->host = guest_mem_map(memory, block->gpa, block->size);
    return true;
}

bool load_multiboot_info(struct guest_memory *memory, const struct load_request *request,
                         const struct multiboot_image *image, struct load_result *result)
{
    uint64_t gpas[LOAD_MODULES] = {0}, behind = 0, info_gpa, ignored;
    struct block block = {0};
    if (!place_modules(memory, request, image, gpas, &behind, result))
        return false;
    if (!place_block(memory, request, image, behind, &block))
        return load_fail(result, LOAD_NO_MEMORY, "guest memory too small: no room for the boot information");
    uint8_t *info = take(&block, INFO_BYTES, &info_gpa);
    take(&block, LOAD_GDT_BYTES, &ignored);
    put32(info + INFO_FLAGS, INFO_HAS_MEMORY | INFO_HAS_CMDLINE | INFO_HAS_MODULES | INFO_HAS_MMAP |
                                 INFO_HAS_LOADER_NAME | INFO_HAS_FRAMEBUFFER);
    put_memory_map(&block, info, memory->ram_bytes);
    put32(info + INFO_MODS_COUNT, request->module_count);
    put32(info + INFO_MODS_ADDR, put_modules(memory, request, &block, gpas));
    put32(info + INFO_CMDLINE, put_command_line(&block, request));
    put32(info + INFO_BOOT_LOADER_NAME, put_text(&block, loader_name));
    put_screen(info);
    guest_mem_dirty(memory, block.gpa, block.used);
    return set_cpu(memory, image, info_gpa, result);
}
