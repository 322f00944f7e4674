/* The host's screen; the contract is in api/screen.h. */
#include "arch/x86/api/screen.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/host/screen_device.h"
#include "arch/x86/paging.h"

#define BOOT_MAP_END BIT64(32) /* what the boot page tables show */

static struct terminal terminal;
static struct screen_device *device; /* NULL: none */
static bool placed;                  /* its memory can be reached; until then the cells alone are kept */

static void draw(unsigned row, unsigned column, uint8_t character)
{
    if (placed)
        device->draw(row, column, character);
}

static void place(volatile void *memory)
{
    bool first = !placed;

    placed = device->place(memory);
    if (!placed) {
        device = NULL;
    } else if (first) {
        device->clear();
        terminal_redraw(&terminal);
    }
}

const char *host_screen_open(const struct boot_screen *screen, bool pixels)
{
    unsigned columns, rows;

    if (device)
        return device->name;
    if (pixels && framebuffer_screen.open(screen, &columns, &rows))
        device = &framebuffer_screen;
    else if (vga_screen.open(screen, &columns, &rows))
        device = &vga_screen;
    else
        return NULL;
    terminal_init(&terminal, columns, rows, draw);
    if (device->address + device->size <= BOOT_MAP_END)
        place(phys_to_virt(device->address));
    return device ? device->name : NULL;
}

void host_screen_map(void)
{
    if (device)
        place(paging_map_screen(device->address, device->size));
}

void host_screen_write(const uint8_t *data, size_t length)
{
    if (device)
        terminal_write(&terminal, data, length);
}
