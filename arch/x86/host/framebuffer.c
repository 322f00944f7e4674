/*
 * A linear framebuffer as a screen of cells: six by ten pixels each, times a whole number, so that a hundred
 * columns fit. Pixels of 15 to 32 bits. Source: Multiboot2 Specification 2.0, "Framebuffer info".
 */
#include "arch/x86/host/screen_device.h"

#define FONT_ROWS    9u
#define FONT_COLUMNS 5u
#define FIRST        0x20u
#define CELL_WIDTH   6u
#define CELL_HEIGHT  10u
#define COLUMNS_WISH 100u
#define GREY         0xC0u /* of 255 */
#define SIDE_MOST    16384u

static const uint8_t font[][FONT_ROWS] = {
#include "font.inc"
};
_Static_assert(sizeof font == 96 * FONT_ROWS, "20h to 7Fh");

static struct boot_screen mode;
static volatile uint8_t *pixels;
static unsigned scale, bytes; /* of a pixel */
static uint32_t ink;

static bool color_good(struct boot_color color)
{
    return color.bits && color.bits <= 16 && color.position + color.bits <= mode.depth;
}

static uint32_t shade(struct boot_color color)
{
    uint32_t most = (UINT32_C(1) << color.bits) - 1;

    return GREY * most / 255 << color.position;
}

static bool open(const struct boot_screen *screen, unsigned *columns, unsigned *rows)
{
    mode = *screen;
    bytes = (mode.depth + 7u) / 8;
    if (mode.kind != BOOT_SCREEN_PIXELS || bytes < 2 || bytes > 4 || !color_good(mode.red) ||
        !color_good(mode.green) || !color_good(mode.blue) || mode.width > SIDE_MOST ||
        mode.height > SIDE_MOST || mode.pitch < mode.width * bytes || mode.pitch > SIDE_MOST * 4 ||
        !mode.address)
        return false;
    ink = shade(mode.red) | shade(mode.green) | shade(mode.blue);
    scale = MAX(mode.width / (COLUMNS_WISH * CELL_WIDTH), 1u);
    *columns = mode.width / (CELL_WIDTH * scale);
    *rows = mode.height / (CELL_HEIGHT * scale);
    framebuffer_screen.address = mode.address;
    framebuffer_screen.size = (uint64_t)mode.pitch * mode.height;
    return *columns && *rows;
}

static bool place(volatile void *memory)
{
    pixels = memory;
    return true;
}

static void set_pixel(volatile uint8_t *at, uint32_t value)
{
    if (bytes == 4) {
        *(volatile uint32_t *)at = value; // NOLINT: pixels of 32 bits are aligned
        return;
    }
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

/* One line of pixels of a cell: the font's row, each of its bits `scale` pixels wide. */
static void draw_line(volatile uint8_t *at, unsigned bits)
{
    for (unsigned column = 0; column < CELL_WIDTH; column++) {
        uint32_t value = bits >> (FONT_COLUMNS - 1) & 1 ? ink : 0;

        for (unsigned i = 0; i < scale; i++, at += bytes)
            set_pixel(at, value);
        bits <<= 1;
    }
}

static void draw(unsigned row, unsigned column, uint8_t character)
{
    volatile uint8_t *line =
        pixels + (uint64_t)row * CELL_HEIGHT * scale * mode.pitch + column * CELL_WIDTH * scale * bytes;

    for (unsigned y = 0; y < CELL_HEIGHT * scale; y++, line += mode.pitch) {
        unsigned font_row = y / scale;

        draw_line(line, font_row < FONT_ROWS ? font[character - FIRST][font_row] : 0);
    }
}

static void clear(void)
{
    for (uint64_t y = 0; y < mode.height; y++)
        for (uint64_t x = 0; x < mode.width; x++)
            set_pixel(pixels + y * mode.pitch + x * bytes, 0);
}

struct screen_device framebuffer_screen = {
    .name = "framebuffer", .open = open, .place = place, .draw = draw, .clear = clear};
