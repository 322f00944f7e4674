/* UARTs on PCI cards; the contract and the sources are in pci_uart.h. */
#include "arch/x86/host/pci_uart.h"
#include "arch/x86/host/pci.h"
#include "lib/log.h"

#define CLASS_SERIAL   0x0700u
#define INTERFACE_LAST 0x06u /* 16950 */
#define BARS           6u
#define BAR_IO         BIT(0)
#define BAR_64_BIT     0x4u
#define BAR_TYPE       0x6u

static unsigned port_count(unsigned function)
{
    uint32_t id = pci_read(function, PCI_ID), class = pci_read(function, PCI_CLASS);

    if (class >> 16 != CLASS_SERIAL || (class >> 8 & 0xFF) > INTERFACE_LAST)
        return 0;
    return id == 0x00031B36 ? 2 : id == 0x00041B36 ? 4 : 1; /* QEMU's pci-serial-2x and -4x */
}

/* What a base address register and, if it has 64 bits, the next one say; address 0: nothing. */
static struct uart_place read_bar(unsigned function, unsigned *index)
{
    uint32_t low = pci_read(function, PCI_BAR(*index)), high = 0;

    if (low & BAR_IO)
        return (struct uart_place){.stride = 1, .width = 8, .address = low & 0xFFFC};
    if ((low & BAR_TYPE) == BAR_64_BIT && *index + 1 < BARS)
        high = pci_read(function, PCI_BAR(++*index));
    return (struct uart_place){
        .memory = true, .stride = 1, .width = 8, .address = (uint64_t)high << 32 | (low & ~0xFu)};
}

/* The first I/O range that was assigned, else the first in memory. */
static struct uart_place find_bar(unsigned function)
{
    struct uart_place found = {0};

    for (unsigned i = 0; i < BARS; i++) {
        struct uart_place place = read_bar(function, &i);

        if (place.address && (!found.address || (found.memory && !place.memory)))
            found = place;
    }
    return found;
}

bool pci_uart_place(unsigned function, unsigned port, struct uart_place *place)
{
    if (port >= port_count(function))
        return false;
    *place = find_bar(function);
    if (!place->address)
        return false;
    if (place->address > UINT32_MAX) {
        log_warning("PCI %02x:%02x.%x: a UART at %llx, beyond 4 GB: not used", function >> 8,
                    function >> 3 & 31, function & 7, (unsigned long long)place->address);
        return false;
    }
    place->address += port * UART_REGISTERS;
    /* The high half is the status register, whose bits a one would clear. */
    uint32_t command = pci_read(function, PCI_COMMAND) & 0xFFFF;
    uint32_t decode = place->memory ? PCI_COMMAND_MEMORY : PCI_COMMAND_IO;
    if (!(command & decode))
        pci_write(function, PCI_COMMAND, command | decode);
    return true;
}
