/* Fields of ACPI tables: what the readers of single tables share. Offsets are those of the specifications'
 * layouts. */
#ifndef ARCH_X86_HOST_ACPI_TABLE_H
#define ARCH_X86_HOST_ACPI_TABLE_H

#include "arch/x86/host/acpi.h"
#include "lib/string.h"

#define ACPI_HEADER_SIZE 36u

/* A table whose length and checksum are right, and a part of one likewise. */
struct acpi_table {
    const uint8_t *bytes;
    uint32_t length;
};

/* A Generic Address Structure. */
struct acpi_address {
    uint8_t space, width, access; /* access: 1 a byte, 2 a word, 3 a dword, 0 not said */
    uint64_t value;
};

/* Little-endian, at any alignment. */
static inline uint64_t acpi_get(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;

    memcpy(&value, bytes, count);
    return value;
}

/* A field, 0 when this version of the table ends before it. */
static inline uint64_t acpi_field(const struct acpi_table *table, uint32_t offset, unsigned count)
{
    return offset <= table->length && count <= table->length - offset ? acpi_get(table->bytes + offset, count)
                                                                      : 0;
}

static inline struct acpi_address acpi_address_field(const struct acpi_table *table, uint32_t offset)
{
    return (struct acpi_address){.space = (uint8_t)acpi_field(table, offset, 1),
                                 .width = (uint8_t)acpi_field(table, offset + 1, 1),
                                 .access = (uint8_t)acpi_field(table, offset + 3, 1),
                                 .value = acpi_field(table, offset + 4, 8)};
}

/* What each table adds to *info; each is called once at most. */
void acpi_take_fadt(const struct acpi_table *table, struct acpi_info *info);
void acpi_take_hpet(const struct acpi_table *table, struct acpi_info *info);
void acpi_take_mcfg(const struct acpi_table *table, struct acpi_info *info);
void acpi_take_madt(const struct acpi_table *table, struct acpi_info *info);
void acpi_take_spcr(const struct acpi_table *table, struct acpi_info *info);
void acpi_take_dbg2(const struct acpi_table *table, struct acpi_info *info);

#endif
