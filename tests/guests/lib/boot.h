/* What the loader handed over; set by boot.c before guest_run(). */
#ifndef GUEST_BOOT_H
#define GUEST_BOOT_H

#include <stdint.h>

struct multiboot_info {
    uint32_t flags, mem_lower_kb, mem_upper_kb, boot_device, cmdline, mods_count, mods_addr;
};
extern const struct multiboot_info *multiboot_info; /* start.asm */
extern const char *command_line;                    /* never NULL */

#endif
