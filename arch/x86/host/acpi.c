/* Finds ACPI tables and checks them; the contract and the sources are in acpi.h. */
#include "arch/x86/host/acpi.h"
#include "arch/x86/host/acpi_table.h"
#include "lib/log.h"

#define TABLE_MAX                                                                                            \
    (4u << 20)            /* a longer one is taken for garbage; the largest DSDTs have a few hundred KB      \
                           */
#define ENTRIES_MAX  256u /* of the root table, likewise */
#define RSDP_V1_SIZE 20u
#define RSDP_V2_SIZE 36u
#define RSDP_MAX     4096u

#define EBDA_SEGMENT  0x40Eu
#define EBDA_SEARCHED 1024u
#define BIOS_START    0xE0000u
#define BIOS_SIZE     0x20000u

static void take_dmar(const struct acpi_table *table, struct acpi_info *info)
{
    (void)table;
    info->iommu = "DMAR";
}

static void take_ivrs(const struct acpi_table *table, struct acpi_info *info)
{
    (void)table;
    info->iommu = "IVRS";
}

static const struct kind {
    char signature[5];
    uint32_t least; /* length of its first version */
    void (*take)(const struct acpi_table *, struct acpi_info *);
} kinds[] = {
    {"FACP", 116, acpi_take_fadt}, {"APIC", ACPI_MADT_ENTRIES, acpi_take_madt},
    {"HPET", 56, acpi_take_hpet},  {"MCFG", 44, acpi_take_mcfg},
    {"SPCR", 80, acpi_take_spcr},  {"DBG2", 44, acpi_take_dbg2},
    {"DMAR", 48, take_dmar},       {"IVRS", 48, take_ivrs},
};
#define KINDS ARRAY_SIZE(kinds)
#define FADT  0 /* its place in kinds */

struct reader {
    const struct acpi_memory *memory;
    struct acpi_info *info;
    struct acpi_table tables[KINDS]; /* those that were taken */
};

static bool sums_to_zero(const uint8_t *bytes, uint32_t size)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return sum == 0;
}

static const uint8_t *map(const struct reader *reader, uint64_t address, uint64_t size)
{
    if (address == 0 || address > UINT64_MAX - size)
        return NULL;
    return reader->memory->map(reader->memory->opaque, address, size);
}

static bool left_out(uint64_t address, const char *signature, const char *why)
{
    log_warning("ACPI: %s at %llx: %s: left out", signature, (unsigned long long)address, why);
    return false;
}

/* The table at `address`, whose header can be read; a line when it is not sound. */
static bool read_body(const struct reader *reader, uint64_t address, const uint8_t *header,
                      const char *signature, uint32_t least, struct acpi_table *table)
{
    table->length = (uint32_t)acpi_get(header + 4, 4);
    if (table->length < least || table->length > TABLE_MAX)
        return left_out(address, signature, "bad length");
    table->bytes = map(reader, address, table->length);
    if (!table->bytes)
        return left_out(address, signature, "can't be read");
    if (!sums_to_zero(table->bytes, table->length))
        return left_out(address, signature, "bad checksum");
    return true;
}

/* The table that something says is at `address`, 0: nowhere. */
static bool read_table(const struct reader *reader, uint64_t address, const char *signature,
                       struct acpi_table *table)
{
    if (!address)
        return false;
    const uint8_t *header = map(reader, address, ACPI_HEADER_SIZE);
    if (!header)
        return left_out(address, signature, "can't be read");
    if (memcmp(header, signature, 4) != 0)
        return left_out(address, signature, "bad signature");
    return read_body(reader, address, header, signature, ACPI_HEADER_SIZE, table);
}

static bool find_s5(struct reader *reader, const struct acpi_table *aml)
{
    struct acpi_info *info = reader->info;

    info->s5_known = acpi_find_s5(aml->bytes + ACPI_HEADER_SIZE, aml->length - ACPI_HEADER_SIZE,
                                  &info->s5_type_a, &info->s5_type_b);
    return info->s5_known;
}

/* Calls `visit` with the address and the header of each table that the root table names; NULL: it can't
 * be read. */
static void for_each_table(struct reader *reader, const struct acpi_table *root, unsigned entry_size,
                           void (*visit)(struct reader *, uint64_t, const uint8_t *))
{
    uint32_t count = MIN((root->length - ACPI_HEADER_SIZE) / entry_size, ENTRIES_MAX);

    for (uint32_t i = 0; i < count; i++) {
        uint64_t address = acpi_get(root->bytes + ACPI_HEADER_SIZE + i * entry_size, entry_size);
        const uint8_t *header = map(reader, address, ACPI_HEADER_SIZE);

        if (address)
            visit(reader, address, header);
    }
}

static void visit_kinds(struct reader *reader, uint64_t address, const uint8_t *header)
{
    if (!header)
        left_out(address, "a table", "can't be read");
    for (unsigned i = 0; header && i < KINDS; i++) {
        const struct kind *kind = &kinds[i];
        struct acpi_table table;

        if (reader->tables[i].bytes || memcmp(header, kind->signature, 4) != 0 ||
            !read_body(reader, address, header, kind->signature, kind->least, &table))
            continue;
        reader->tables[i] = table;
        kind->take(&table, reader->info);
    }
}

static void visit_ssdt(struct reader *reader, uint64_t address, const uint8_t *header)
{
    struct acpi_table table;

    if (header && !reader->info->s5_known && memcmp(header, "SSDT", 4) == 0 &&
        read_body(reader, address, header, "SSDT", ACPI_HEADER_SIZE, &table))
        find_s5(reader, &table);
}

/* \_S5 from the DSDT by the FADT's newer pointer, else by its older one; false: not there. */
static bool read_dsdt(struct reader *reader)
{
    const struct acpi_table *fadt = &reader->tables[FADT];
    const uint64_t at[] = {acpi_field(fadt, 140, 8), acpi_field(fadt, 40, 4)};
    struct acpi_table dsdt;

    for (unsigned i = 0; i < 2; i++)
        if ((i == 0 || at[1] != at[0]) && read_table(reader, at[i], "DSDT", &dsdt) && find_s5(reader, &dsdt))
            return true;
    return false;
}

/* The root pointer's own checks; the newer one's checksum covers its length. Returns its size, 0: not one. */
static uint32_t rsdp_size(const struct reader *reader, uint64_t address)
{
    const uint8_t *rsdp = map(reader, address, RSDP_V1_SIZE);

    if (!rsdp || memcmp(rsdp, "RSD PTR ", 8) != 0 || !sums_to_zero(rsdp, RSDP_V1_SIZE))
        return 0;
    if (rsdp[15] < 2 || !(rsdp = map(reader, address, RSDP_V2_SIZE)))
        return RSDP_V1_SIZE;
    uint32_t length = (uint32_t)acpi_get(rsdp + 20, 4);
    if (length < RSDP_V2_SIZE || length > RSDP_MAX || !(rsdp = map(reader, address, length)) ||
        !sums_to_zero(rsdp, length)) {
        left_out(address, "the root pointer's newer half", "bad length or checksum");
        return RSDP_V1_SIZE;
    }
    return length;
}

/* Reads everything from one root pointer; false when it leads nowhere. */
static bool read_from(struct reader *reader, uint64_t address)
{
    uint32_t size = rsdp_size(reader, address);
    unsigned entry_size = 8;
    struct acpi_table root;

    if (!size)
        return false;
    const uint8_t *rsdp = map(reader, address, size);
    if (!rsdp)
        return false;
    if (size < RSDP_V2_SIZE || !read_table(reader, acpi_get(rsdp + 24, 8), "XSDT", &root)) {
        entry_size = 4;
        if (!read_table(reader, acpi_get(rsdp + 16, 4), "RSDT", &root))
            return false;
    }
    reader->info->found = true;
    for_each_table(reader, &root, entry_size, visit_kinds);
    if (!read_dsdt(reader))
        for_each_table(reader, &root, entry_size, visit_ssdt);
    return true;
}

static bool search(struct reader *reader, uint64_t start, uint64_t size)
{
    const uint8_t *area = map(reader, start, size);

    for (uint64_t at = 0; area && at < size; at += 16)
        if (memcmp(area + at, "RSD PTR ", 8) == 0 && read_from(reader, start + at))
            return true;
    return false;
}

void acpi_read(const struct acpi_memory *memory, uint64_t rsdp, struct acpi_info *info)
{
    struct reader reader = {.memory = memory, .info = info};

    memset(info, 0, sizeof *info);
    if (rsdp && read_from(&reader, rsdp))
        return;
    const uint8_t *segment = map(&reader, EBDA_SEGMENT, 2);
    uint64_t ebda = segment ? acpi_get(segment, 2) << 4 : 0;
    if (ebda >= 0x400 && ebda < 0xA0000 && search(&reader, ebda, EBDA_SEARCHED))
        return;
    search(&reader, BIOS_START, BIOS_SIZE);
}
