/* FADT, HPET and MCFG; the sources are in acpi.h. */
#include "arch/x86/host/acpi_table.h"

#define FADT_RESET_END       129u
#define FADT_FLAG_RESET      BIT(10)
#define FADT_FLAG_HW_REDUCED BIT(20)
#define MCFG_ENTRIES         44u
#define MCFG_ENTRY_SIZE      16u
#define MCFG_ALIGNMENT       0x100000u /* a bus's configuration space */

/* An I/O port of the FADT: the extended field where it is one, else the old one; 0: none. The last of `size`
 * ports must exist too. */
static uint16_t fadt_port(const struct acpi_table *fadt, uint32_t extended, uint32_t old, unsigned size)
{
    struct acpi_address x = acpi_address_field(fadt, extended);
    uint64_t port = x.space == ACPI_SPACE_IO && x.value ? x.value : acpi_field(fadt, old, 4);

    return port <= 0x10000u - size ? (uint16_t)port : 0;
}

static void take_reset(const struct acpi_table *fadt, struct acpi_info *info)
{
    struct acpi_address reset = acpi_address_field(fadt, 116);
    bool io = reset.space == ACPI_SPACE_IO && reset.value && reset.value <= 0xFFFF;
    bool pci = reset.space == ACPI_SPACE_PCI && (reset.value >> 32) < 32 &&
               (reset.value >> 16 & 0xFFFF) < 8 && (reset.value & 0xFFFF) < 256;

    if (!(acpi_field(fadt, 112, 4) & FADT_FLAG_RESET) || fadt->length < FADT_RESET_END || (!io && !pci))
        return;
    info->reset_known = true;
    info->reset_space = io ? ACPI_SPACE_IO : ACPI_SPACE_PCI;
    info->reset_address = reset.value;
    info->reset_value = (uint8_t)acpi_field(fadt, 128, 1);
}

void acpi_take_fadt(const struct acpi_table *table, struct acpi_info *info)
{
    take_reset(table, info);
    if (acpi_field(table, 112, 4) & FADT_FLAG_HW_REDUCED)
        return; /* such a machine has none of the registers below */
    if (acpi_field(table, 91, 1) == 4)
        info->pm_timer_port = fadt_port(table, 208, 76, 4);
    if (acpi_field(table, 89, 1) >= 2) {
        info->pm1a_control = fadt_port(table, 172, 64, 2);
        info->pm1b_control = fadt_port(table, 184, 68, 2);
    }
    uint64_t smi = acpi_field(table, 48, 4);
    info->smi_command = smi <= 0xFFFF ? (uint16_t)smi : 0;
    info->acpi_enable = (uint8_t)acpi_field(table, 52, 1);
    if (!info->acpi_enable)
        info->smi_command = 0; /* both or none */
}

void acpi_take_hpet(const struct acpi_table *table, struct acpi_info *info)
{
    struct acpi_address base = acpi_address_field(table, 40);

    if (base.space == ACPI_SPACE_MEMORY && base.value % 8 == 0)
        info->hpet_base = base.value;
}

/* Of segment group 0, where all that a PC starts with is. */
void acpi_take_mcfg(const struct acpi_table *table, struct acpi_info *info)
{
    uint32_t count = (table->length - MCFG_ENTRIES) / MCFG_ENTRY_SIZE;

    for (uint32_t i = 0; i < count && !info->mcfg_base; i++) {
        uint32_t at = MCFG_ENTRIES + i * MCFG_ENTRY_SIZE;
        uint64_t base = acpi_field(table, at, 8), segment = acpi_field(table, at + 8, 2);
        uint8_t first = (uint8_t)acpi_field(table, at + 10, 1), last = (uint8_t)acpi_field(table, at + 11, 1);

        if (segment || base % MCFG_ALIGNMENT || first > last)
            continue;
        info->mcfg_base = base;
        info->mcfg_first_bus = first;
        info->mcfg_last_bus = last;
    }
}
