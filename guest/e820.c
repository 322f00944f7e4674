/*
 * E820 map and BIOS data area: see e820.h. The BIOS data area's fields are those of the IBM PC/AT Technical
 * Reference, "BIOS Data Area"; Linux looks up 40Eh and 413h to find the extended area, others the text mode
 * and the serial port.
 */
#include "guest/e820.h"
#include "lib/string.h"

unsigned e820_build(uint64_t ram_bytes, struct e820_entry entries[E820_ENTRIES])
{
    uint64_t low = guest_mem_low_bytes(ram_bytes);
    unsigned count = 0;
    entries[count++] = (struct e820_entry){0, E820_EBDA, E820_USABLE};
    entries[count++] = (struct e820_entry){E820_EBDA, E820_EBDA_END - E820_EBDA, E820_RESERVED};
    entries[count++] = (struct e820_entry){E820_BIOS, E820_HIGH - E820_BIOS, E820_RESERVED};
    if (low > E820_HIGH)
        entries[count++] = (struct e820_entry){E820_HIGH, low - E820_HIGH, E820_USABLE};
    if (ram_bytes > low)
        entries[count++] = (struct e820_entry){MEMORY_HOLE_END, ram_bytes - low, E820_USABLE};
    return count;
}

/* A byte or a little-endian word of the BIOS data area. */
struct bios_datum {
    uint16_t offset; /* from 400h */
    uint8_t width;
    uint16_t value;
};

static const struct bios_datum bios_data[] = {
    {0x00, 2, 0x3F8},           /* COM1 */
    {0x0E, 2, E820_EBDA >> 4},  /* segment of the extended area */
    {0x10, 2, 0x0222},          /* equipment: coprocessor, 80x25 colour, one serial port */
    {0x13, 2, E820_EBDA >> 10}, /* KB of base memory */
    {0x49, 1, 0x03},            /* video mode */
    {0x4A, 2, 80},              /* columns */
    {0x4C, 2, 0x1000},          /* bytes per page */
    {0x60, 2, 0x0607},          /* cursor's scan lines */
    {0x63, 2, 0x3D4},           /* CRTC */
    {0x84, 1, 24},              /* rows less one */
    {0x85, 2, 16},              /* scan lines per character */
};

bool bios_data_write(struct guest_memory *memory)
{
    uint8_t area[0x100];
    memset(area, 0, sizeof area);
    for (size_t i = 0; i < ARRAY_SIZE(bios_data); i++)
        memcpy(area + bios_data[i].offset, &bios_data[i].value, bios_data[i].width);
    uint8_t ebda_kilobytes = (E820_EBDA_END - E820_EBDA) >> 10;
    return guest_mem_write(memory, 0x400, area, sizeof area) &&
           guest_mem_write(memory, E820_EBDA, &ebda_kilobytes, sizeof ebda_kilobytes);
}
