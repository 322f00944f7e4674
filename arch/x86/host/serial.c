/*
 * The host's serial ports by their numbers: where each is looked for, and what makes its registers reachable.
 * The chip is uart.c's affair. On the boot CPU; writing in any context. Contract: api/serial.h.
 */
#include "arch/x86/api/phys.h"
#include "arch/x86/host/acpi.h"
#include "arch/x86/host/pci.h"
#include "arch/x86/host/pci_uart.h"
#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "lib/fmt.h"
#include "lib/log.h"

#define PORTS_END    BIT64(16)
#define PORTS_FIRST  0x100u /* below are the main board's own chips */
#define RESET_FIRST  0xCF8u /* PCI configuration and, at CF9h, the reset register */
#define RESET_LAST   0xCFFu
#define BOOT_MAP_END BIT64(32) /* what the boot page tables show */

#define VENDOR_INTEL     0x8086u
#define INTEL_MANAGEMENT 0x16u /* bus 0, device 22 */

static struct port {
    struct uart uart;
    bool present;
    uint64_t shown; /* the address that was logged last */
} ports[HOST_SERIAL_PORTS];
static bool own_tables; /* the monitor's page tables are active */
static const struct boot_info *memory;

static uint64_t size_of(const struct uart_place *place)
{
    return (uint64_t)UART_REGISTERS * place->stride;
}

static bool reachable(const struct uart_place *place)
{
    uint64_t end = place->memory ? BOOT_MAP_END : PORTS_END;

    return place->address && place->address <= end - size_of(place) &&
           place->address % (place->width / 8) == 0;
}

/* Tables and people err, and a try writes: not to RAM, which would answer, nor to a port that does something
 * else. */
static bool harmless(const struct uart_place *place)
{
    uint64_t first = place->address, last = first + size_of(place) - 1;

    if (!place->memory)
        return first >= PORTS_FIRST && (last < RESET_FIRST || first > RESET_LAST);
    for (unsigned i = 0; memory && i < memory->range_count; i++) {
        const struct boot_range *range = &memory->ranges[i];

        if (range->usable && range->length && range->base <= last &&
            (first <= range->base || first - range->base < range->length))
            return false;
    }
    return true;
}

static bool taken(const struct uart_place *place)
{
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        if (ports[i].present && ports[i].uart.place.memory == place->memory &&
            ports[i].uart.place.address == place->address)
            return true;
    return false;
}

static void map_registers(struct uart *uart)
{
    uint64_t address = uart->place.address;

    if (uart->place.memory)
        uart->memory = own_tables ? paging_map_device(address, size_of(&uart->place)) : phys_to_virt(address);
}

/* `what` says in the log how it was found; NULL: nothing worth a line. */
static bool open_at(unsigned index, const struct uart_place *place, struct host_serial_line line,
                    const char *what)
{
    struct port *port = &ports[index];

    if (!reachable(place) || taken(place))
        return false;
    if (!harmless(place)) {
        log_warning("com%u: %s %llx is no place for a UART: left out", index + 1,
                    place->memory ? "memory" : "port", (unsigned long long)place->address);
        return false;
    }
    port->uart.place = *place;
    map_registers(&port->uart);
    port->present = uart_open(&port->uart, line);
    if (port->present && what && port->shown != place->address)
        log_info("com%u: %s at %s %llx", index + 1, what, place->memory ? "memory" : "port",
                 (unsigned long long)place->address);
    if (port->present)
        port->shown = place->address;
    return port->present;
}

static bool open_card(unsigned index, unsigned function, struct host_serial_line line)
{
    struct uart_place place;
    char what[24];

    fmt_snprintf(what, sizeof what, "PCI %02x:%02x.%x", function >> 8, function >> 3 & 31, function & 7);
    for (unsigned i = 0; pci_uart_place(function, i, &place); i++)
        if (open_at(index, &place, line, what))
            return true;
    return false;
}

/* Intel's remote management (AMT) plays a UART, whether anybody listens or not. */
static bool is_remote(unsigned function)
{
    return function >> 3 == INTEL_MANAGEMENT && (pci_read(function, PCI_ID) & 0xFFFF) == VENDOR_INTEL;
}

static bool open_any_card(unsigned index, struct host_serial_line line, bool remote)
{
    for (unsigned function = pci_next(0); function < PCI_FUNCTIONS; function = pci_next(function + 1))
        if (is_remote(function) == remote && open_card(index, function, line))
            return true;
    return false;
}

static bool open_pci(unsigned index, uint64_t card, struct host_serial_line line)
{
    if (card == HOST_SERIAL_ANY_CARD)
        return open_any_card(index, line, false) || open_any_card(index, line, true);
    return pci_next((unsigned)card) == card && open_card(index, (unsigned)card, line);
}

static bool open_named_by_tables(unsigned index, struct host_serial_line line)
{
    const struct acpi_info *acpi = host_acpi();

    for (unsigned i = 0; i < ACPI_UARTS_MAX; i++) {
        const struct uart_place *place = &acpi->uarts[i];
        const char *table = i == 0 ? "SPCR" : "DBG2";

        if (place->memory && place->address >= BOOT_MAP_END)
            log_warning("%s: a UART at %llx, beyond 4 GB: not used", table,
                        (unsigned long long)place->address);
        if (open_at(index, place, line, table))
            return true;
    }
    return false;
}

bool host_serial_open(unsigned index, struct host_serial_where where, struct host_serial_line line)
{
    static const uint16_t legacy[HOST_SERIAL_PORTS] = {0x3F8, 0x2F8};
    struct uart_place place = {.stride = 1, .width = 8, .address = where.address};

    host_serial_close(index);
    switch (where.kind) {
    case HOST_SERIAL_PCI:
        return open_pci(index, where.address, line);
    case HOST_SERIAL_TABLES:
        return open_named_by_tables(index, line);
    case HOST_SERIAL_MMIO32:
        place.stride = 4;
        place.width = 32;
        /* fall through */
    case HOST_SERIAL_MMIO:
        place.memory = true;
        /* fall through */
    case HOST_SERIAL_IO:
        return open_at(index, &place, line, "UART");
    case HOST_SERIAL_LEGACY:
    default:
        place.address = legacy[index];
        return open_at(index, &place, line, NULL);
    }
}

void host_serial_close(unsigned index)
{
    ports[index].present = false;
}

void host_serial_learn_memory(const struct boot_info *info)
{
    memory = info;
}

void host_serial_map(void)
{
    own_tables = true;
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        if (ports[i].present)
            map_registers(&ports[i].uart);
}

size_t host_serial_write(unsigned index, const uint8_t *data, size_t length)
{
    return ports[index].present ? uart_write(&ports[index].uart, data, length) : length;
}

void host_serial_write_all(unsigned index, const uint8_t *data, size_t length)
{
    if (ports[index].present)
        uart_write_all(&ports[index].uart, data, length);
}

void host_serial_drain(void)
{
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        if (ports[i].present)
            uart_drain(&ports[i].uart);
}

size_t host_serial_read(unsigned index, uint8_t *data, size_t length)
{
    return ports[index].present ? uart_read(&ports[index].uart, data, length) : 0;
}
