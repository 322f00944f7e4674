/* The reader of ACPI tables; the contract and the sources are in acpi.h. Offsets are those of the
 * specification's tables. */
#include "arch/x86/host/acpi.h"
#include "lib/string.h"

#define HEADER_SIZE 36u
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

#define HPET_TABLE_SIZE      56u
#define FADT_V1_SIZE         116u
#define FADT_FLAG_RESET      BIT(10)
#define FADT_FLAG_HW_REDUCED BIT(20)

/* A table whose length and checksum are right. */
struct table {
    const uint8_t *bytes;
    uint32_t length;
};

struct reader {
    const struct acpi_memory *memory;
    struct acpi_info *info;
    struct table fadt;
};

struct address {
    uint8_t space;
    uint64_t value;
};

/* Little-endian, at any alignment. */
static uint64_t get(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;

    memcpy(&value, bytes, count);
    return value;
}

/* A field of a table, 0 when this version of the table ends before it. */
static uint64_t field(const struct table *table, uint32_t offset, unsigned count)
{
    return table->length >= offset + count ? get(table->bytes + offset, count) : 0;
}

/* A Generic Address Structure: space, width, offset, access size, address. */
static struct address address_field(const struct table *table, uint32_t offset)
{
    return (struct address){(uint8_t)field(table, offset, 1), field(table, offset + 4, 8)};
}

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

/* The table at `address` when it has this signature and is sound. */
static bool read_table(const struct reader *reader, uint64_t address, const char *signature,
                       struct table *table)
{
    const uint8_t *header = map(reader, address, HEADER_SIZE);

    if (!header || memcmp(header, signature, 4) != 0)
        return false;
    table->length = (uint32_t)get(header + 4, 4);
    if (table->length < HEADER_SIZE || table->length > TABLE_MAX)
        return false;
    table->bytes = map(reader, address, table->length);
    return table->bytes && sums_to_zero(table->bytes, table->length);
}

static void read_hpet(struct reader *reader, uint64_t address)
{
    struct table table;

    if (reader->info->hpet_base || !read_table(reader, address, "HPET", &table) ||
        table.length < HPET_TABLE_SIZE)
        return;
    struct address base = address_field(&table, 40);
    if (base.space == ACPI_SPACE_MEMORY && base.value % 8 == 0)
        reader->info->hpet_base = base.value;
}

/* An I/O port of the FADT: the extended field where it is one, else the old one; 0: none. The last of `size`
 * ports must exist too. */
static uint16_t fadt_port(const struct table *fadt, uint32_t extended, uint32_t old, unsigned size)
{
    struct address x = address_field(fadt, extended);
    uint64_t port = x.space == ACPI_SPACE_IO && x.value ? x.value : field(fadt, old, 4);

    return port <= 0x10000u - size ? (uint16_t)port : 0;
}

static void read_reset(const struct table *fadt, struct acpi_info *info)
{
    struct address reset = address_field(fadt, 116);
    bool io = reset.space == ACPI_SPACE_IO && reset.value && reset.value <= 0xFFFF;
    bool pci = reset.space == ACPI_SPACE_PCI && (reset.value >> 32) < 32 &&
               (reset.value >> 16 & 0xFFFF) < 8 && (reset.value & 0xFFFF) < 256;

    if (!(field(fadt, 112, 4) & FADT_FLAG_RESET) || fadt->length < 129 || (!io && !pci))
        return;
    info->reset_known = true;
    info->reset_space = io ? ACPI_SPACE_IO : ACPI_SPACE_PCI;
    info->reset_address = reset.value;
    info->reset_value = (uint8_t)field(fadt, 128, 1);
}

static void read_fadt(struct reader *reader, uint64_t address)
{
    struct acpi_info *info = reader->info;
    struct table fadt;

    if (reader->fadt.bytes || !read_table(reader, address, "FACP", &fadt) || fadt.length < FADT_V1_SIZE)
        return;
    reader->fadt = fadt;
    read_reset(&fadt, info);
    if (field(&fadt, 112, 4) & FADT_FLAG_HW_REDUCED)
        return; /* such a machine has none of the registers below */
    if (field(&fadt, 91, 1) == 4)
        info->pm_timer_port = fadt_port(&fadt, 208, 76, 4);
    if (field(&fadt, 89, 1) >= 2) {
        info->pm1a_control = fadt_port(&fadt, 172, 64, 2);
        info->pm1b_control = fadt_port(&fadt, 184, 68, 2);
    }
    uint64_t smi = field(&fadt, 48, 4);
    info->smi_command = smi <= 0xFFFF ? (uint16_t)smi : 0;
    info->acpi_enable = (uint8_t)field(&fadt, 52, 1);
    if (!info->acpi_enable)
        info->smi_command = 0; /* both or none */
}

/* True once \_S5 is known. */
static bool read_aml(struct reader *reader, uint64_t address, const char *signature)
{
    struct acpi_info *info = reader->info;
    struct table table;

    if (!info->s5_known && read_table(reader, address, signature, &table))
        info->s5_known = acpi_find_s5(table.bytes + HEADER_SIZE, table.length - HEADER_SIZE, &info->s5_type_a,
                                      &info->s5_type_b);
    return info->s5_known;
}

/* Calls `visit` with the address of each table that the root table names. */
static void for_each_table(struct reader *reader, const struct table *root, unsigned entry_size,
                           void (*visit)(struct reader *, uint64_t))
{
    uint32_t count = MIN((root->length - HEADER_SIZE) / entry_size, ENTRIES_MAX);

    for (uint32_t i = 0; i < count; i++)
        visit(reader, get(root->bytes + HEADER_SIZE + i * entry_size, entry_size));
}

static void visit_fixed(struct reader *reader, uint64_t address)
{
    read_hpet(reader, address);
    read_fadt(reader, address);
}

static void visit_aml(struct reader *reader, uint64_t address)
{
    read_aml(reader, address, "SSDT");
}

/* The root pointer's own checks; the newer one's checksum covers its length. Returns its size, 0: not one. */
static uint32_t rsdp_size(const struct reader *reader, uint64_t address)
{
    const uint8_t *rsdp = map(reader, address, RSDP_V1_SIZE);

    if (!rsdp || memcmp(rsdp, "RSD PTR ", 8) != 0 || !sums_to_zero(rsdp, RSDP_V1_SIZE))
        return 0;
    if (rsdp[15] < 2 || !(rsdp = map(reader, address, RSDP_V2_SIZE)))
        return RSDP_V1_SIZE;
    uint32_t length = (uint32_t)get(rsdp + 20, 4);
    if (length < RSDP_V2_SIZE || length > RSDP_MAX || !(rsdp = map(reader, address, length)) ||
        !sums_to_zero(rsdp, length))
        return RSDP_V1_SIZE;
    return length;
}

/* Reads everything from one root pointer; false when it leads nowhere. */
static bool read_from(struct reader *reader, uint64_t address)
{
    uint32_t size = rsdp_size(reader, address);
    unsigned entry_size = 8;
    struct table root;

    if (!size)
        return false;
    const uint8_t *rsdp = map(reader, address, size);
    if (!rsdp)
        return false;
    if (size < RSDP_V2_SIZE || !read_table(reader, get(rsdp + 24, 8), "XSDT", &root)) {
        entry_size = 4;
        if (!read_table(reader, get(rsdp + 16, 4), "RSDT", &root))
            return false;
    }
    reader->info->found = true;
    for_each_table(reader, &root, entry_size, visit_fixed);
    uint64_t dsdt = field(&reader->fadt, 140, 8);
    if (!read_aml(reader, dsdt, "DSDT") && !read_aml(reader, field(&reader->fadt, 40, 4), "DSDT"))
        for_each_table(reader, &root, entry_size, visit_aml);
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
    uint64_t ebda = segment ? get(segment, 2) << 4 : 0;
    if (ebda >= 0x400 && ebda < 0xA0000 && search(&reader, ebda, EBDA_SEARCHED))
        return;
    search(&reader, BIOS_START, BIOS_SIZE);
}
