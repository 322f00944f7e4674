/* The MADT's CPUs, and the tables that name UARTs, PCI's memory window and an IOMMU: each field, each way of
 * being broken. Layouts: the sources in arch/x86/host/acpi*.h and .c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "acpi_ram.h"

#define TABLE 0x101003u
#define NEXT  0x102005u

/* A root table that names two. */
static int set_up(void **state)
{
    (void)state;
    memset(ram, 0, sizeof ram);
    make_rsdp(RSDP, 2);
    start_table(XSDT, "XSDT");
    poke(XSDT + 36, TABLE, 8);
    poke(XSDT + 44, NEXT, 8);
    set_length(XSDT, 52);
    return 0;
}

static uint32_t madt_end;

static void start_madt(void)
{
    set_up(NULL);
    start_table(TABLE, "APIC");
    madt_end = 44;
}

static void add_entry(unsigned type, unsigned length, uint32_t id, uint32_t flags)
{
    uint32_t at = TABLE + madt_end;

    poke(at, type, 1);
    poke(at + 1, length, 1);
    if (type == 9) {
        poke(at + 4, id, 4);
        poke(at + 8, flags, 4);
    } else {
        poke(at + 3, id, 1);
        poke(at + 4, flags, 4);
    }
    madt_end += length;
}

/* `ids` as "0 1 (5) 100": in parentheses what is not enabled. */
static void expect_cpus(const char *ids)
{
    char got[4096] = "";

    set_length(TABLE, madt_end);
    read_tables(RSDP);
    for (unsigned i = 0; i < info.cpu_count; i++)
        sprintf(got + strlen(got), info.cpus[i].enabled ? "%s%x" : "%s(%x)", i ? " " : "",
                info.cpus[i].apic_id);
    assert_string_equal(got, ids);
}

static void test_cpus(void **state)
{
    (void)state;
    start_madt();
    expect_cpus("");
    add_entry(0, 8, 0, 1);
    add_entry(1, 12, 7, 1); /* an I/O APIC */
    add_entry(0, 8, 2, 1);
    add_entry(0, 8, 3, 0); /* not there and never will be */
    add_entry(0, 8, 4, 2);
    add_entry(9, 16, 0x100, 1);
    add_entry(9, 16, 0x101, 3);
    add_entry(0xFF, 2, 0, 0);
    expect_cpus("0 2 (4) 100 101");
    assert_string_equal(log_text, "");
}

static void test_cpus_that_are_none(void **state)
{
    (void)state;
    start_madt();
    add_entry(0, 8, 5, 1);
    add_entry(0, 8, 5, 1); /* twice */
    add_entry(9, 16, 5, 1);
    add_entry(0, 8, 0xFF, 1);
    add_entry(9, 16, 0xFFFFFFFF, 1);
    add_entry(9, 16, 0xFF, 1);
    add_entry(0, 7, 6, 1); /* too short for its kind */
    add_entry(9, 15, 7, 1);
    add_entry(0, 20, 8, 1); /* longer, as a later version may be */
    expect_cpus("5 ff 8");
    assert_string_equal(log_text, "");
}

static void test_entry_lengths_that_lie(void **state)
{
    const uint8_t lengths[] = {0, 1, 200, 255};

    (void)state;
    for (unsigned i = 0; i < sizeof lengths; i++) {
        start_madt();
        add_entry(0, 8, 1, 1);
        add_entry(0, 8, 2, 1);
        poke(TABLE + madt_end - 7, lengths[i], 1);
        add_entry(0, 8, 3, 1);
        expect_cpus("1");
        assert_string_equal(log_text, "ACPI: MADT: an entry's length is wrong: the rest is left out\n");
    }
    for (uint32_t size = 44; size < 44 + 24; size++) {
        start_madt();
        add_entry(0, 8, 1, 1);
        add_entry(9, 16, 2, 1);
        madt_end = size;
        expect_cpus(size < 52 ? "" : "1");
        assert_int_equal(log_text[0] != 0, size != 44 && size != 52);
    }
}

static void test_too_many_cpus(void **state)
{
    (void)state;
    start_madt();
    for (unsigned i = 0; i < 300; i++)
        add_entry(9, 16, i, 1);
    set_length(TABLE, madt_end);
    read_tables(RSDP);
    assert_int_equal(info.cpu_count, ACPI_CPUS_MAX);
    assert_int_equal(info.cpus[ACPI_CPUS_MAX - 1].apic_id, ACPI_CPUS_MAX - 1);
    assert_string_equal(log_text, "ACPI: more than 256 CPUs: the rest is left out\n");
}

static void make_spcr(unsigned kind, unsigned space, uint64_t address, unsigned width, unsigned access)
{
    set_up(NULL);
    start_table(TABLE, "SPCR");
    poke(TABLE + 36, kind, 1);
    poke_address(TABLE + 40, space, address);
    poke(TABLE + 41, width, 1);
    poke(TABLE + 43, access, 1);
    set_length(TABLE, 80);
}

static void expect_uart(unsigned index, bool memory, uint64_t address, unsigned stride, unsigned width,
                        unsigned baud)
{
    const struct uart_place *place = &info.uarts[index];

    assert_true(place->address == address);
    if (!address)
        return;
    assert_int_equal(place->memory, memory);
    assert_int_equal(place->stride, stride);
    assert_int_equal(place->width, width);
    assert_int_equal(place->baud, baud);
}

static void test_spcr(void **state)
{
    static const struct {
        unsigned kind, space;
        uint64_t address;
        unsigned width, access, stride, wide; /* stride 0: none is named */
    } cases[] = {
        {0, 1, 0x3F8, 8, 1, 1, 8},
        {1, 1, 0x3E8, 8, 0, 1, 8},
        {0x12, 1, 0xC060, 32, 3, 1, 8}, /* ports are bytes side by side */
        {0, 0, 0xFEB00000, 8, 1, 1, 8},
        {0x12, 0, 0xFE034000, 32, 3, 4, 32},
        {0x12, 0, 0xFE034000, 32, 0, 4, 32},
        {0x12, 0, 0xFE034000, 32, 1, 4, 8},
        {0, 0, UINT64_C(0x1FE034000), 8, 3, 4, 32},
        {2, 1, 0x3F8, 8, 1, 0, 0}, /* another chip */
        {3, 0, 0xFE034000, 32, 3, 0, 0},
        {0x13, 1, 0x3F8, 8, 1, 0, 0},
        {0, 2, 0x3F8, 8, 1, 0, 0}, /* PCI configuration space */
        {0, 1, 0, 8, 1, 0, 0},     /* firmware's console is off */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        make_spcr(cases[i].kind, cases[i].space, cases[i].address, cases[i].width, cases[i].access);
        read_tables(RSDP);
        expect_uart(0, cases[i].space == 0, cases[i].stride ? cases[i].address : 0, cases[i].stride,
                    cases[i].wide, 0);
        assert_string_equal(log_text, "");
    }
}

static void test_spcr_baud(void **state)
{
    const unsigned bauds[] = {0, 0, 0, 9600, 19200, 0, 57600, 115200, 0};

    (void)state;
    for (unsigned code = 0; code <= 9; code++) {
        make_spcr(0, 1, 0x3E8, 8, 1);
        poke(TABLE + 58, code == 9 ? 255 : code, 1);
        set_length(TABLE, 80);
        read_tables(RSDP);
        expect_uart(0, false, 0x3E8, 1, 8, code == 9 ? 0 : bauds[code]);
    }
}

static void test_spcr_is_taken_once_and_whole(void **state)
{
    (void)state;
    make_spcr(0, 1, 0x3E8, 8, 1);
    memcpy(ram + NEXT, ram + TABLE, 80);
    poke(NEXT + 44, 0x2E8, 8);
    set_length(NEXT, 80);
    read_tables(RSDP);
    expect_uart(0, false, 0x3E8, 1, 8, 0);
    set_length(TABLE, 79); /* the second one is sound */
    read_tables(RSDP);
    expect_uart(0, false, 0x2E8, 1, 8, 0);
    assert_string_equal(log_text, "ACPI: SPCR at 101003: bad length: left out\n");
}

#define DEVICE 50u /* where DBG2's first one begins */

static void put_device(uint32_t at, unsigned length, unsigned type, unsigned subtype, uint64_t port)
{
    poke(TABLE + at + 1, length, 2);
    poke(TABLE + at + 3, 1, 1);
    poke(TABLE + at + 12, type, 2);
    poke(TABLE + at + 14, subtype, 2);
    poke(TABLE + at + 18, 22, 2);
    poke_address(TABLE + at + 22, 1, port);
}

static void make_dbg2(unsigned count)
{
    set_up(NULL);
    start_table(TABLE, "DBG2");
    poke(TABLE + 36, DEVICE, 4);
    poke(TABLE + 40, count, 4);
    put_device(DEVICE, 40, 0x8000, 0, 0x3E8);
    put_device(DEVICE + 40, 34, 0x8000, 0x12, 0x2E8);
    put_device(DEVICE + 74, 34, 0x8000, 1, 0x1E8);
    put_device(DEVICE + 108, 34, 0x8000, 1, 0x1E0);
    set_length(TABLE, DEVICE + 142);
}

static void expect_ports(uint64_t first, uint64_t second, uint64_t third)
{
    read_tables(RSDP);
    assert_int_equal(info.uarts[0].address, 0); /* SPCR's */
    expect_uart(1, false, first, 1, 8, 0);
    expect_uart(2, false, second, 1, 8, 0);
    expect_uart(3, false, third, 1, 8, 0);
}

static void test_dbg2(void **state)
{
    (void)state;
    make_dbg2(0);
    expect_ports(0, 0, 0);
    make_dbg2(2);
    expect_ports(0x3E8, 0x2E8, 0);
    make_dbg2(4); /* one more than there is room for */
    expect_ports(0x3E8, 0x2E8, 0x1E8);
    make_dbg2(3);
    put_device(DEVICE + 40, 34, 0x8001, 0, 0x2E8); /* IEEE 1394 */
    set_length(TABLE, DEVICE + 142);
    expect_ports(0x3E8, 0x1E8, 0);
    put_device(DEVICE + 40, 34, 0x8000, 3, 0x2E8); /* another chip */
    set_length(TABLE, DEVICE + 142);
    expect_ports(0x3E8, 0x1E8, 0);
}

static void poke_dbg2(uint32_t at, uint64_t value, unsigned bytes)
{
    make_dbg2(2);
    poke(TABLE + at, value, bytes);
    set_length(TABLE, DEVICE + 142);
}

static void test_dbg2_that_lies(void **state)
{
    (void)state;
    poke_dbg2(40, 0xFFFFFFFF, 4); /* the count: what follows the last device is none */
    expect_ports(0x3E8, 0x2E8, 0x1E8);
    const uint32_t offsets[] = {0, 35, DEVICE + 141, DEVICE + 142, 0x7FFFFFFF, 0xFFFFFFFF};
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        poke_dbg2(36, offsets[i], 4);
        expect_ports(0, 0, 0);
    }
    const uint32_t lengths[] = {0, 1, 21, 143, 0xFFFF};
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        poke_dbg2(DEVICE + 41, lengths[i], 2);
        expect_ports(0x3E8, 0, 0);
    }
    const uint32_t bases[] = {0, 21, 29, 0xFFFF};
    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        poke_dbg2(DEVICE + 18, bases[i], 2);
        expect_ports(0x2E8, 0, 0);
    }
    poke_dbg2(DEVICE + 3, 0, 1); /* no address register */
    expect_ports(0x2E8, 0, 0);
}

static void put_window(unsigned index, uint64_t base, unsigned segment, unsigned first, unsigned last)
{
    uint32_t at = TABLE + 44 + 16 * index;

    poke(at, base, 8);
    poke(at + 8, segment, 2);
    poke(at + 10, first, 1);
    poke(at + 11, last, 1);
}

static void test_mcfg(void **state)
{
    (void)state;
    start_table(TABLE, "MCFG");
    put_window(0, 0xA0000000, 1, 0, 255);
    put_window(1, 0xB0000800, 0, 0, 255); /* not a bus's boundary */
    put_window(2, 0xB0000000, 0, 9, 8);
    put_window(3, 0xC0000000, 0, 2, 63);
    for (uint32_t length = 0; length < 44 + 64 + 16; length++) {
        set_length(TABLE, length);
        if (length < 10)
            poke(TABLE + 9, 0, 1);
        read_tables(RSDP);
        assert_int_equal(info.mcfg_base, length >= 44 + 64 ? 0xC0000000 : 0);
        assert_int_equal(log_text[0] != 0, length < 44);
    }
    assert_true(info.mcfg_first_bus == 2 && info.mcfg_last_bus == 63);
}

static void test_iommu(void **state)
{
    const char *const names[] = {"DMAR", "IVRS"};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        set_up(NULL);
        start_table(NEXT, names[i]);
        set_length(NEXT, 48);
        read_tables(RSDP);
        assert_string_equal(info.iommu, names[i]);
        ram[NEXT + 40] ^= 1;
        read_tables(RSDP);
        assert_null(info.iommu);
        assert_non_null(strstr(log_text, "at 102005: bad checksum: left out\n"));
    }
}

static void test_pointers_to_nowhere(void **state)
{
    (void)state;
    make_spcr(0, 1, 0x3E8, 8, 1);
    poke(XSDT + 44, UINT64_C(0x7FFFFFFFF000), 8);
    set_length(XSDT, 52);
    read_tables(RSDP);
    expect_uart(0, false, 0x3E8, 1, 8, 0);
    assert_string_equal(log_text, "ACPI: a table at 7ffffffff000: can't be read: left out\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_cpus),
        TEST(test_cpus_that_are_none),
        TEST(test_entry_lengths_that_lie),
        TEST(test_too_many_cpus),
        TEST(test_spcr),
        TEST(test_spcr_baud),
        TEST(test_spcr_is_taken_once_and_whole),
        TEST(test_dbg2),
        TEST(test_dbg2_that_lies),
        TEST(test_mcfg),
        TEST(test_iommu),
        TEST(test_pointers_to_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
