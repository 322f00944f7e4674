/*
 * Fuzzes the reader of ACPI tables. The input is memory from E0000h on, zero behind it, with the loader's
 * root pointer at E0000h; its first byte says whether checksums are mended as the reader looks (else hardly
 * any table would be read) and whether the loader gives its pointer. Each piece that is shown is a copy of
 * exactly that size, so that ASan sees a step outside; what comes out must keep acpi.h's promises.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "arch/x86/host/acpi.h"
#include "lib/log.h"

#define BASE       0xE0000u
#define AREA_SIZE  0x20000u
#define COPIES_MAX 4096
#define BYTES_MAX  (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t area[AREA_SIZE];
static void *copies[COPIES_MAX];
static unsigned copy_count;
static uint64_t copied;
static bool mends;

static void mend(uint8_t *bytes, uint64_t size, unsigned at)
{
    uint8_t sum = 0;

    bytes[at] = 0;
    for (uint64_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[at] = (uint8_t)(0u - sum);
}

static const void *map(void *opaque, uint64_t address, uint64_t size)
{
    uint32_t length = 0;

    (void)opaque;
    if (address < BASE || address - BASE > AREA_SIZE || size > AREA_SIZE - (address - BASE))
        return NULL;
    if (copy_count == COPIES_MAX || copied + size > BYTES_MAX)
        return NULL;
    uint8_t *copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, area + (address - BASE), size);
    copies[copy_count++] = copy;
    copied += size;
    if (size >= 8)
        memcpy(&length, copy + 4, 4);
    if (mends && size >= 20 && memcmp(copy, "RSD PTR ", 8) == 0) {
        mend(copy, 20, 8);
        if (size >= 36)
            mend(copy, size, 32);
    } else if (mends && size >= 36 && length == size) {
        mend(copy, size, 9);
    }
    return copy;
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Whatever a signature holds, what is logged is text. */
static void take_line(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    check(level == LOG_WARNING);
    for (; *line; line++)
        check(*line >= ' ' && *line <= '~');
}

static void check_cpus(const struct acpi_info *info)
{
    check(info->cpu_count <= ACPI_CPUS_MAX);
    for (unsigned i = 0; i < info->cpu_count; i++) {
        check(info->cpus[i].apic_id != UINT32_MAX);
        for (unsigned j = 0; j < i; j++)
            check(info->cpus[i].apic_id != info->cpus[j].apic_id);
    }
}

static void check_uarts(const struct acpi_info *info)
{
    for (unsigned i = 0; i < ACPI_UARTS_MAX; i++) {
        const struct uart_place *place = &info->uarts[i];

        if (!place->address)
            continue;
        check(place->stride == 1 || (place->stride == 4 && place->memory));
        check(place->width == 8 || (place->width == 32 && place->stride == 4));
        check(place->baud <= UART_HZ && (!place->baud || UART_HZ % place->baud == 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct acpi_memory memory = {map, NULL};
    struct acpi_info info;

    if (size < 1 || size - 1 > AREA_SIZE)
        return 0;
    memset(area, 0, sizeof area);
    memcpy(area, data + 1, size - 1);
    log_set_sink(take_line, NULL);
    mends = data[0] & 1;
    copied = 0;
    acpi_read(&memory, data[0] & 2 ? BASE : 0, &info);
    while (copy_count)
        free(copies[--copy_count]);

    check_cpus(&info);
    check_uarts(&info);
    check(info.mcfg_base % 0x100000 == 0 && info.mcfg_first_bus <= info.mcfg_last_bus);
    check(!info.iommu || strcmp(info.iommu, "DMAR") == 0 || strcmp(info.iommu, "IVRS") == 0);
    check(info.hpet_base % 8 == 0);
    check(info.pm_timer_port <= 0xFFFC && info.pm1a_control <= 0xFFFE && info.pm1b_control <= 0xFFFE);
    check(!info.smi_command || info.acpi_enable);
    check(info.s5_type_a <= 7 && info.s5_type_b <= 7);
    check(!info.reset_known || info.reset_space == ACPI_SPACE_IO || info.reset_space == ACPI_SPACE_PCI);
    check(info.reset_space != ACPI_SPACE_IO || info.reset_address <= 0xFFFF);
    check(info.found || (!info.hpet_base && !info.pm_timer_port && !info.s5_known && !info.reset_known));
    return 0;
}
