/*
 * UARTs that firmware names: SPCR its console, DBG2 a debugger's line. Of their kinds the 16550s. Sources:
 * Microsoft, "Serial Port Console Redirection Table (SPCR)", revision 1.10; Microsoft, "Debug Port Table 2
 * (DBG2)".
 */
#include "arch/x86/host/acpi_table.h"

#define KIND_16550        0x00u
#define KIND_16550_SUBSET 0x01u /* as DBG2 revision 1 and SPCR revision 1 have it, a 16450 */
#define KIND_16550_GAS    0x12u
#define ACCESS_DWORD      3u
#define DEVICE_SIZE       22u     /* of DBG2's Debug Device Information, without what it points to */
#define PORT_SERIAL       0x8000u /* its Port Type */
#define ADDRESS_SIZE      12u

/* Registers of 32 bits are accessed as such and stand four bytes apart. Where the access size isn't said, as
 * in tables from before it was, the width says it. */
static struct uart_place place_at(const struct acpi_table *table, uint32_t offset)
{
    struct acpi_address base = acpi_address_field(table, offset);
    bool memory = base.space == ACPI_SPACE_MEMORY;
    bool wide = memory && (base.access == ACCESS_DWORD || (base.access == 0 && base.width == 32));
    bool apart = memory && (wide || base.width == 32);

    if (!memory && base.space != ACPI_SPACE_IO)
        return (struct uart_place){0};
    return (struct uart_place){
        .memory = memory, .stride = apart ? 4 : 1, .width = wide ? 32 : 8, .address = base.value};
}

static bool is_16550(uint64_t kind)
{
    return kind == KIND_16550 || kind == KIND_16550_SUBSET || kind == KIND_16550_GAS;
}

void acpi_take_spcr(const struct acpi_table *table, struct acpi_info *info)
{
    static const uint32_t bauds[] = {[3] = 9600, [4] = 19200, [6] = 57600, [7] = 115200}; /* 0: as it is */
    uint64_t baud = acpi_field(table, 58, 1);

    if (!is_16550(acpi_field(table, 36, 1)))
        return;
    info->uarts[0] = place_at(table, 40);
    if (baud < ARRAY_SIZE(bauds))
        info->uarts[0].baud = bauds[baud];
}

static struct uart_place debug_device(const struct acpi_table *device)
{
    uint32_t base = (uint32_t)acpi_field(device, 18, 2);

    if (acpi_field(device, 3, 1) == 0 || acpi_field(device, 12, 2) != PORT_SERIAL ||
        !is_16550(acpi_field(device, 14, 2)) || base < DEVICE_SIZE || base + ADDRESS_SIZE > device->length)
        return (struct uart_place){0};
    return place_at(device, base);
}

void acpi_take_dbg2(const struct acpi_table *table, struct acpi_info *info)
{
    uint32_t at = (uint32_t)acpi_field(table, 36, 4), count = (uint32_t)acpi_field(table, 40, 4);

    for (unsigned found = 1; count && found < ACPI_UARTS_MAX; count--) {
        uint32_t length = (uint32_t)acpi_field(table, at + 1, 2);

        if (at < ACPI_HEADER_SIZE || at > table->length || length < DEVICE_SIZE ||
            length > table->length - at)
            return;
        struct acpi_table device = {table->bytes + at, length};
        info->uarts[found] = debug_device(&device);
        found += info->uarts[found].address != 0;
        at += length;
    }
}
