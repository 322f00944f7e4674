/*
 * The Multiboot loader against the Multiboot Specification 0.6.96: a.out kludge, ELF32 and ELF64 images made
 * here, modules, memory map, and every way of being wrong that has its own sentence.
 */
#include "tests/unit/loader.h"
#include "guest/load_multiboot.h"

#define MAGIC 0x1BADB002u

static uint8_t image[0x4000];
static struct load_request request;
static struct load_result result;
static struct test_guest guest;

static void put_header(unsigned at, uint32_t flags)
{
    poke(image, at, MAGIC, 4);
    poke(image, at + 4, flags, 4);
    poke(image, at + 8, -(MAGIC + flags), 4);
}

static void make_request(uint64_t size)
{
    request = (struct load_request){
        .name = "/guests/game.exec", .image = image, .image_size = size, .command_line = "fast"};
    for (unsigned i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i * 13 + 5);
}

/* Like grub-invaders: the header at 84h of the file loads to 100004h, so the file from 80h on goes to 1 MB.
 */
static void make_kludge(void)
{
    make_request(0x2000);
    put_header(0x84, 0x10003);
    poke(image, 0x90, 0x100004, 4); /* header_addr */
    poke(image, 0x94, 0x100000, 4); /* load_addr */
    poke(image, 0x98, 0x101000, 4); /* load_end_addr */
    poke(image, 0x9C, 0x105000, 4); /* bss_end_addr */
    poke(image, 0xA0, 0x100024, 4); /* entry_addr */
}

struct segment {
    uint32_t type;
    uint64_t offset, vaddr, paddr, filesz, memsz;
};

static void make_elf(bool is64, uint64_t entry, const struct segment *segments, unsigned count)
{
    make_request(sizeof image);
    memset(image, 0, 0x1000);
    memcpy(image,
           "\x7F"
           "ELF",
           4);
    poke(image, 4, is64 ? 2 : 1, 1);
    poke(image, 5, 1, 1);
    poke(image, 18, is64 ? 62 : 3, 2);
    unsigned width = is64 ? 8 : 4, stride = is64 ? 56 : 32;
    poke(image, 24, entry, width);
    poke(image, is64 ? 32 : 28, 0x100, width);
    poke(image, is64 ? 54 : 42, stride, 2);
    poke(image, is64 ? 56 : 44, count, 2);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *p = image + 0x100 + i * stride;
        poke(p, 0, segments[i].type, 4);
        poke(p, is64 ? 8 : 4, segments[i].offset, width);
        poke(p, is64 ? 16 : 8, segments[i].vaddr, width);
        poke(p, is64 ? 24 : 12, segments[i].paddr, width);
        poke(p, is64 ? 32 : 16, segments[i].filesz, width);
        poke(p, is64 ? 40 : 20, segments[i].memsz, width);
    }
    put_header(0xF00, 3);
}

static void load_ok(uint64_t ram_bytes)
{
    guest_start(&guest, ram_bytes);
    if (!load_image(&guest.memory, &request, &result))
        fail_msg("%s", result.error_text);
    assert_int_equal(result.protocol, LOAD_MULTIBOOT);
}

static void load_fails(uint64_t ram_bytes, enum load_error error, const char *part)
{
    guest_start(&guest, ram_bytes);
    assert_false(load_image(&guest.memory, &request, &result));
    assert_error(&result, error, part);
    guest_end(&guest);
}

static uint64_t info(unsigned offset)
{
    return peek(&guest, result.cpu.rbx + offset, 4);
}

/* ---- machine state and information ---- */

static void the_kludge_loads_with_bss(void **state)
{
    (void)state;
    make_kludge();
    load_ok(16 * MB);
    assert_string_equal(result.description, "Multiboot game.exec (a.out kludge)");
    assert_memory_equal(peek_text(&guest, MB), image + 0x80, 0x1000);
    assert_int_equal(peek(&guest, 0x101000, 8), 0);
    assert_int_equal(result.image_gpa, MB);
    assert_int_equal(result.image_length, 0x5000);
    assert_int_equal(result.cpu.mode, LOAD_PROTECTED32);
    assert_int_equal(result.cpu.rip, 0x100024);
    assert_int_equal(result.cpu.rax, 0x2BADB002);
    assert_int_equal(result.cpu.rflags, 2);
    assert_int_equal(result.cpu.cr0, 0x11);
    assert_int_equal(result.cpu.cr3 | result.cpu.cr4 | result.cpu.efer, 0);
    assert_int_equal(result.cpu.cs.attributes, 0xC09B);
    assert_int_equal(result.cpu.data.attributes, 0xC093);
    assert_int_equal(result.cpu.cs.limit, 0xFFFFFFFF);
    assert_int_equal(peek(&guest, result.cpu.gdt_base + result.cpu.cs.selector, 8), 0x00CF9B000000FFFF);
    assert_int_equal(peek(&guest, result.cpu.gdt_base + result.cpu.data.selector, 8), 0x00CF93000000FFFF);
    guest_end(&guest);
}

static void the_information_is_filled(void **state)
{
    (void)state;
    make_kludge();
    load_ok(5000 * MB);
    assert_int_equal(result.cpu.rbx, 0x10000);
    assert_int_equal(info(0), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9 | 1 << 12);
    assert_int_equal(info(4), 639);
    assert_int_equal(info(8), 3071 * 1024);
    assert_string_equal(peek_text(&guest, info(16)), "game.exec fast"); /* choice 4 */
    assert_int_equal(info(20), 0);
    assert_string_equal(peek_text(&guest, info(64)), "Verge");
    struct e820_entry map[E820_ENTRIES];
    unsigned count = e820_build(5000 * MB, map);
    assert_int_equal(info(44), count * 24);
    for (unsigned i = 0; i < count; i++) {
        uint64_t entry = info(48) + i * 24;
        assert_int_equal(peek(&guest, entry, 4), 20);
        assert_memory_equal(peek_text(&guest, entry + 4), &map[i], 20);
    }
    assert_int_equal(peek(&guest, result.cpu.rbx + 88, 8), 0xB8000);
    assert_int_equal(info(96), 160);
    assert_int_equal(info(100), 80);
    assert_int_equal(info(104), 25);
    assert_int_equal(info(108) & 0xFFFF, 2 << 8 | 16); /* EGA text */
    guest_end(&guest);
}

static void command_lines_begin_with_the_name(void **state) /* choice 4 */
{
    (void)state;
    static const struct {
        const char *name, *line, *expected;
    } cases[] = {{"k", "", "k"}, {"k", NULL, "k"},    {NULL, "a b", "a b"},
                 {"", NULL, ""}, {"/a/b/", "x", "x"}, {"a/b", "c", "b c"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_kludge();
        request.name = cases[i].name;
        request.command_line = cases[i].line;
        load_ok(16 * MB);
        assert_string_equal(peek_text(&guest, info(16)), cases[i].expected);
        assert_string_equal(peek_text(&guest, info(64)), "Verge");
        guest_end(&guest);
    }
}

static void modules_stand_on_pages_behind_the_image(void **state)
{
    (void)state;
    static uint8_t data[10000];
    memset(data, 0xD7, sizeof data);
    const struct load_module modules[] = {{data, 10000, "disk.img a=1"}, {data, 0, NULL}, {data, 4096, "b"}};
    make_kludge();
    request.modules = modules;
    request.module_count = 3;
    load_ok(16 * MB);
    static const struct {
        uint64_t start, end;
        const char *text;
    } expected[] = {
        {0x105000, 0x107710, "disk.img a=1"}, {0x108000, 0x108000, ""}, {0x108000, 0x109000, "b"}};
    assert_int_equal(info(20), 3);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t entry = info(24) + i * 16;
        assert_int_equal(peek(&guest, entry, 4), expected[i].start);
        assert_int_equal(peek(&guest, entry + 4, 4), expected[i].end);
        assert_string_equal(peek_text(&guest, peek(&guest, entry + 8, 4)), expected[i].text);
        assert_int_equal(peek(&guest, entry + 12, 4), 0);
        if (modules[i].size)
            assert_memory_equal(peek_text(&guest, expected[i].start), data, modules[i].size);
    }
    assert_int_equal(result.modules_gpa, 0x105000);
    assert_int_equal(result.modules_length, 0x4000);
    guest_end(&guest);

    const struct load_module large = {data, 16 * MB - 0x105000 + 1, NULL};
    request.modules = &large; /* never read: it cannot fit */
    request.module_count = 1;
    load_fails(16 * MB, LOAD_MODULES_TOO_LARGE, "module 1 of");
    const struct load_module huge = {data, UINT64_MAX, NULL};
    request.modules = &huge;
    load_fails(16 * MB, LOAD_MODULES_TOO_LARGE, "module 1 of");
}

static void the_information_avoids_the_image(void **state)
{
    (void)state;
    static const struct segment low = {1, 0x1000, 0x8000, 0x8000, 0x1000, 0x10000}; /* 8000h to 18000h */
    static const struct segment below = {1, 0x1000, 0x8000, 0x8000, 0x1000, 0x8000};
    make_elf(false, 0x8000, &below, 1);
    load_ok(16 * MB);
    assert_int_equal(result.cpu.rbx, 0x10000);
    guest_end(&guest);
    make_elf(false, 0x8000, &low, 1);
    load_ok(16 * MB);
    assert_int_equal(result.cpu.rbx, MB); /* modules and information begin at 1 MB then */
    assert_memory_equal(peek_text(&guest, 0x8000), image + 0x1000, 0x1000);
    guest_end(&guest);

    char *line = malloc(600000); /* too long for the low place */
    memset(line, 'x', 599999);
    line[599999] = 0;
    make_kludge();
    request.command_line = line;
    load_ok(16 * MB);
    assert_int_equal(result.cpu.rbx, 0x105000);
    assert_int_equal(strlen(peek_text(&guest, info(16))), strlen("game.exec ") + 599999);
    guest_end(&guest);
    poke(image, 0x9C, 0x200000, 4);
    load_fails(2 * MB, LOAD_NO_MEMORY, "no room for the boot information");
    free(line);
}

static void nothing_depends_on_host_addresses(void **state)
{
    (void)state;
    struct load_result first;
    make_kludge();
    load_ok(4 * MB);
    struct test_guest other = guest;
    first = result;
    uint8_t *copy = malloc(request.image_size + 64);
    memcpy(copy + 64, image, request.image_size);
    request.image = copy + 64;
    load_ok(4 * MB);
    assert_memory_equal(other.ram, guest.ram, 4 * MB);
    assert_memory_equal(&first, &result, sizeof result);
    guest_end(&guest);
    guest_end(&other);
    free(copy);
}

/* ---- the a.out kludge's edges ---- */

static void load_end_0_means_the_whole_file(void **state)
{
    (void)state;
    make_kludge();
    poke(image, 0x98, 0, 4);
    poke(image, 0x9C, 0, 4);
    load_ok(16 * MB);
    assert_int_equal(result.image_length, 0x2000 - 0x80);
    assert_memory_equal(peek_text(&guest, MB), image + 0x80, 0x2000 - 0x80);
    guest_end(&guest);
}

static void bad_kludges_have_their_sentences(void **state)
{
    (void)state;
    static const struct {
        unsigned offset;
        uint32_t value;
        enum load_error error;
        const char *part;
    } cases[] = {
        {0x94, 0x100008, LOAD_MALFORMED, "before the start of the file"},
        {0x94, 0xFFF00, LOAD_MALFORMED, "before the start of the file"},
        {0x90, 0xFFFFFFFF, LOAD_MALFORMED, "before the start of the file"},
        {0x98, 0xFF000, LOAD_MALFORMED, "backwards"},
        {0x9C, 0x100800, LOAD_MALFORMED, "backwards"},
        {0x98, 0x104000, LOAD_TRUNCATED, "truncated"},
        {0xA0, 0x105000, LOAD_MALFORMED, "entry"},
        {0xA0, 0xFFFFF, LOAD_MALFORMED, "entry"},
        {0x9C, 0xF0000000, LOAD_NO_MEMORY, "no guest memory where"},
        {0x9C, 0x1000001, LOAD_NO_MEMORY, "the guest has 16 MB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_kludge();
        poke(image, cases[i].offset, cases[i].value, 4);
        load_fails(16 * MB, cases[i].error, cases[i].part);
    }
    make_kludge(); /* the range must hold nothing that the map calls reserved */
    poke(image, 0x90, 0x9F004, 4);
    poke(image, 0x94, 0x9F000, 4);
    poke(image, 0x98, 0x9FC01, 4);
    poke(image, 0x9C, 0, 4);
    load_fails(16 * MB, LOAD_NO_MEMORY, "9f000h");
    make_kludge();
    poke(image, 0x98, 0x100000, 4);
    poke(image, 0x9C, 0x100000, 4);
    load_fails(16 * MB, LOAD_MALFORMED, "nothing to load");
}

static void headers_are_found_and_checked(void **state)
{
    (void)state;
    make_kludge();
    poke(image, 0x8C, 1, 4); /* checksum */
    load_fails(16 * MB, LOAD_UNKNOWN_IMAGE, "not a kernel");
    make_kludge();
    put_header(0x84, 0x10003 | 0x20);
    load_fails(16 * MB, LOAD_UNSUPPORTED, "flags 20h");
    make_kludge();
    put_header(0x84, 0x10007); /* a video mode: text is what it gets */
    load_ok(16 * MB);
    guest_end(&guest);
    make_kludge();
    put_header(0x84, 0x3);
    load_fails(16 * MB, LOAD_MALFORMED, "no ELF file");
    make_request(sizeof image); /* at the last place where it may be, and behind it */
    put_header(0x1FF4, 3);
    assert_true(load_multiboot_matches(&request));
    make_request(sizeof image);
    put_header(0x1FF8, 3);
    assert_false(load_multiboot_matches(&request));
    make_request(sizeof image);
    put_header(0x102, 3); /* not aligned */
    assert_false(load_multiboot_matches(&request));
    make_kludge();
    for (uint64_t size = 0; size < 0x1000 + 0x80; size++) {
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, image, size);
        request.image = copy;
        request.image_size = size;
        load_fails(4 * MB, size < 0x90 && size ? LOAD_UNKNOWN_IMAGE : LOAD_TRUNCATED, "");
        free(copy);
    }
}

/* ---- ELF ---- */

static void elf_segments_go_to_physical_addresses(void **state)
{
    (void)state;
    static const struct segment segments[] = {{4, 0, 0, 0, 0x99999999, 0}, /* a note: not looked at */
                                              {1, 0x1000, 0xC0100000, 0x100000, 0x800, 0x1000},
                                              {1, 0x2000, 0xC0102000, 0x102000, 0x100, 0x3000},
                                              {1, 0x3000, 0, 0, 0, 0}};
    for (int is64 = 0; is64 < 2; is64++) {
        make_elf(is64, 0xC0100010, segments, 4);
        load_ok(16 * MB);
        assert_string_equal(result.description,
                            is64 ? "Multiboot game.exec (ELF64)" : "Multiboot game.exec (ELF32)");
        assert_int_equal(result.cpu.mode, LOAD_PROTECTED32);
        assert_int_equal(result.cpu.rip, 0x100010); /* choice 3: virtual */
        assert_memory_equal(peek_text(&guest, MB), image + 0x1000, 0x800);
        assert_int_equal(peek(&guest, 0x100800, 8), 0);
        assert_memory_equal(peek_text(&guest, 0x102000), image + 0x2000, 0x100);
        assert_int_equal(result.image_length, 0x5000);
        guest_end(&guest);
        make_elf(is64, 0x102020, segments, 4);
        load_ok(16 * MB);
        assert_int_equal(result.cpu.rip, 0x102020); /* physical */
        guest_end(&guest);
    }
    make_elf(false, 0xC0100010, segments, 2); /* choice 1: flag 16 counts in an ELF file too */
    put_header(0x204, 0x10003);
    poke(image, 0x210, 0x100204, 4);
    poke(image, 0x214, 0x100000, 4);
    poke(image, 0x218, 0, 4);
    poke(image, 0x21C, 0, 4);
    poke(image, 0x220, 0x100008, 4);
    load_ok(16 * MB);
    assert_int_equal(result.cpu.rip, 0x100008);
    assert_memory_equal(peek_text(&guest, MB),
                        "\x7F"
                        "ELF",
                        4);
    guest_end(&guest);
}

static void bad_segments_have_their_sentences(void **state)
{
    (void)state;
    static const struct segment good = {1, 0x1000, MB, MB, 0x100, 0x1000};
    static const struct {
        struct segment segment;
        enum load_error error;
        const char *part;
    } cases[] = {
        {{1, 0x1000, 0, 2 * MB, 0x3001, 0x4000}, LOAD_TRUNCATED, "truncated"},
        {{1, 0xFFFFFFFF, 0, 2 * MB, 2, 2}, LOAD_TRUNCATED, "truncated"},
        {{1, UINT64_MAX, 0, 2 * MB, 2, 2}, LOAD_TRUNCATED, "truncated"},
        {{1, 2, 0, 2 * MB, UINT64_MAX, UINT64_MAX}, LOAD_TRUNCATED, "truncated"},
        {{1, 0x1000, 0, 2 * MB, 2, 1}, LOAD_MALFORMED, "more bytes in the file"},
        {{1, 0x1000, 0, MB + 0xFFF, 2, 2}, LOAD_MALFORMED, "overlap at 100fffh"}, /* choice 2 */
        {{1, 0x1000, 0, MB - 1, 2, 2}, LOAD_NO_MEMORY, "fffffh"},
        {{1, 0x1000, 0, 0, 2, 2}, LOAD_NO_MEMORY, "where the image wants"},
        {{1, 0x1000, 0, 0xFFF, 1, 1}, LOAD_NO_MEMORY, "where the image wants"},
        {{1, 0x1000, 0, 0xA0000, 1, 1}, LOAD_NO_MEMORY, "where the image wants"},
        {{1, 0x1000, 0, 16 * MB - 1, 1, 2}, LOAD_NO_MEMORY, "where the image wants"},
        {{1, 0x1000, 0, UINT64_MAX, 1, 2}, LOAD_NO_MEMORY, "where the image wants"},
        {{1, 0x1000, 0, 2 * MB, 1, UINT64_MAX}, LOAD_NO_MEMORY, "where the image wants"},
        {{1, 0x1000, 0, 4096 * MB, 1, 1}, LOAD_NO_MEMORY, "where the image wants"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct segment two[] = {good, cases[i].segment};
        make_elf(true, MB, two, 2);
        load_fails(16 * MB, cases[i].error, cases[i].part);
    }
    static struct segment many[MULTIBOOT_SEGMENTS + 1];
    for (unsigned i = 0; i <= MULTIBOOT_SEGMENTS; i++)
        many[i] = (struct segment){1, 0x2000, 0, MB + i * 4096, 16, 16};
    make_elf(false, MB, many, MULTIBOOT_SEGMENTS);
    load_ok(16 * MB);
    guest_end(&guest);
    make_elf(false, MB, many, MULTIBOOT_SEGMENTS + 1);
    load_fails(16 * MB, LOAD_UNSUPPORTED, "more than 64 segments");
}

static void bad_elf_headers_have_their_sentences(void **state)
{
    (void)state;
    static const struct segment good = {1, 0x1000, MB, MB, 0x100, 0x1000};
    static const struct {
        unsigned offset, width;
        uint64_t value;
        enum load_error error;
        const char *part;
    } cases[] = {
        {4, 1, 3, LOAD_UNSUPPORTED, "neither 32- nor 64-bit"},
        {5, 1, 2, LOAD_UNSUPPORTED, "little-endian"},
        {18, 2, 40, LOAD_UNSUPPORTED, "type 40"},
        {42, 2, 31, LOAD_MALFORMED, "31 bytes each"},
        {42, 2, 0, LOAD_MALFORMED, "too small"},
        {44, 2, 0xFFFF, LOAD_TRUNCATED, "program headers lie behind"},
        {42, 2, 0xFFFF, LOAD_TRUNCATED, "program headers lie behind"},
        {28, 4, 0xFFFFFFFF, LOAD_TRUNCATED, "program headers lie behind"},
        {28, 4, sizeof image - 31, LOAD_TRUNCATED, "program headers lie behind"},
        {44, 2, 0, LOAD_MALFORMED, "nothing to load"},
        {24, 4, 0x101000, LOAD_MALFORMED, "entry 101000h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_elf(false, MB, &good, 1);
        poke(image, cases[i].offset, cases[i].value, cases[i].width);
        load_fails(16 * MB, cases[i].error, cases[i].part);
    }
    make_elf(true, MB, &good, 1);
    poke(image, 32, UINT64_MAX, 8);
    load_fails(16 * MB, LOAD_TRUNCATED, "program headers lie behind");
    make_request(48); /* a Multiboot header, and then the ELF header ends too soon */
    memcpy(image,
           "\x7F"
           "ELF\x01\x01",
           6);
    put_header(36, 3);
    load_fails(16 * MB, LOAD_TRUNCATED, "inside its ELF header");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kludge_loads_with_bss),
        cmocka_unit_test(the_information_is_filled),
        cmocka_unit_test(command_lines_begin_with_the_name),
        cmocka_unit_test(modules_stand_on_pages_behind_the_image),
        cmocka_unit_test(the_information_avoids_the_image),
        cmocka_unit_test(nothing_depends_on_host_addresses),
        cmocka_unit_test(load_end_0_means_the_whole_file),
        cmocka_unit_test(bad_kludges_have_their_sentences),
        cmocka_unit_test(headers_are_found_and_checked),
        cmocka_unit_test(elf_segments_go_to_physical_addresses),
        cmocka_unit_test(bad_segments_have_their_sentences),
        cmocka_unit_test(bad_elf_headers_have_their_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
