/* The MADT's CPUs: entries of type 0 and 9. Source: ACPI Specification 6.4, "Multiple APIC Description
 * Table", "Processor Local APIC Structure", "Processor Local x2APIC Structure". */
#include "arch/x86/host/acpi_table.h"
#include "lib/log.h"

#define TYPE_LOCAL_APIC     0u
#define LOCAL_APIC_SIZE     8u
#define TYPE_LOCAL_X2APIC   9u
#define LOCAL_X2APIC_SIZE   16u
#define FLAG_ENABLED        BIT(0)
#define FLAG_ONLINE_CAPABLE BIT(1)
#define XAPIC_NOBODY        0xFFu /* the broadcast addresses are no CPU's */
#define X2APIC_NOBODY       0xFFFFFFFFu

/* The CPU of one entry; false: it is none, or may not be used. */
static bool read_cpu(const struct acpi_table *entry, struct acpi_cpu *cpu)
{
    bool x2apic = acpi_field(entry, 0, 1) == TYPE_LOCAL_X2APIC;
    uint32_t flags;

    if (!x2apic && acpi_field(entry, 0, 1) != TYPE_LOCAL_APIC)
        return false;
    if (entry->length < (x2apic ? LOCAL_X2APIC_SIZE : LOCAL_APIC_SIZE))
        return false;
    cpu->apic_id = (uint32_t)(x2apic ? acpi_field(entry, 4, 4) : acpi_field(entry, 3, 1));
    flags = (uint32_t)acpi_field(entry, x2apic ? 8 : 4, 4);
    cpu->enabled = flags & FLAG_ENABLED;
    return flags & (FLAG_ENABLED | FLAG_ONLINE_CAPABLE) &&
           cpu->apic_id != (x2apic ? X2APIC_NOBODY : XAPIC_NOBODY);
}

bool acpi_next_cpu(struct acpi_madt_walk *walk, struct acpi_cpu *cpu)
{
    while (walk->length - walk->at >= 2) {
        struct acpi_table entry = {walk->bytes + walk->at, walk->bytes[walk->at + 1]};

        if (entry.length < 2 || entry.length > walk->length - walk->at)
            break;
        walk->at += entry.length;
        if (read_cpu(&entry, cpu))
            return true;
    }
    walk->broken = walk->at != walk->length;
    return false;
}

static bool known(const struct acpi_info *info, uint32_t apic_id)
{
    for (unsigned i = 0; i < info->cpu_count; i++)
        if (info->cpus[i].apic_id == apic_id)
            return true;
    return false;
}

void acpi_take_madt(const struct acpi_table *table, struct acpi_info *info)
{
    struct acpi_madt_walk walk = {table->bytes + ACPI_MADT_ENTRIES, table->length - ACPI_MADT_ENTRIES, 0,
                                  false};
    struct acpi_cpu cpu;

    while (acpi_next_cpu(&walk, &cpu)) {
        if (known(info, cpu.apic_id))
            continue;
        if (info->cpu_count == ACPI_CPUS_MAX) {
            log_warning("ACPI: more than %u CPUs: the rest is left out", ACPI_CPUS_MAX);
            return;
        }
        info->cpus[info->cpu_count++] = cpu;
    }
    if (walk.broken)
        log_warning("ACPI: MADT: an entry's length is wrong: the rest is left out");
}
