/* The parts of struct boot_info that all loaders share; the contract is in boot_info.h. */
#include "boot/boot_info.h"
#include "lib/string.h"

void boot_info_init(struct boot_info *info)
{
    memset(info, 0, sizeof *info);
    info->loader = "unknown";
    info->command_line = "";
}

const char *boot_info_copy_string(struct boot_info *info, const char *string, size_t most)
{
    size_t room = sizeof info->strings - info->strings_used;
    size_t length = 0;

    while (length < most && string[length])
        length++;
    if (room == 0) {
        info->dropped++;
        return "";
    }
    if (length > room - 1) {
        length = room - 1;
        info->dropped++;
    }
    char *copy = info->strings + info->strings_used;
    memcpy(copy, string, length);
    copy[length] = 0;
    info->strings_used += length + 1;
    return copy;
}

void boot_info_add_range(struct boot_info *info, uint64_t base, uint64_t length, bool usable)
{
    if (length == 0)
        return;
    if (info->range_count == BOOT_RANGES_MAX) {
        info->dropped++;
        return;
    }
    info->ranges[info->range_count++] = (struct boot_range){base, length, usable};
}

void boot_info_set_screen(struct boot_info *info, const char *framebuffer, size_t colors)
{
    enum { INDEXED, RGB, TEXT };
    struct boot_screen *screen = &info->screen;

    memcpy(&screen->address, framebuffer, sizeof screen->address);
    memcpy(&screen->pitch, framebuffer + 8, sizeof screen->pitch);
    memcpy(&screen->width, framebuffer + 12, sizeof screen->width);
    memcpy(&screen->height, framebuffer + 16, sizeof screen->height);
    screen->depth = (uint8_t)framebuffer[20];
    screen->kind = framebuffer[21] == RGB    ? BOOT_SCREEN_PIXELS
                   : framebuffer[21] == TEXT ? BOOT_SCREEN_TEXT
                                             : BOOT_SCREEN_OTHER;
    if (screen->kind != BOOT_SCREEN_PIXELS)
        return;
    memcpy(&screen->red, framebuffer + colors, sizeof screen->red);
    memcpy(&screen->green, framebuffer + colors + 2, sizeof screen->green);
    memcpy(&screen->blue, framebuffer + colors + 4, sizeof screen->blue);
}

void boot_info_add_module(struct boot_info *info, uint64_t start, uint64_t end, const char *string,
                          size_t most)
{
    if (info->module_count == BOOT_MODULES_MAX || end < start) {
        info->dropped++;
        return;
    }
    info->modules[info->module_count++] = (struct boot_module){
        .base = start, .size = end - start, .string = boot_info_copy_string(info, string, most)};
}
