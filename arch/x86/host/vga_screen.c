/*
 * VGA text, 80 by 25, as a screen of cells. Source: IBM VGA; the CRT controller's cursor and start address
 * registers at 3D4h.
 */
#include "arch/x86/asm.h"
#include "arch/x86/host/screen_device.h"

#define ADDRESS      UINT64_C(0xB8000)
#define SIZE         0x8000u
#define COLUMNS      80u
#define ROWS         25u
#define ATTRIBUTE    0x07u
#define CRTC         0x3D4
#define CURSOR_START 0x0A
#define START_HIGH   0x0C
#define START_LOW    0x0D
#define CURSOR_OFF   0x20

static volatile uint16_t *cells;

/* Any kind of screen but pixels: whether a VGA answers is seen by its memory (place()). */
static bool open(const struct boot_screen *screen, unsigned *columns, unsigned *rows)
{
    *columns = COLUMNS;
    *rows = ROWS;
    return screen->kind == BOOT_SCREEN_TEXT || screen->kind == BOOT_SCREEN_UNKNOWN;
}

/* The second cell takes what the bus itself may still hold. */
static bool answers(void)
{
    uint16_t was[2] = {cells[0], cells[1]};

    cells[0] = 0x5AA5;
    cells[1] = 0xA55A;
    bool good = cells[0] == 0x5AA5 && cells[1] == 0xA55A;
    cells[0] = was[0];
    cells[1] = was[1];
    return good;
}

static bool place(volatile void *memory)
{
    cells = memory;
    return answers();
}

static void draw(unsigned row, unsigned column, uint8_t character)
{
    cells[row * COLUMNS + column] =
        (uint16_t)(ATTRIBUTE << 8 | (character == TERMINAL_OTHER ? '?' : character));
}

static void set_register(uint8_t index, uint8_t value)
{
    outb(CRTC, index);
    outb(CRTC + 1, value);
}

static void clear(void)
{
    set_register(START_HIGH, 0);
    set_register(START_LOW, 0);
    set_register(CURSOR_START, CURSOR_OFF);
    for (unsigned i = 0; i < COLUMNS * ROWS; i++)
        cells[i] = ATTRIBUTE << 8 | ' ';
}

struct screen_device vga_screen = {.name = "VGA text",
                                   .open = open,
                                   .place = place,
                                   .draw = draw,
                                   .clear = clear,
                                   .address = ADDRESS,
                                   .size = SIZE};
