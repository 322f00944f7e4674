/*
 * verge.efi's Multiboot 2 information, read back by boot/info_multiboot2.c, which was there before it and
 * reads GRUB's too. Sources: Multiboot2 Specification 2.0, "Boot information format".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "boot/efi/information.h"

static struct boot_info info;
static struct information information;
static uint8_t memory[8192] __attribute__((aligned(MB2_ALIGNMENT)));

static int setup(void **state)
{
    (void)state;
    memset(memory, 0xee, sizeof memory);
    boot_info_init(&info);
    information_begin(&information, memory, sizeof memory);
    return 0;
}

static void add_range(uint64_t base, uint64_t length, enum mb2_range_type type)
{
    information_add_range(&information, &(struct mb2_range){.base = base, .length = length, .type = type});
}

static void read_back(void)
{
    boot_info_from_multiboot2(&info, memory, memory);
}

static void test_nothing(void **state)
{
    (void)state;
    assert_true(information_end(&information));
    read_back();
    assert_string_equal(info.command_line, "");
    assert_int_equal(info.range_count + info.module_count + info.dropped, 0);
    assert_int_equal(info.screen.kind, BOOT_SCREEN_UNKNOWN);
}

static void test_everything(void **state)
{
    static const struct boot_screen screen = {.kind = BOOT_SCREEN_PIXELS,
                                              .address = UINT64_C(0x380000000),
                                              .pitch = 7680,
                                              .width = 1900,
                                              .height = 1080,
                                              .depth = 32,
                                              .red = {16, 8},
                                              .green = {8, 8},
                                              .blue = {0, 8}};
    static const char rsdp[36] = "RSD PTR .";

    (void)state;
    information_add_string(&information, MB2_TAG_LOADER_NAME, "verge.efi");
    information_add_string(&information, MB2_TAG_CMDLINE, "slice=1ms");
    information_add_module(&information, 0xffffe000, 0x1fff, "config");
    information_add_module(&information, 0x100000, 0, "/verge/empty");
    information_add_screen(&information, &screen);
    information_add_rsdp(&information, MB2_TAG_ACPI_NEW, rsdp, sizeof rsdp);
    add_range(0, 0x9f000, MB2_AVAILABLE);
    add_range(UINT64_C(0x100000000), UINT64_C(0x1000000000), MB2_RESERVED);
    assert_true(information_end(&information));
    read_back();
    assert_string_equal(info.loader, "verge.efi");
    assert_string_equal(info.command_line, "slice=1ms");
    assert_int_equal(info.module_count, 2);
    assert_true(info.modules[0].base == 0xffffe000 && info.modules[0].size == 0x1fff);
    assert_string_equal(info.modules[0].string, "config");
    assert_true(info.modules[1].base == 0x100000 && info.modules[1].size == 0);
    assert_string_equal(info.modules[1].string, "/verge/empty");
    assert_memory_equal(&info.screen, &screen, sizeof screen);
    assert_memory_equal(memory + info.rsdp, rsdp, sizeof rsdp);
    assert_int_equal(info.range_count, 2);
    assert_true(info.ranges[0].base == 0 && info.ranges[0].length == 0x9f000 && info.ranges[0].usable);
    assert_true(info.ranges[1].length == UINT64_C(0x1000000000) && !info.ranges[1].usable);
    assert_int_equal(info.dropped, 0);
}

/* Firmware's map has a line for each allocation: only neighbours of one kind become one. */
static void test_ranges_are_joined(void **state)
{
    (void)state;
    add_range(0x1000, 0x1000, MB2_AVAILABLE);
    add_range(0x2000, 0x3000, MB2_AVAILABLE);
    add_range(0x5000, 0x1000, MB2_ACPI);
    add_range(0x6000, 0x1000, MB2_RESERVED);
    add_range(0x8000, 0x1000, MB2_RESERVED);
    add_range(0x7000, 0x1000, MB2_RESERVED);
    assert_true(information_end(&information));
    read_back();
    assert_int_equal(info.range_count, 5);
    assert_true(info.ranges[0].base == 0x1000 && info.ranges[0].length == 0x4000);
    assert_true(info.ranges[1].length == 0x1000 && !info.ranges[1].usable);
    assert_true(info.ranges[4].base == 0x7000 && info.ranges[4].length == 0x1000);
}

/* Whatever the room: nothing is written behind it, what is there can be read, and a lack is told. */
static void test_any_room(void **state)
{
    (void)state;
    for (size_t room = 24; room < 400; room += MB2_ALIGNMENT) {
        uint8_t *small = aligned_alloc(MB2_ALIGNMENT, room);
        bool whole;

        boot_info_init(&info);
        information_begin(&information, small, room);
        information_add_string(&information, MB2_TAG_CMDLINE, "loglevel=debug");
        information_add_module(&information, 0x1000, 0x1000, "/verge/vmlinuz");
        information_add_rsdp(&information, MB2_TAG_ACPI_OLD, "RSD PTR             ", 20);
        for (uint64_t line = 0; line < 4; line++)
            add_range(line << 20, 0x1000, MB2_AVAILABLE);
        whole = information_end(&information);
        boot_info_from_multiboot2(&info, small, small);
        assert_int_equal(whole, info.range_count == 4 && info.module_count == 1 && info.rsdp != 0);
        assert_int_equal(whole, room >= 8 + 24 + 32 + 32 + (16 + 4 * 24) + 8);
        free(small);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_nothing),
        T(test_everything),
        T(test_ranges_are_joined),
        T(test_any_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
