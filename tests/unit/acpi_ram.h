/*
 * Memory with ACPI tables for the tests of their reader. What it is shown are copies of exactly the size that
 * it asked for, so that ASan sees every step outside.
 */
#ifndef TESTS_UNIT_ACPI_RAM_H
#define TESTS_UNIT_ACPI_RAM_H

#include <stdlib.h>
#include <string.h>

#include "arch/x86/host/acpi.h"
#include "lib/log.h"

#define MEMORY_SIZE 0x110000u
#define RSDP        0xF5A40u
#define RSDT        0x100000u
#define XSDT        0x100401u /* tables need no alignment */

static uint8_t ram[MEMORY_SIZE];
static void *copies[4096];
static unsigned copy_count;
static struct acpi_info info;
static char log_text[65536];

static void take_line(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    assert_int_equal(level, LOG_WARNING);
    if (strlen(log_text) + strlen(line) + 2 < sizeof log_text)
        strcat(strcat(log_text, line), "\n");
}

static const void *map_copy(void *opaque, uint64_t address, uint64_t size)
{
    assert_ptr_equal(opaque, ram);
    assert_true(size > 0);
    if (address > MEMORY_SIZE || size > MEMORY_SIZE - address)
        return NULL;
    assert_true(copy_count < 4096);
    void *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, ram + address, size);
    copies[copy_count++] = copy;
    return copy;
}

static void read_tables(uint64_t rsdp)
{
    const struct acpi_memory memory = {map_copy, ram};

    memset(&info, 0xA5, sizeof info);
    log_text[0] = 0;
    log_set_sink(take_line, NULL);
    acpi_read(&memory, rsdp, &info);
    while (copy_count)
        free(copies[--copy_count]);
}

static void poke(uint32_t address, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        ram[address + i] = (uint8_t)(value >> 8 * i);
}

static void fix_sum(uint32_t start, uint32_t length, uint32_t at)
{
    unsigned sum = 0;

    ram[at] = 0;
    for (uint32_t i = 0; i < length; i++)
        sum += ram[start + i];
    ram[at] = (uint8_t)(0u - sum);
}

static void set_length(uint32_t table, uint32_t length)
{
    poke(table + 4, length, 4);
    fix_sum(table, length, table + 9);
}

static void start_table(uint32_t table, const char *signature)
{
    memcpy(ram + table, signature, 4);
    poke(table + 8, 2, 1);
    memcpy(ram + table + 10, "VERGE TEST    ", 14);
}

static void poke_address(uint32_t at, unsigned space, uint64_t value)
{
    ram[at] = (uint8_t)space;
    ram[at + 1] = 32;
    poke(at + 4, value, 8);
}

static void make_rsdp(uint32_t at, unsigned revision)
{
    memcpy(ram + at, "RSD PTR ", 8);
    memcpy(ram + at + 9, "VERGE ", 6);
    ram[at + 15] = (uint8_t)revision;
    poke(at + 16, RSDT, 4);
    fix_sum(at, 20, at + 8);
    if (revision >= 2) {
        poke(at + 20, 36, 4);
        poke(at + 24, XSDT, 8);
        fix_sum(at, 36, at + 32);
    }
}

#endif
