/*
 * Multiboot 1 information -> struct boot_info. Source: Multiboot Specification 0.6.96, "Boot information
 * format". Everything in it is 32 bits, so all of it lies in the first 4 GB, which the boot page tables map.
 */
#include "boot/boot_info.h"
#include "lib/string.h"

struct mb1_info {
    uint32_t flags;
    uint32_t mem_lower, mem_upper; /* KB */
    uint32_t boot_device;
    uint32_t cmdline;
    uint32_t mods_count, mods_addr;
    uint32_t syms[4];
    uint32_t mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
    uint32_t apm_table;
    uint32_t vbe[4];
    char framebuffer[BOOT_FRAMEBUFFER_SIZE + 6];
};
_Static_assert(offsetof(struct mb1_info, mmap_length) == 44, "Multiboot 1 information layout");
_Static_assert(offsetof(struct mb1_info, framebuffer) == 88, "Multiboot 1 information layout");
_Static_assert(offsetof(struct mb1_info, boot_loader_name) == 64, "Multiboot 1 information layout");

struct mb1_module {
    uint32_t start, end, string, reserved;
};

struct mb1_range {
    uint32_t size; /* of the rest of the entry */
    uint64_t base, length;
    uint32_t type; /* 1: usable RAM */
} __attribute__((packed));

#define MB1_MEMORY      BIT(0)
#define MB1_CMDLINE     BIT(2)
#define MB1_MODS        BIT(3)
#define MB1_MMAP        BIT(6)
#define MB1_LOADER_NAME BIT(9)
#define MB1_FRAMEBUFFER BIT(12)

#define STRING_MOST 4096

static void read_memory_map(struct boot_info *info, const struct mb1_info *mb, const char *memory)
{
    uint32_t at = 0;

    while (at < mb->mmap_length && mb->mmap_length - at >= sizeof(struct mb1_range)) {
        struct mb1_range range;

        memcpy(&range, memory + mb->mmap_addr + at, sizeof range);
        boot_info_add_range(info, range.base, range.length, range.type == 1);
        if (range.size > UINT32_MAX - 4 - at)
            return;
        at += range.size + 4;
    }
}

void boot_info_from_multiboot1(struct boot_info *info, const void *table, const void *memory)
{
    const char *base = memory;
    struct mb1_info mb;

    memcpy(&mb, table, sizeof mb);
    if (mb.flags & MB1_CMDLINE)
        info->command_line = boot_info_copy_string(info, base + mb.cmdline, STRING_MOST);
    if (mb.flags & MB1_LOADER_NAME)
        info->loader = boot_info_copy_string(info, base + mb.boot_loader_name, 64);
    if (mb.flags & MB1_FRAMEBUFFER)
        boot_info_set_screen(info, mb.framebuffer, BOOT_FRAMEBUFFER_SIZE);
    if (mb.flags & MB1_MMAP) {
        read_memory_map(info, &mb, base);
    } else if (mb.flags & MB1_MEMORY) {
        boot_info_add_range(info, 0, (uint64_t)mb.mem_lower << 10, true);
        boot_info_add_range(info, 0x100000, (uint64_t)mb.mem_upper << 10, true);
    }
    for (uint32_t i = 0; (mb.flags & MB1_MODS) && i < mb.mods_count; i++) {
        struct mb1_module module;

        memcpy(&module, base + mb.mods_addr + i * sizeof module, sizeof module);
        boot_info_add_module(info, module.start, module.end, module.string ? base + module.string : "",
                             STRING_MOST);
    }
}
