/* The host's serial ports by number: where each is found among legacy ports, a fake PCI bus and what tables
 * name, and that nobody gets another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/x86/api/phys.h"
#include "arch/x86/host/acpi.h"
#include "arch/x86/host/pci.h"
#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "fake_16550.h"
#include "lib/log.h"

#define CHIPS     4
#define FUNCTIONS 4

static const struct host_serial_line as_it_is = {0, 8, 1, 'n'};
static const struct host_serial_where legacy = {HOST_SERIAL_LEGACY, 0}, tables = {HOST_SERIAL_TABLES, 0},
                                      any_card = {HOST_SERIAL_PCI, HOST_SERIAL_ANY_CARD};
static struct fake_16550 chips[CHIPS];
static struct acpi_info acpi;
static uint64_t mapped; /* by the monitor's own tables */
static char log_text[2048];

/* One function each: its number and the first 16 dwords of its configuration space. */
static struct function {
    unsigned number;
    uint32_t space[16];
} functions[FUNCTIONS];
static bool pci_there;
static uint32_t pci_address;

static struct fake_16550 *fake_at(bool memory, uint64_t address)
{
    for (unsigned i = 0; i < CHIPS; i++)
        if (chips[i].stride && memory == chips[i].memory && address >= chips[i].address &&
            address < chips[i].address + 8 * chips[i].stride)
            return &chips[i];
    return NULL;
}

static uint32_t *config_dword(void)
{
    for (unsigned i = 0; i < FUNCTIONS; i++)
        if (functions[i].space[0] && functions[i].number == (pci_address >> 8 & 0xFFFF))
            return &functions[i].space[pci_address >> 2 & 15];
    return NULL;
}

void outl(uint16_t port, uint32_t value)
{
    uint32_t *dword = config_dword();

    if (port == 0xCF8)
        pci_address = value;
    else if (dword)
        *dword = value;
}

uint32_t inl(uint16_t port)
{
    if (!pci_there)
        return UINT32_MAX;
    return port == 0xCF8 ? pci_address : config_dword() ? *config_dword() : UINT32_MAX;
}

void *phys_to_virt(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

volatile void *paging_map_device(uint64_t physical, uint64_t size)
{
    assert_true(size == 8 || size == 32);
    mapped = physical;
    return (volatile void *)(uintptr_t)physical;
}

const struct acpi_info *host_acpi(void)
{
    return &acpi;
}

static void take_line(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    (void)level;
    assert_true(strlen(log_text) + strlen(line) + 2 < sizeof log_text);
    strcat(log_text, line);
    strcat(log_text, "\n");
}

static int set_up(void **state)
{
    (void)state;
    memset(chips, 0, sizeof chips);
    memset(functions, 0, sizeof functions);
    memset(&acpi, 0, sizeof acpi);
    pci_there = true;
    log_text[0] = 0;
    mapped = 0;
    log_set_sink(take_line, NULL);
    host_serial_close(0);
    host_serial_close(1);
    return 0;
}

static void put_chip(unsigned index, bool memory, uint64_t address, unsigned stride)
{
    chips[index] = (struct fake_16550){
        .memory = memory, .stride = stride, .width = stride == 4 ? 32 : 8, .address = address, .dll = 12};
}

static void put_function(unsigned index, unsigned number, uint32_t id, uint32_t class, uint32_t bar)
{
    functions[index] = (struct function){number, {[0] = id, [1] = 0xFFFF0000, [2] = class << 8, [4] = bar}};
}

static void test_legacy(void **unused)
{
    (void)unused;
    put_chip(0, false, 0x3F8, 1);
    assert_true(host_serial_open(0, legacy, as_it_is));
    assert_false(host_serial_open(1, legacy, as_it_is));
    assert_int_equal(host_serial_write(0, (const uint8_t *)"abc", 3), 3);
    assert_memory_equal(chips[0].sent, "abc", 3);
    assert_int_equal(host_serial_write(1, (const uint8_t *)"abc", 3), 3); /* vanishes */
    uint8_t byte;
    assert_int_equal(host_serial_read(1, &byte, 1), 0);
    assert_string_equal(log_text, "");
    host_serial_close(0);
    host_serial_write_all(0, (const uint8_t *)"d", 1);
    assert_int_equal(chips[0].sent_count, 3);
}

static void test_named_places(void **unused)
{
    (void)unused;
    put_chip(0, false, 0x3E8, 1);
    put_chip(1, true, 0xFE034000, 4);
    put_chip(2, true, 0xFEB00000, 1);
    assert_true(host_serial_open(0, (struct host_serial_where){HOST_SERIAL_IO, 0x3E8}, as_it_is));
    assert_true(host_serial_open(1, (struct host_serial_where){HOST_SERIAL_MMIO32, 0xFE034000}, as_it_is));
    assert_string_equal(log_text, "com1: UART at port 3e8\ncom2: UART at memory fe034000\n");
    assert_true(host_serial_open(1, (struct host_serial_where){HOST_SERIAL_MMIO32, 0xFE034000}, as_it_is));
    assert_true(host_serial_open(1, (struct host_serial_where){HOST_SERIAL_MMIO, 0xFEB00000}, as_it_is));
    assert_string_equal(
        log_text, "com1: UART at port 3e8\ncom2: UART at memory fe034000\ncom2: UART at memory feb00000\n");
    assert_false(host_serial_open(1, (struct host_serial_where){HOST_SERIAL_IO, 0x3E8}, as_it_is));
}

static void test_places_that_are_none(void **unused)
{
    static const struct host_serial_where nowhere[] = {
        {HOST_SERIAL_IO, 0},
        {HOST_SERIAL_IO, 0xFFF9},
        {HOST_SERIAL_IO, 0x10000},
        {HOST_SERIAL_IO, UINT64_MAX},
        {HOST_SERIAL_MMIO, 0},
        {HOST_SERIAL_MMIO, 0xFFFFFFF9},
        {HOST_SERIAL_MMIO, BIT64(32)},
        {HOST_SERIAL_MMIO32, 0xFFFFFFE4},
        {HOST_SERIAL_MMIO32, 0xFE034002},
    };

    (void)unused;
    fake_accesses = 0;
    for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++)
        assert_false(host_serial_open(0, nowhere[i], as_it_is));
    assert_int_equal(fake_accesses, 0);
}

/* A try writes: not where the main board's own chips are, nor where RAM would answer. */
static void test_places_that_do_something_else(void **unused)
{
    static struct boot_info info = {.range_count = 3,
                                    .ranges = {{.base = BIT64(20), .length = BIT64(30), .usable = true},
                                               {.base = 0xF0000000, .length = BIT64(28)},
                                               {.base = 0xFE034000, .usable = true}}};
    static const struct host_serial_where elsewhere[] = {
        {HOST_SERIAL_IO, 0x20},
        {HOST_SERIAL_IO, 0x80},
        {HOST_SERIAL_IO, 0xFF},
        {HOST_SERIAL_IO, 0xCF1},
        {HOST_SERIAL_IO, 0xCF8},
        {HOST_SERIAL_IO, 0xCFF},
        {HOST_SERIAL_MMIO, BIT64(20) - 7},
        {HOST_SERIAL_MMIO, BIT64(20)},
        {HOST_SERIAL_MMIO32, BIT64(20) + BIT64(30) - 4},
    };

    (void)unused;
    host_serial_learn_memory(&info);
    fake_accesses = 0;
    for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
        log_text[0] = 0;
        assert_false(host_serial_open(1, elsewhere[i], as_it_is));
        assert_non_null(strstr(log_text, " is no place for a UART: left out\n"));
    }
    assert_int_equal(fake_accesses, 0);
    log_text[0] = 0;
    acpi.uarts[0] = (struct uart_place){.memory = true, .stride = 1, .width = 8, .address = BIT64(24)};
    acpi.uarts[1] = (struct uart_place){.stride = 1, .width = 8, .address = 0xD00};
    put_chip(0, false, 0xD00, 1);
    assert_true(host_serial_open(0, tables, as_it_is));
    assert_string_equal(log_text, "com1: memory 1000000 is no place for a UART: left out\n"
                                  "com1: DBG2 at port d00\n");
    put_chip(1, true, BIT64(20) - 8, 1);
    assert_true(host_serial_open(1, (struct host_serial_where){HOST_SERIAL_MMIO, BIT64(20) - 8}, as_it_is));
    put_chip(1, true, BIT64(20) + BIT64(30), 1);
    assert_true(
        host_serial_open(1, (struct host_serial_where){HOST_SERIAL_MMIO, BIT64(20) + BIT64(30)}, as_it_is));
    put_chip(1, true, 0xFE034000, 4); /* reserved, and a usable range without a length */
    assert_true(host_serial_open(1, (struct host_serial_where){HOST_SERIAL_MMIO32, 0xFE034000}, as_it_is));
    host_serial_learn_memory(NULL);
}

static void test_pci_cards(void **unused)
{
    (void)unused;
    put_function(0, 0x0010, 0x12348086, 0x020000, 0xC001); /* a network card */
    put_function(1, 0x0208, 0x00021B36, 0x070002, 0xC061); /* bus 2 */
    put_function(2, 0x0310, 0x00031B36, 0x070002, 0xC081); /* two ports */
    put_chip(0, false, 0xC060, 1);
    put_chip(1, false, 0xC080, 1);
    put_chip(2, false, 0xC088, 1);
    assert_true(host_serial_open(0, any_card, as_it_is));
    assert_true(host_serial_open(1, any_card, as_it_is)); /* the next one */
    assert_string_equal(log_text, "com1: PCI 02:01.0 at port c060\ncom2: PCI 03:02.0 at port c080\n");
    assert_int_equal(functions[1].space[1], PCI_COMMAND_IO); /* and no status bit written */
    assert_int_equal(chips[0].dll, 12);
    log_text[0] = 0;
    assert_true(host_serial_open(0, (struct host_serial_where){HOST_SERIAL_PCI, 0x0310}, as_it_is));
    assert_string_equal(log_text, "com1: PCI 03:02.0 at port c088\n");
    assert_false(host_serial_open(0, (struct host_serial_where){HOST_SERIAL_PCI, 0x0010}, as_it_is));
    assert_false(host_serial_open(0, (struct host_serial_where){HOST_SERIAL_PCI, 0x0300}, as_it_is));
}

/* Intel's remote management, whose UART nobody may listen to, comes behind the cards. */
static void test_pci_remote_management_is_last(void **unused)
{
    (void)unused;
    put_function(0, 0x00B3, 0xA13D8086, 0x070002, 0xF061);
    put_function(1, 0x00B0, 0xA13A8086, 0x078000, 0);
    functions[1].space[3] = 0x00800000;
    put_function(2, 0x0310, 0x00021B36, 0x070002, 0xC081);
    put_chip(0, false, 0xF060, 1);
    put_chip(1, false, 0xC080, 1);
    assert_true(host_serial_open(0, any_card, as_it_is));
    assert_true(host_serial_open(1, any_card, as_it_is));
    assert_string_equal(log_text, "com1: PCI 03:02.0 at port c080\ncom2: PCI 00:16.3 at port f060\n");
    log_text[0] = 0;
    host_serial_close(1);
    assert_true(host_serial_open(0, (struct host_serial_where){HOST_SERIAL_PCI, 0x00B3}, as_it_is));
    assert_string_equal(log_text, "com1: PCI 00:16.3 at port f060\n");
}

static void test_pci_memory(void **unused)
{
    (void)unused;
    put_function(0, 0x0018, 0x00021B36, 0x070002, 0xFEB00000);
    functions[0].space[1] = PCI_COMMAND_IO | 4;
    put_chip(0, true, 0xFEB00000, 1);
    assert_true(host_serial_open(0, any_card, as_it_is));
    assert_int_equal(functions[0].space[1], PCI_COMMAND_IO | PCI_COMMAND_MEMORY | 4);
    functions[0].space[4] = 0xFEB00004; /* of 64 bits */
    functions[0].space[5] = 1;
    assert_false(host_serial_open(0, any_card, as_it_is));
    assert_non_null(strstr(log_text, "PCI 00:03.0: a UART at 1feb00000, beyond 4 GB: not used\n"));
    functions[0].space[5] = 0;
    functions[0].space[6] = 0xC001; /* a port is taken before memory */
    put_chip(1, false, 0xC000, 1);
    assert_true(host_serial_open(0, any_card, as_it_is));
    assert_non_null(strstr(log_text, "com1: PCI 00:03.0 at port c000\n"));
}

static void test_pci_functions(void **unused)
{
    (void)unused;
    put_function(0, 0x0021, 0x00021B36, 0x070002, 0xC001); /* function 1 of a device with one */
    put_function(1, 0x0020, 0x12348086, 0x060000, 0);
    put_chip(0, false, 0xC000, 1);
    assert_false(host_serial_open(0, any_card, as_it_is));
    functions[1].space[3] = 0x00800000;
    assert_true(host_serial_open(0, any_card, as_it_is));
    functions[0].space[2] = 0x070007u << 8;
    assert_false(host_serial_open(0, any_card, as_it_is));
    functions[0].space[2] = 0x070002u << 8;
    functions[0].space[4] = 1; /* not assigned */
    assert_false(host_serial_open(0, any_card, as_it_is));
    pci_there = false;
    assert_false(host_serial_open(0, any_card, as_it_is));
}

static void test_tables(void **unused)
{
    (void)unused;
    acpi.uarts[0] = (struct uart_place){.stride = 1, .width = 8, .address = 0x3E8, .baud = 9600};
    acpi.uarts[1] = (struct uart_place){.memory = true, .stride = 4, .width = 32, .address = 0xFE034000};
    put_chip(1, true, 0xFE034000, 4);
    assert_true(host_serial_open(0, tables, as_it_is)); /* nothing at 3E8h */
    assert_string_equal(log_text, "com1: DBG2 at memory fe034000\n");
    put_chip(0, false, 0x3E8, 1);
    chips[0].dll = 0;
    assert_true(host_serial_open(1, tables, as_it_is));
    assert_non_null(strstr(log_text, "com2: SPCR at port 3e8\n"));
    assert_int_equal(chips[0].dll, 12);
}

static void test_table_beyond_reach(void **unused)
{
    (void)unused;
    acpi.uarts[0] =
        (struct uart_place){.memory = true, .stride = 1, .width = 8, .address = UINT64_C(0x1F00000000)};
    assert_false(host_serial_open(0, tables, as_it_is));
    assert_string_equal(log_text, "SPCR: a UART at 1f00000000, beyond 4 GB: not used\n");
}

/* The last test: there is no way back. */
static void test_own_page_tables(void **unused)
{
    (void)unused;
    put_chip(0, true, 0xFEB00000, 1);
    assert_true(host_serial_open(0, (struct host_serial_where){HOST_SERIAL_MMIO, 0xFEB00000}, as_it_is));
    assert_int_equal(mapped, 0);
    host_serial_map();
    assert_int_equal(mapped, 0xFEB00000);
    put_chip(1, true, 0xFE034000, 4);
    assert_true(host_serial_open(1, (struct host_serial_where){HOST_SERIAL_MMIO32, 0xFE034000}, as_it_is));
    assert_int_equal(mapped, 0xFE034000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_legacy),
        TEST(test_named_places),
        TEST(test_places_that_are_none),
        TEST(test_places_that_do_something_else),
        TEST(test_pci_cards),
        TEST(test_pci_remote_management_is_last),
        TEST(test_pci_memory),
        TEST(test_pci_functions),
        TEST(test_tables),
        TEST(test_table_beyond_reach),
        TEST(test_own_page_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
