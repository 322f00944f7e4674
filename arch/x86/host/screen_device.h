/*
 * What screen.c draws on. A device first tells its size in cells, is given its memory's address, and then
 * draws cells. None of them reads its memory after open.
 */
#ifndef ARCH_X86_HOST_SCREEN_DEVICE_H
#define ARCH_X86_HOST_SCREEN_DEVICE_H

#include "arch/x86/host/terminal.h"
#include "boot/boot_info.h"

struct screen_device {
    const char *name;
    /* Is it there, and of a kind that can be drawn on? Then its size in cells, and its memory. */
    bool (*open)(const struct boot_screen *screen, unsigned *columns, unsigned *rows);
    /* Where its memory is now. False: nobody answers there after all. */
    bool (*place)(volatile void *memory);
    terminal_draw *draw;
    void (*clear)(void);
    uint64_t address, size; /* of its memory, after open */
};

extern struct screen_device framebuffer_screen, vga_screen;

#endif
