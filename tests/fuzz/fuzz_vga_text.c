/*
 * Fuzzes the VGA's registers and the readers of its screen. A step is 5 bytes: the port and direction, the
 * value, and the time that passes before (a 16-bit number of guest cycles times a power of two). A second one
 * is restored before each step and must read the same.
 */
#include <stdlib.h>
#include <string.h>
#include "devices/vga_text.h"
#include "hv/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guest_clock guest;
static struct vga_text cards[2];

static void check(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t access_port(struct vga_text *vga, unsigned what, uint8_t value)
{
    const struct bus_region *region = &vga->ports[what % 3];
    uint64_t offset = (what >> 2 & 15) % region->length;

    if (what & 0x40)
        return region->ops->read(region->opaque, offset, 1);
    region->ops->write(region->opaque, offset, 1, value);
    return 0;
}

static void read_screen(const struct vga_text *vga, size_t size)
{
    static char screen[VGA_TEXT_SCREEN_SIZE];
    unsigned column = 0, row = 0;
    size_t length;

    memset(screen, 'x', sizeof(screen));
    length = vga_text_screen(vga, screen, size);
    check(length >= VGA_TEXT_ROWS && length < sizeof(screen));
    check(size == 0 || memchr(screen, 0, size) != NULL);
    check(length >= size || screen[length] == 0);
    if (vga_text_cursor(vga, &column, &row))
        check(column < VGA_TEXT_COLUMNS && row < VGA_TEXT_ROWS);
}

static void one_step(uint8_t *ram, const uint8_t *data)
{
    guest_clock_advance(&guest, guest.now + ((uint64_t)(data[2] | data[3] << 8) << (data[4] & 31)));
    cards[1].state = cards[0].state;
    cards[1].device.restored(cards[1].device.opaque);
    check(access_port(&cards[0], data[0], data[1]) == access_port(&cards[1], data[0], data[1]));
    check(memcmp(&cards[0].state, &cards[1].state, sizeof(cards[0].state)) == 0);
    if ((data[0] & 0x83) == 0x83) {
        ram[(data[2] | data[3] << 8) % VGA_TEXT_RAM_SIZE] = data[1];
        read_screen(&cards[0], (size_t)data[1] * 25 % VGA_TEXT_SCREEN_SIZE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t rates[] = {1000000000, 999999937, 1000003, 3400000001};

    if (size == 0)
        return 0;
    uint8_t *ram = calloc(1, VGA_TEXT_RAM_SIZE);
    guest_clock_init(&guest, rates[data[0] & 3]);
    vga_text_init(&cards[0], &guest, ram);
    vga_text_init(&cards[1], &guest, ram);
    for (data++, size--; size >= 5; data += 5, size -= 5)
        one_step(ram, data);
    free(ram);
    return 0;
}
