/*
 * The part of a VGA that text-mode software touches: registers, the text buffer as seen by a reader, and the
 * retrace bits.
 *
 * Models: CRT controller (3D4h/3D5h), attribute controller (3C0h/3C1h), sequencer (3C4h/3C5h), graphics
 * controller (3CEh/3CFh), palette DAC (3C6h to 3C9h), miscellaneous output, feature control, input status 0
 * and 1. All registers are stored and read back. Input status 1 (3DAh) follows guest time: 28.322 MHz dots,
 * 900 a line, 449 lines a frame (31.469 kHz, 70.09 Hz).
 *
 * Leaves out: graphics modes, planes, fonts; the monochrome addresses (3B4h, 3B5h, 3BAh are unclaimed);
 * timing by the CRTC's registers; the vertical interrupt. The text buffer at b8000h is ordinary guest RAM
 * given by the wiring.
 *
 * Called by the port bus in the monitor on the CPU that owns the VM; the readers also by the console on that
 * CPU. No deadlines: the retrace bits are computed when read.
 *
 * Sources: IBM, "PS/2 Hardware Interface Technical Reference", Video Subsystem (register layouts, mode 3
 * values); VESA DMT 720x400 at 70 Hz.
 *
 * Choices (tests/unit/test_vga_text.c):
 *  1. Reset leaves mode 3 as a video BIOS does: 80x25, cursor at 0,0, EGA palette, screen cleared by the
 *     wiring's zeroed RAM (test_reset).
 *  2. The CRTC answers at 3D4h whatever the address bit of miscellaneous output says (test_misc_output).
 *  3. Registers that do not exist read 0 and are not stored (test_absent_registers).
 *  4. The frame is 720x400 at all times; retrace is lines 412 and 413 (test_retrace_grid).
 *  5. Input status 0 reads 10h: a colour display answers the sense line (test_misc_output).
 */
#ifndef DEVICES_VGA_TEXT_H
#define DEVICES_VGA_TEXT_H

#include "hv/devapi/bus.h"
#include "hv/devapi/clock.h"
#include "hv/devapi/device.h"
#include "lib/ratio.h"

#define VGA_TEXT_STATE_VERSION 1
#define VGA_TEXT_RAM_SIZE      32768 /* bytes at b8000h */
#define VGA_TEXT_COLUMNS       80
#define VGA_TEXT_ROWS          25
/* Enough for any screen with its terminator: each cell at most 3 bytes of UTF-8, and the newlines. */
#define VGA_TEXT_SCREEN_SIZE (VGA_TEXT_ROWS * (VGA_TEXT_COLUMNS * 3 + 1) + 1)

#define VGA_TEXT_CRTC      25
#define VGA_TEXT_ATTRIBUTE 21
#define VGA_TEXT_SEQUENCER 5
#define VGA_TEXT_GRAPHICS  9

struct vga_text_dac {
    uint8_t palette[256][3];
    uint8_t mask;
    uint8_t read_index;
    uint8_t write_index;
    uint8_t component; /* 0 to 2: which of red, green, blue comes next */
    uint8_t mode;      /* what 3C7h gives: 0 after a write index, 3 after a read index */
};

struct vga_text_state {
    uint8_t crtc_index;
    uint8_t crtc[VGA_TEXT_CRTC];
    uint8_t attribute_index; /* with bit 5, palette address source */
    uint8_t attribute_data;  /* the flip-flop: 1 when the next write to 3C0h is data */
    uint8_t attribute[VGA_TEXT_ATTRIBUTE];
    uint8_t sequencer_index;
    uint8_t sequencer[VGA_TEXT_SEQUENCER];
    uint8_t graphics_index;
    uint8_t graphics[VGA_TEXT_GRAPHICS];
    uint8_t misc_output;
    uint8_t feature_control;
    uint8_t enable; /* 3C3h */
    struct vga_text_dac dac;
};

struct vga_text {
    struct vga_text_state state;
    const struct guest_clock *clock;
    struct grid dots;
    const uint8_t *ram;         /* VGA_TEXT_RAM_SIZE bytes */
    struct bus_region ports[3]; /* for bus_add(): 3C0h to 3CFh, 3D4h and 3D5h, 3DAh */
    struct device device;
};

/* ram: the guest RAM at b8000h, VGA_TEXT_RAM_SIZE bytes, valid as long as the device. The clock's rate must
 * be set. */
void vga_text_init(struct vga_text *vga, const struct guest_clock *clock, const uint8_t *ram);

/*
 * The screen from the CRTC's start address as VGA_TEXT_ROWS lines of UTF-8, each ended by a newline, blanks
 * at their ends cut. Always terminated when size > 0, and no character is cut in two. Returns the length the
 * whole text has.
 */
size_t vga_text_screen(const struct vga_text *vga, char *buffer, size_t size);

/* The cursor's place on that screen, from 0. False when it is switched off or outside; then nothing is
 * stored. */
bool vga_text_cursor(const struct vga_text *vga, unsigned *column, unsigned *row);

#endif
