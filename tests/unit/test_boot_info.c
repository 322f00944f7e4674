/*
 * Boot loaders' tables into struct boot_info, against hand-made tables. Sources: Multiboot Specification
 * 0.6.96 and Multiboot2 Specification 2.0, "Boot information format".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "boot/boot_info.h"
#include "lib/prng.h"

static struct boot_info info;
static uint8_t memory[65536] __attribute__((aligned(8)));

static void put32(size_t at, uint32_t value)
{
    memcpy(memory + at, &value, 4);
}

static void put64(size_t at, uint64_t value)
{
    memcpy(memory + at, &value, 8);
}

static int setup(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    boot_info_init(&info);
    return 0;
}

/* ---- Multiboot 1; the information structure stands at 100h ---- */
#define MB1 0x100

static void parse1(void)
{
    boot_info_from_multiboot1(&info, memory + MB1, memory);
}

static void test_mb1_nothing(void **state)
{
    (void)state;
    parse1();
    assert_string_equal(info.command_line, "");
    assert_string_equal(info.loader, "unknown");
    assert_int_equal(info.range_count + info.module_count + info.dropped, 0);
}

static void put_range1(size_t at, uint32_t size, uint64_t base, uint64_t length, uint32_t type)
{
    put32(at, size);
    put64(at + 4, base);
    put64(at + 12, length);
    put32(at + 20, type);
}

static void test_mb1_everything(void **state)
{
    (void)state;
    put32(MB1, BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(9));
    put32(MB1 + 4, 1); /* mem_lower: not used beside a map */
    put32(MB1 + 8, 1);
    put32(MB1 + 16, 0x1000);
    strcpy((char *)memory + 0x1000, "verge.elf loglevel=debug");
    put32(MB1 + 20, 2);
    put32(MB1 + 24, 0x1100);
    put32(0x1100, 0x200000);
    put32(0x1104, 0x200123);
    put32(0x1108, 0x1200);
    strcpy((char *)memory + 0x1200, "kernel vm=a");
    put32(0x1110, 0x300000);
    put32(0x1114, 0x300000); /* empty, without a string */
    put32(MB1 + 44, 24 + 28);
    put32(MB1 + 48, 0x1300);
    put_range1(0x1300, 20, 0, 0x9fc00, 1);
    put_range1(0x1318, 24, 0x100000000, 0x40000000, 2); /* a larger entry */
    put32(MB1 + 64, 0x1400);
    strcpy((char *)memory + 0x1400, "test loader");
    parse1();
    memset(memory, 0xee, sizeof memory); /* nothing may depend on the loader's memory any more */
    assert_string_equal(info.command_line, "verge.elf loglevel=debug");
    assert_string_equal(info.loader, "test loader");
    assert_int_equal(info.module_count, 2);
    assert_true(info.modules[0].base == 0x200000 && info.modules[0].size == 0x123);
    assert_string_equal(info.modules[0].string, "kernel vm=a");
    assert_true(info.modules[1].size == 0);
    assert_string_equal(info.modules[1].string, "");
    assert_int_equal(info.range_count, 2);
    assert_true(info.ranges[0].length == 0x9fc00 && info.ranges[0].usable);
    assert_true(info.ranges[1].base == 0x100000000 && info.ranges[1].length == 0x40000000 &&
                !info.ranges[1].usable);
    assert_int_equal(info.dropped, 0);
}

static void test_mb1_memory_without_a_map(void **state)
{
    (void)state;
    put32(MB1, BIT(0));
    put32(MB1 + 4, 639);
    put32(MB1 + 8, 0xffffffff);
    parse1();
    assert_int_equal(info.range_count, 2);
    assert_true(info.ranges[0].base == 0 && info.ranges[0].length == 639 * 1024);
    assert_true(info.ranges[1].base == 0x100000 && info.ranges[1].length == UINT64_C(0xffffffff) * 1024);
}

/* Entries that are cut short, of size 0, or of a size past the end: read to the end at most. */
static void test_mb1_garbage_map(void **state)
{
    static const uint32_t sizes[] = {0, 1, 4, 19, 21, 0x7fffffff, 0xfffffff0, 0xffffffff};

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        setup(state);
        put32(MB1, BIT(6));
        put32(MB1 + 44, 100);
        put32(MB1 + 48, 0x1000);
        for (size_t at = 0; at < 100; at += 4)
            put32(0x1000 + at, sizes[i]);
        parse1();
        assert_in_range(info.range_count, sizes[i] ? 1 : 0, 25);
    }
    setup(state);
    put32(MB1, BIT(6));
    put32(MB1 + 44, 23); /* less than an entry */
    put32(MB1 + 48, 0x1000);
    parse1();
    assert_int_equal(info.range_count, 0);
}

/* ---- Multiboot 2; the table stands at 100h ---- */
#define MB2 0x100

static size_t end;

static void begin2(void)
{
    end = MB2 + 8;
}

/* A tag with `size` bytes of payload behind its 8-byte head; returns where the payload goes. */
static size_t tag(uint32_t type, uint32_t size)
{
    size_t at = end;

    put32(at, type);
    put32(at + 4, size + 8);
    end = at + ALIGN_UP(size + 8, 8u);
    return at + 8;
}

static void parse2(void)
{
    tag(0, 0);
    put32(MB2, (uint32_t)(end - MB2));
    boot_info_from_multiboot2(&info, memory + MB2, memory);
}

static void test_mb2_everything(void **state)
{
    (void)state;
    begin2();
    strcpy((char *)memory + tag(1, 10), "timer=x y");
    strcpy((char *)memory + tag(2, 5), "GRUB");
    size_t at = tag(3, 8 + 7);
    put32(at, 0x500000);
    put32(at + 4, 0x500100);
    strcpy((char *)memory + at + 8, "kernel");
    at = tag(6, 8 + 2 * 32);
    put32(at, 32); /* entries larger than those we know */
    put64(at + 8, 0x100000);
    put64(at + 16, 0x1000000);
    put32(at + 24, 1);
    put64(at + 40, 0xfe000000);
    put64(at + 48, 0x1000);
    put32(at + 56, 2);
    tag(4, 8); /* unknown to us */
    size_t old = tag(14, 20), new = tag(15, 36);
    (void)old;
    tag(14, 20); /* the old one behind the new one changes nothing */
    parse2();
    assert_string_equal(info.command_line, "timer=x y");
    assert_string_equal(info.loader, "GRUB");
    assert_int_equal(info.module_count, 1);
    assert_true(info.modules[0].base == 0x500000 && info.modules[0].size == 0x100);
    assert_string_equal(info.modules[0].string, "kernel");
    assert_int_equal(info.range_count, 2);
    assert_true(info.ranges[0].base == 0x100000 && info.ranges[0].length == 0x1000000 &&
                info.ranges[0].usable);
    assert_true(info.ranges[1].base == 0xfe000000 && !info.ranges[1].usable);
    assert_true(info.rsdp == new);
}

/* Both versions have the same fields from the address on; the colours stand two bytes further in the second.
 */
static void put_framebuffer(size_t at, uint8_t type, size_t colors)
{
    static const uint8_t layout[] = {16, 8, 8, 7, 0, 6}; /* position and size of red, green, blue */

    put64(at, UINT64_C(0x812345000));
    put32(at + 8, 8192);
    put32(at + 12, 1920);
    put32(at + 16, 1080);
    memory[at + 20] = 32;
    memory[at + 21] = type;
    memcpy(memory + at + colors, layout, sizeof layout);
}

static void check_framebuffer(void)
{
    const struct boot_screen *screen = &info.screen;

    assert_int_equal(screen->kind, BOOT_SCREEN_PIXELS);
    assert_true(screen->address == UINT64_C(0x812345000) && screen->pitch == 8192 && screen->width == 1920 &&
                screen->height == 1080 && screen->depth == 32);
    assert_true(screen->red.position == 16 && screen->red.bits == 8 && screen->green.position == 8 &&
                screen->green.bits == 7 && screen->blue.position == 0 && screen->blue.bits == 6);
}

static void test_mb1_screen(void **state)
{
    (void)state;
    parse1();
    assert_int_equal(info.screen.kind, BOOT_SCREEN_UNKNOWN);
    put32(MB1, BIT(12));
    put_framebuffer(MB1 + 88, 1, 22);
    parse1();
    check_framebuffer();
    put_framebuffer(MB1 + 88, 2, 22);
    parse1();
    assert_int_equal(info.screen.kind, BOOT_SCREEN_TEXT);
}

static void test_mb2_screen(void **state)
{
    static const uint8_t kinds[] = {BOOT_SCREEN_OTHER, BOOT_SCREEN_PIXELS, BOOT_SCREEN_TEXT,
                                    BOOT_SCREEN_OTHER};

    (void)state;
    for (uint8_t type = 0; type < ARRAY_SIZE(kinds); type++) {
        begin2();
        put_framebuffer(tag(8, 30), type, 24);
        parse2();
        assert_int_equal(info.screen.kind, kinds[type]);
        if (type == 1)
            check_framebuffer();
        boot_info_init(&info);
    }
    begin2();
    tag(8, 29); /* cut off */
    parse2();
    assert_int_equal(info.screen.kind, BOOT_SCREEN_UNKNOWN);
}

static void test_mb2_strings_without_an_end(void **state)
{
    (void)state;
    begin2();
    memset(memory + tag(1, 5), 'x', 5);
    size_t at = tag(3, 8 + 3);
    memset(memory + at + 8, 'y', 3);
    tag(3, 7); /* too short for its bounds */
    tag(3, 8); /* no string at all */
    parse2();
    assert_string_equal(info.command_line, "xxxxx");
    assert_string_equal(info.modules[0].string, "yyy");
    assert_int_equal(info.module_count, 2);
    assert_string_equal(info.modules[1].string, "");
}

static void test_mb2_garbage_map(void **state)
{
    static const uint32_t entry_sizes[] = {0, 1, 23, 0xffffffff, 0x80000000, 1000};

    for (unsigned i = 0; i < ARRAY_SIZE(entry_sizes); i++) {
        setup(state);
        begin2();
        put32(tag(6, 8 + 48), entry_sizes[i]);
        tag(6, 4); /* too short for its entry size */
        parse2();
        assert_int_equal(info.range_count, 0);
    }
}

static void test_mb2_bad_tag_ends_the_table(void **state)
{
    static const uint32_t sizes[] = {0, 7, 0x10000, 0xffffffff, 0xfffffff8};

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        setup(state);
        begin2();
        strcpy((char *)memory + tag(2, 5), "GRUB");
        size_t bad = tag(1, 8) - 8;
        strcpy((char *)memory + tag(2, 6), "later");
        put32(bad + 4, sizes[i]);
        parse2();
        assert_string_equal(info.loader, "GRUB");
        assert_string_equal(info.command_line, "");
    }
}

/* ---- both: what doesn't fit is counted ---- */
static void test_what_does_not_fit(void **state)
{
    char *text = malloc(BOOT_STRINGS_SIZE + 10);

    (void)state;
    for (unsigned i = 0; i < BOOT_RANGES_MAX + 3; i++)
        boot_info_add_range(&info, i * UINT64_C(0x2000), 0x1000, true);
    boot_info_add_range(&info, 1, 0, true); /* empty: not a range at all */
    assert_int_equal(info.range_count, BOOT_RANGES_MAX);
    assert_int_equal(info.dropped, 3);
    for (unsigned i = 0; i < BOOT_MODULES_MAX + 2; i++)
        boot_info_add_module(&info, 0x1000, 0x2000, "m", 10);
    assert_int_equal(info.module_count, BOOT_MODULES_MAX);
    assert_int_equal(info.dropped, 5);
    boot_info_init(&info);
    boot_info_add_module(&info, 0x2000, 0x1000, "ends before it begins", 30);
    assert_int_equal(info.module_count, 0);
    assert_int_equal(info.dropped, 1);
    memset(text, 'z', BOOT_STRINGS_SIZE + 9);
    text[BOOT_STRINGS_SIZE + 9] = 0;
    assert_int_equal(strlen(boot_info_copy_string(&info, "abc", 2)), 2);
    assert_int_equal(strlen(boot_info_copy_string(&info, text, SIZE_MAX)), BOOT_STRINGS_SIZE - 3 - 1);
    assert_int_equal(info.dropped, 2);
    assert_string_equal(boot_info_copy_string(&info, "x", 9), "");
    assert_int_equal(info.dropped, 3);
    free(text);
}

/* Any bytes: nothing is read outside the table (ASan), everything stays in its bounds. */
static void test_random_mb2(void **state)
{
    struct prng prng;

    prng_seed(&prng, 1);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t size = 8 + 8 * (uint32_t)prng_below(&prng, 40);
        uint8_t *table = malloc(size);

        setup(state);
        for (uint32_t at = 0; at < size; at += 4) {
            uint32_t word = (uint32_t)prng_next(&prng) >> prng_below(&prng, 32);

            memcpy(table + at, &word, 4);
        }
        memcpy(table, &size, 4);
        if (size > 8) {
            uint32_t type = (uint32_t)prng_below(&prng, 16), length = (uint32_t)prng_below(&prng, size + 4);

            memcpy(table + 8, &type, 4);
            memcpy(table + 12, &length, 4);
        }
        boot_info_from_multiboot2(&info, table, table);
        assert_true(info.range_count <= BOOT_RANGES_MAX && info.module_count <= BOOT_MODULES_MAX);
        assert_true(info.strings_used <= sizeof info.strings);
        free(table);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_mb1_nothing),
        T(test_mb1_everything),
        T(test_mb1_screen),
        T(test_mb2_screen),
        T(test_mb1_memory_without_a_map),
        T(test_mb1_garbage_map),
        T(test_mb2_everything),
        T(test_mb2_strings_without_an_end),
        T(test_mb2_garbage_map),
        T(test_mb2_bad_tag_ends_the_table),
        T(test_what_does_not_fit),
        T(test_random_mb2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
