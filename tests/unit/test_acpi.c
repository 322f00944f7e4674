/*
 * The reader of ACPI tables against tables built here from the ACPI Specification 6.4's layouts: each way of
 * finding them, each field, each way of being broken. The MADT and the tables of UARTs are
 * test_acpi_tables.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "acpi_ram.h"

#define FADT      0x101003u
#define HPET      0x102005u
#define DSDT      0x103007u
#define SSDT      0x104009u
#define OTHER     0x105000u
#define FADT_SIZE 276u
#define HPET_BASE 0xFED00000u

static void make_roots(void)
{
    const uint32_t tables[] = {OTHER, SSDT, FADT, HPET};

    start_table(RSDT, "RSDT");
    start_table(XSDT, "XSDT");
    for (unsigned i = 0; i < 4; i++) {
        poke(RSDT + 36 + 4 * i, tables[i], 4);
        poke(XSDT + 36 + 8 * i, tables[i], 8);
    }
    set_length(RSDT, 36 + 16);
    set_length(XSDT, 36 + 32);
}

/* A machine like QEMU's q35, with every field set; the extended ones tell other ports than the old. */
static void make_machine(void)
{
    static const uint8_t s5[] = {0x08, '_',  'S',  '5',  '_',  0x12, 0x08,
                                 0x04, 0x0A, 0x05, 0x0A, 0x06, 0x00, 0x00};

    memset(ram, 0, sizeof ram);
    make_rsdp(RSDP, 2);
    make_roots();
    start_table(OTHER, "APIC");
    set_length(OTHER, 44);
    start_table(SSDT, "SSDT");
    set_length(SSDT, 80);
    start_table(DSDT, "DSDT");
    memcpy(ram + DSDT + 100, s5, sizeof s5);
    set_length(DSDT, 200);
    start_table(HPET, "HPET");
    poke_address(HPET + 40, 0, HPET_BASE);
    set_length(HPET, 56);
    start_table(FADT, "FACP");
    poke(FADT + 40, DSDT, 4);
    poke(FADT + 48, 0xB2, 4);
    poke(FADT + 52, 0xF1, 1);
    poke(FADT + 64, 0x404, 4);
    poke(FADT + 68, 0x424, 4);
    poke(FADT + 76, 0x408, 4);
    poke(FADT + 89, 2, 1);
    poke(FADT + 91, 4, 1);
    poke(FADT + 112, 1u << 10, 4);
    poke_address(FADT + 116, 1, 0xCF9);
    poke(FADT + 128, 0x0F, 1);
    poke(FADT + 140, DSDT, 8);
    poke_address(FADT + 172, 1, 0x604);
    poke_address(FADT + 184, 1, 0x624);
    poke_address(FADT + 208, 1, 0x608);
    set_length(FADT, FADT_SIZE);
}

static int set_up(void **state)
{
    (void)state;
    make_machine();
    return 0;
}

static void expect_nothing(void)
{
    const struct acpi_info none = {0};

    assert_false(info.found);
    assert_int_equal(info.hpet_base, none.hpet_base);
    assert_true(!info.pm_timer_port && !info.pm1a_control && !info.pm1b_control && !info.smi_command &&
                !info.s5_known && !info.reset_known);
}

static void expect_all(void)
{
    assert_true(info.found);
    assert_int_equal(info.hpet_base, HPET_BASE);
    assert_int_equal(info.pm_timer_port, 0x608);
    assert_int_equal(info.pm1a_control, 0x604);
    assert_int_equal(info.pm1b_control, 0x624);
    assert_int_equal(info.smi_command, 0xB2);
    assert_int_equal(info.acpi_enable, 0xF1);
    assert_true(info.s5_known && info.s5_type_a == 5 && info.s5_type_b == 6);
    assert_true(info.reset_known && info.reset_space == ACPI_SPACE_IO);
    assert_int_equal(info.reset_address, 0xCF9);
    assert_int_equal(info.reset_value, 0x0F);
}

static void test_all_fields(void **state)
{
    (void)state;
    read_tables(RSDP);
    expect_all();
}

static void test_found_in_the_bios_area(void **state)
{
    (void)state;
    read_tables(0);
    expect_all();
    memcpy(ram + 0xFFFD0, ram + RSDP, 36); /* the last place that holds it */
    memset(ram + RSDP, 0, 36);
    read_tables(0);
    expect_all();
    memset(ram + 0xFFFD0, 0, 36);
    make_rsdp(0xE0008, 2); /* not on a 16-byte boundary */
    read_tables(0);
    expect_nothing();
}

static void test_found_in_the_ebda(void **state)
{
    (void)state;
    memset(ram + RSDP, 0, 36);
    poke(0x40E, 0x9FC0, 2);
    make_rsdp(0x9FC00 + 1024 - 16, 2);
    read_tables(0);
    expect_all();
    memset(ram + 0x9FC00, 0, 1100);
    make_rsdp(0x9FC00 + 1024, 2); /* behind the first KB */
    read_tables(0);
    expect_nothing();
}

static void test_bad_pointer_of_the_loader(void **state)
{
    const uint64_t bad[] = {1, 0x1000, RSDP + 16, MEMORY_SIZE - 19, MEMORY_SIZE, UINT64_MAX - 8, UINT64_MAX};

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        read_tables(bad[i]);
        expect_all(); /* by the search */
    }
}

static void test_old_root_pointer(void **state)
{
    (void)state;
    make_rsdp(0x200, 0); /* the search would find the other one */
    memset(ram + RSDP, 0, 36);
    read_tables(0x200);
    expect_all();
    ram[XSDT] = 'Y';
    read_tables(0x200);
    expect_all();
}

static void test_broken_extension_or_xsdt_falls_back(void **state)
{
    (void)state;
    for (uint32_t at = 20; at < 36; at++) {
        make_machine();
        ram[RSDP + at] ^= 0x40;
        poke(RSDT + 36, 0, 4); /* a hole in the list is no harm */
        set_length(RSDT, 36 + 16);
        read_tables(RSDP);
        expect_all();
    }
    for (uint32_t at = 0; at < 68; at++) {
        make_machine();
        ram[XSDT + at] ^= 0x01;
        read_tables(RSDP);
        expect_all();
    }
    ram[RSDT + 40] ^= 1;
    read_tables(RSDP);
    expect_nothing();
}

static void test_each_flipped_byte_of_the_root_pointer(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < 20; at++) {
        make_machine();
        ram[RSDP + at] ^= 0x10;
        read_tables(RSDP);
        expect_nothing();
    }
}

static void test_flipped_bytes_silence_a_table(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < FADT_SIZE; at++) {
        make_machine();
        ram[FADT + at] ^= 0x02;
        read_tables(RSDP);
        assert_int_equal(info.hpet_base, HPET_BASE);
        assert_true(!info.pm_timer_port && !info.pm1a_control && !info.s5_known && !info.reset_known);
    }
    for (uint32_t at = 0; at < 56; at++) {
        make_machine();
        ram[HPET + at] ^= 0x80;
        read_tables(RSDP);
        assert_int_equal(info.hpet_base, 0);
        assert_int_equal(info.pm_timer_port, 0x608);
        const char *why = at < 4 ? "" : at == 6 || at == 7 ? "bad length" : "bad checksum";
        assert_non_null(strstr(log_text, why));
        assert_true(at < 4 ? !log_text[0] : strstr(log_text, "ACPI: HPET at 102005: ") == log_text);
    }
    for (uint32_t at = 0; at < 200; at++) {
        make_machine();
        ram[DSDT + at] ^= 0x04;
        read_tables(RSDP);
        assert_false(info.s5_known);
        assert_int_equal(info.pm1a_control, 0x604);
    }
}

static void test_fadt_lengths(void **state)
{
    (void)state;
    for (uint32_t length = 0; length <= FADT_SIZE; length++) {
        make_machine();
        set_length(FADT, length);
        if (length < 10)
            poke(FADT + 9, 0, 1);
        read_tables(RSDP);
        bool v1 = length >= 116;
        assert_int_equal(info.pm_timer_port, length >= 220 ? 0x608 : v1 ? 0x408 : 0);
        assert_int_equal(info.pm1a_control, length >= 184 ? 0x604 : v1 ? 0x404 : 0);
        assert_int_equal(info.pm1b_control, length >= 196 ? 0x624 : v1 ? 0x424 : 0);
        assert_int_equal(info.s5_known, v1);
        assert_int_equal(info.reset_known, length >= 129);
    }
}

static void test_lengths_that_lie(void **state)
{
    const uint32_t tables[] = {FADT, HPET, DSDT, SSDT, XSDT, RSDT};
    const uint32_t lengths[] = {0, 1, 35, 0x10000, MEMORY_SIZE, 4u << 20, 0x7FFFFFFF, 0xFFFFFFDC, 0xFFFFFFFF};

    (void)state;
    for (unsigned t = 0; t < 6; t++)
        for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            make_machine();
            poke(tables[t] + 4, lengths[i], 4);
            read_tables(RSDP); /* ASan is the judge */
            assert_true(info.found);
        }
    for (uint32_t left = 0; left < 60; left++) { /* a table at the very end of memory */
        make_machine();
        memcpy(ram + MEMORY_SIZE - left, ram + HPET, left);
        poke(XSDT + 36, MEMORY_SIZE - left, 8);
        memset(ram + HPET, 0, 4);
        set_length(XSDT, 68);
        read_tables(RSDP);
        assert_int_equal(info.hpet_base, left >= 56 ? HPET_BASE : 0);
    }
}

static void test_hpet_that_is_none(void **state)
{
    (void)state;
    poke_address(HPET + 40, 1, HPET_BASE); /* in I/O space */
    set_length(HPET, 56);
    read_tables(RSDP);
    assert_int_equal(info.hpet_base, 0);
    poke_address(HPET + 40, 0, HPET_BASE + 4);
    set_length(HPET, 56);
    read_tables(RSDP);
    assert_int_equal(info.hpet_base, 0);
    poke_address(HPET + 40, 0, HPET_BASE);
    set_length(HPET, 55);
    read_tables(RSDP);
    assert_int_equal(info.hpet_base, 0);
}

static void test_old_ports_where_the_extended_are_none(void **state)
{
    (void)state;
    poke_address(FADT + 208, 0, 0xFE000000); /* memory space */
    poke_address(FADT + 172, 1, 0);
    set_length(FADT, FADT_SIZE);
    read_tables(RSDP);
    assert_int_equal(info.pm_timer_port, 0x408);
    assert_int_equal(info.pm1a_control, 0x404);
}

static void test_ports_out_of_range(void **state)
{
    (void)state;
    poke_address(FADT + 208, 1, 0xFFFD);
    poke_address(FADT + 172, 1, 0x10000);
    poke_address(FADT + 184, 1, UINT64_MAX);
    poke(FADT + 48, 0x10000, 4);
    set_length(FADT, FADT_SIZE);
    read_tables(RSDP);
    assert_true(!info.pm_timer_port && !info.pm1a_control && !info.pm1b_control && !info.smi_command);
    poke_address(FADT + 208, 1, 0xFFFC);
    poke_address(FADT + 172, 1, 0xFFFE);
    set_length(FADT, FADT_SIZE);
    read_tables(RSDP);
    assert_int_equal(info.pm_timer_port, 0xFFFC);
    assert_int_equal(info.pm1a_control, 0xFFFE);
}

static void test_what_the_fadt_takes_back(void **state)
{
    (void)state;
    poke(FADT + 91, 0, 1); /* no PM timer */
    poke(FADT + 89, 1, 1); /* a control block too short */
    poke(FADT + 52, 0, 1); /* no value to enable ACPI with */
    set_length(FADT, FADT_SIZE);
    read_tables(RSDP);
    assert_true(!info.pm_timer_port && !info.pm1a_control && !info.pm1b_control && !info.smi_command);
    make_machine();
    poke(FADT + 112, 1u << 10 | 1u << 20, 4); /* hardware-reduced */
    set_length(FADT, FADT_SIZE);
    read_tables(RSDP);
    assert_true(!info.pm_timer_port && !info.pm1a_control && !info.pm1b_control && !info.smi_command);
    assert_true(info.reset_known);
}

static void expect_reset(unsigned space, uint64_t address, uint32_t flags, bool known)
{
    make_machine();
    poke_address(FADT + 116, space, address);
    poke(FADT + 112, flags, 4);
    set_length(FADT, FADT_SIZE);
    read_tables(RSDP);
    assert_int_equal(info.reset_known, known);
    if (known)
        assert_true(info.reset_space == space && info.reset_address == address);
}

static void test_reset_register(void **state)
{
    const uint32_t supported = 1u << 10;

    (void)state;
    expect_reset(1, 0x64, supported, true);
    expect_reset(1, 0x64, 0, false);
    expect_reset(1, 0, supported, false);
    expect_reset(1, 0x10000, supported, false);
    expect_reset(0, 0xFED80000, supported, false); /* memory: left out */
    expect_reset(2, UINT64_C(0x0000001F000700FF), supported, true);
    expect_reset(2, UINT64_C(0x0000002000000044), supported, false);
    expect_reset(2, UINT64_C(0x0000000100080044), supported, false);
    expect_reset(2, UINT64_C(0x0000000100000100), supported, false);
    expect_reset(3, 0x64, supported, false);
}

static void test_dsdt_pointers(void **state)
{
    (void)state;
    poke(FADT + 140, 0, 8);
    set_length(FADT, FADT_SIZE);
    read_tables(RSDP);
    assert_true(info.s5_known);
    poke(FADT + 140, UINT64_C(0x100000000) + DSDT, 8); /* not to be seen */
    set_length(FADT, FADT_SIZE);
    read_tables(RSDP);
    assert_true(info.s5_known);
    poke(FADT + 40, HPET, 4);
    set_length(FADT, FADT_SIZE);
    read_tables(RSDP);
    assert_false(info.s5_known);
}

static void test_s5_in_an_ssdt(void **state)
{
    static const uint8_t s5[] = {0x08, '\\', '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x01, 0x01, 0x00, 0x00};

    (void)state;
    ram[DSDT + 101] = 'x';
    set_length(DSDT, 200);
    memcpy(ram + SSDT + 36, s5, sizeof s5); /* the first thing in it */
    set_length(SSDT, 80);
    read_tables(RSDP);
    assert_true(info.s5_known && info.s5_type_a == 1 && info.s5_type_b == 1);
}

static void test_many_entries(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++)
        poke(OTHER + 36 + 4 * i, i == 255 ? HPET : OTHER, 4);
    poke(OTHER + 36 + 4 * 256, FADT, 4);
    start_table(OTHER, "RSDT");
    set_length(OTHER, 36 + 4 * 257);
    make_rsdp(0x200, 0);
    poke(0x210, OTHER, 4);
    fix_sum(0x200, 20, 0x208);
    read_tables(0x200);
    assert_int_equal(info.hpet_base, HPET_BASE);
    assert_int_equal(info.pm_timer_port, 0); /* entry 257 is not looked at */
}

/* acpi_find_s5() on an exact copy of the bytes: a + 8 b, -1: not found. */
static int find_s5(const uint8_t *aml, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1), a = 0xEE, b = 0xEE;

    assert_non_null(copy);
    memcpy(copy, aml, size);
    int result = acpi_find_s5(copy, size, &a, &b) ? a + 8 * b : -1;
    free(copy);
    return result;
}

#define FIND_S5(...) find_s5((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_s5_encodings(void **state)
{
    (void)state;
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0), 0);
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 4, 2, 1, 0), 1);
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 6, 2, 0x0A, 7, 0x0A, 3), 7 + 8 * 3);
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 8, 2, 0x0B, 5, 0, 0x0B, 4, 0), 5 + 8 * 4);
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 9, 2, 0x0C, 5, 0, 0, 0, 1), 5 + 8);
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 0x47, 0, 2, 0x0A, 5, 1),
                     5 + 8); /* PkgLength of 2 bytes */
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 0xC9, 0, 0, 0, 2, 0x0A, 5, 1), 5 + 8); /* of 4 */
    assert_int_equal(FIND_S5(8, '\\', '_', 'S', '5', '_', 0x12, 4, 2, 1, 1), 9);
    /* A use of the name before its definition, and other sleep states. */
    assert_int_equal(FIND_S5(0x70, '_', 'S', '5', '_', 8, '_', 'S', '4', '_', 0x12, 4, 2, 0, 0, 8, '_', 'S',
                             '5', '_', 0x12, 4, 2, 1, 0),
                     1);
}

static void test_s5_refused(void **state)
{
    (void)state;
    assert_int_equal(FIND_S5('_', 'S', '5', '_', 0x12, 4, 2, 1, 1), -1);       /* nothing before it */
    assert_int_equal(FIND_S5('\\', '_', 'S', '5', '_', 0x12, 4, 2, 1, 1), -1); /* likewise */
    assert_int_equal(FIND_S5(0x14, '_', 'S', '5', '_', 0x12, 4, 2, 1, 1), -1); /* a method */
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x13, 4, 2, 1, 1), -1);    /* no fixed package */
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 4, 1, 1, 1), -1);    /* one element */
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 6, 2, 0x0A, 8, 0x0A, 0), -1);       /* no SLP_TYP */
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 8, 2, 0x0B, 5, 1, 0x0B, 4, 0), -1); /* 105h */
    assert_int_equal(FIND_S5(8, '_', 'S', '5', '_', 0x12, 8, 2, 'A', 'B', 'C', 'D', 0),
                     -1); /* a name in it */
    static const uint8_t whole[] = {8, '_', 'S', '5', '_', 0x12, 0x49, 0, 2, 0x0B, 5, 0, 0x0A, 4};
    for (size_t size = 0; size < sizeof whole; size++)
        assert_int_equal(find_s5(whole, size), -1);
    assert_int_equal(find_s5(whole, sizeof whole), 5 + 8 * 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_all_fields),
        TEST(test_found_in_the_bios_area),
        TEST(test_found_in_the_ebda),
        TEST(test_bad_pointer_of_the_loader),
        TEST(test_old_root_pointer),
        TEST(test_broken_extension_or_xsdt_falls_back),
        TEST(test_each_flipped_byte_of_the_root_pointer),
        TEST(test_flipped_bytes_silence_a_table),
        TEST(test_fadt_lengths),
        TEST(test_lengths_that_lie),
        TEST(test_hpet_that_is_none),
        TEST(test_old_ports_where_the_extended_are_none),
        TEST(test_ports_out_of_range),
        TEST(test_what_the_fadt_takes_back),
        TEST(test_reset_register),
        TEST(test_dsdt_pointers),
        TEST(test_s5_in_an_ssdt),
        TEST(test_many_entries),
        TEST(test_s5_encodings),
        TEST(test_s5_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
