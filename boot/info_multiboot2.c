/* Multiboot 2 information -> struct boot_info. Source: Multiboot2 Specification 2.0, "Boot information
 * format". */
#include "boot/boot_info.h"
#include "boot/multiboot2.h"
#include "lib/string.h"

static void read_memory_map(struct boot_info *info, const char *tag, uint32_t size)
{
    uint32_t entry_size;

    if (size < 16)
        return;
    memcpy(&entry_size, tag + 8, sizeof entry_size);
    if (entry_size < sizeof(struct mb2_range))
        return;
    for (uint32_t at = 16; at <= size && size - at >= entry_size; at += entry_size) {
        struct mb2_range range;

        memcpy(&range, tag + at, sizeof range);
        boot_info_add_range(info, range.base, range.length, range.type == MB2_AVAILABLE);
    }
}

static void read_module(struct boot_info *info, const char *tag, uint32_t size)
{
    uint32_t bounds[2];

    if (size < 16)
        return;
    memcpy(bounds, tag + 8, sizeof bounds);
    boot_info_add_module(info, bounds[0], bounds[1], tag + 16, size - 16);
}

/* The colours stand behind two reserved bytes. */
static void read_framebuffer(struct boot_info *info, const char *tag, uint32_t size)
{
    if (size >= 8 + BOOT_FRAMEBUFFER_SIZE + 2 + 6)
        boot_info_set_screen(info, tag + 8, BOOT_FRAMEBUFFER_SIZE + 2);
}

void boot_info_from_multiboot2(struct boot_info *info, const void *table, const void *memory)
{
    const char *base = table;
    uint32_t total;

    memcpy(&total, base, sizeof total);
    for (uint32_t at = 8; at < total && total - at >= sizeof(struct mb2_tag);) {
        const char *tag = base + at;
        struct mb2_tag head;

        memcpy(&head, tag, sizeof head);
        if (head.type == MB2_TAG_END || head.size < sizeof head || head.size > total - at)
            return;
        if (head.type == MB2_TAG_CMDLINE)
            info->command_line = boot_info_copy_string(info, tag + 8, head.size - 8);
        else if (head.type == MB2_TAG_LOADER_NAME)
            info->loader = boot_info_copy_string(info, tag + 8, head.size - 8);
        else if (head.type == MB2_TAG_MODULE)
            read_module(info, tag, head.size);
        else if (head.type == MB2_TAG_MMAP)
            read_memory_map(info, tag, head.size);
        else if (head.type == MB2_TAG_FRAMEBUFFER)
            read_framebuffer(info, tag, head.size);
        else if (head.type == MB2_TAG_ACPI_NEW || (head.type == MB2_TAG_ACPI_OLD && !info->rsdp))
            info->rsdp = (uint64_t)(tag + 8 - (const char *)memory);
        at += ALIGN_UP(head.size, MB2_ALIGNMENT);
    }
}
