/*
 * The Linux loader against "The Linux/x86 Boot Protocol" (the kernel's documentation): synthetic images of
 * several protocol versions, every way of being wrong that has its own sentence, and each truncation of a
 * good image.
 */
#include "tests/unit/loader.h"
#include "guest/load_linux.h"

#define SETUP_SECTORS 4
#define PAYLOAD       ((SETUP_SECTORS + 1) * 512u)
#define PAYLOAD_BYTES 0x3000u
#define IMAGE_BYTES   (PAYLOAD + PAYLOAD_BYTES)
#define PREFERRED     0x1000000u
#define INIT_SIZE     (8 * MB)
#define BOOT_PARAMS   LINUX_BOOT_PARAMS

static uint8_t image[IMAGE_BYTES + 64];
static struct load_request request;
static struct load_result result;

/* A protocol 2.15 kernel like Debian's: relocatable, 64-bit entry. */
static void make_image(void)
{
    memset(image, 0, sizeof image);
    for (unsigned i = 0; i < PAYLOAD_BYTES; i++)
        image[PAYLOAD + i] = (uint8_t)(i * 7 + 1);
    memset(image + IMAGE_BYTES, 0x5A, 64); /* a signature behind syssize */
    poke(image, 0x1F1, SETUP_SECTORS, 1);
    poke(image, 0x1F4, PAYLOAD_BYTES / 16, 4);
    poke(image, 0x1FE, 0xAA55, 2);
    poke(image, 0x200, 0x6AEB, 2); /* the header ends at 26Ch */
    memcpy(image + 0x202, "HdrS", 4);
    poke(image, 0x206, 0x20F, 2);
    poke(image, 0x20E, 0x300, 2);
    poke(image, 0x211, 1, 1);
    poke(image, 0x214, 0x100000, 4);
    poke(image, 0x22C, 0x7FFFFFFF, 4);
    poke(image, 0x230, 0x200000, 4);
    poke(image, 0x234, 1, 1);
    poke(image, 0x235, 21, 1);
    poke(image, 0x236, 0x7F, 2);
    poke(image, 0x238, 2047, 4);
    poke(image, 0x258, PREFERRED, 8);
    poke(image, 0x260, INIT_SIZE, 4);
    strcpy((char *)image + 0x500, "6.1.0-99-cloud-amd64 (someone@example) #1 SMP");
    request = (struct load_request){
        .name = "boot/vmlinuz", .image = image, .image_size = sizeof image, .command_line = "console=ttyS0"};
}

static void load_ok(struct test_guest *guest, uint64_t ram_bytes)
{
    guest_start(guest, ram_bytes);
    if (!load_image(&guest->memory, &request, &result))
        fail_msg("%s", result.error_text);
    assert_int_equal(result.error, LOAD_OK);
    assert_string_equal(result.error_text, "");
}

static void load_fails(uint64_t ram_bytes, enum load_error error, const char *part)
{
    struct test_guest guest;
    guest_start(&guest, ram_bytes);
    assert_false(load_image(&guest.memory, &request, &result));
    assert_error(&result, error, part);
    guest_end(&guest);
}

/* ---- what a kernel finds ---- */

static void check_flat_segments(struct test_guest *guest, uint64_t code)
{
    assert_int_equal(result.cpu.gdt_base, LINUX_GDT);
    assert_int_equal(result.cpu.gdt_limit, 31);
    assert_int_equal(peek(guest, LINUX_GDT, 8), 0);
    assert_int_equal(peek(guest, LINUX_GDT + 0x10, 8), code);
    assert_int_equal(peek(guest, LINUX_GDT + 0x18, 8), 0x00CF93000000FFFF);
    assert_int_equal(result.cpu.cs.selector, 0x10);
    assert_int_equal(result.cpu.cs.attributes, (code >> 40 & 0xFF) | (code >> 52 & 0xF) << 12);
    assert_int_equal(result.cpu.data.selector, 0x18);
    assert_int_equal(result.cpu.data.attributes, 0xC093);
    assert_int_equal(result.cpu.cs.limit, 0xFFFFFFFF);
    assert_int_equal(result.cpu.data.limit, 0xFFFFFFFF);
    assert_int_equal(result.cpu.cs.base | result.cpu.data.base, 0);
}

static void the_64_bit_entry_is_used(void **state)
{
    (void)state;
    struct test_guest guest;
    make_image();
    load_ok(&guest, 256 * MB);
    assert_int_equal(result.protocol, LOAD_LINUX);
    assert_string_equal(result.description, "Linux 6.1.0-99-cloud-amd64");
    assert_int_equal(result.image_gpa, PREFERRED); /* choice 1 */
    assert_int_equal(result.image_length, INIT_SIZE);
    assert_int_equal(result.cpu.mode, LOAD_LONG64);
    assert_int_equal(result.cpu.rip, PREFERRED + 0x200);
    assert_int_equal(result.cpu.rsi, BOOT_PARAMS);
    assert_int_equal(result.cpu.rax | result.cpu.rbx, 0);
    assert_int_equal(result.cpu.rflags, 2);
    assert_int_equal(result.cpu.cr0, 0x80000011);
    assert_int_equal(result.cpu.cr4, 0x20);
    assert_int_equal(result.cpu.efer, 0x500);
    check_flat_segments(&guest, 0x00AF9B000000FFFF);
    assert_memory_equal(guest_mem_map(&guest.memory, PREFERRED, PAYLOAD_BYTES), image + PAYLOAD,
                        PAYLOAD_BYTES);
    assert_int_equal(peek(&guest, PREFERRED + PAYLOAD_BYTES, 8), 0); /* choice 4 */
    guest_end(&guest);
}

static void the_first_4_gb_are_mapped(void **state)
{
    (void)state;
    struct test_guest guest;
    make_image();
    load_ok(&guest, 64 * MB);
    for (uint64_t address = 0; address < 4096 * MB; address += 2 * MB - 4096 + 2 * MB) {
        uint64_t table = result.cpu.cr3;
        for (unsigned shift = 39; shift > 21; shift -= 9) {
            uint64_t entry = peek(&guest, table + 8 * (address >> shift & 511), 8);
            assert_int_equal(entry & 0xFFF, 3);
            table = entry & ~UINT64_C(0xFFF);
        }
        uint64_t leaf = peek(&guest, table + 8 * (address >> 21 & 511), 8);
        assert_int_equal(leaf, (address & ~(2 * MB - 1)) | 0x83);
    }
    assert_int_equal(peek(&guest, result.cpu.cr3 + 8, 8), 0);
    guest_end(&guest);
}

static void boot_params_are_filled(void **state)
{
    (void)state;
    struct test_guest guest;
    make_image();
    poke(image, 0x250, 0xDEADBEEF, 8); /* setup_data and hardware_subarch of the file do not get through */
    poke(image, 0x23C, 3, 4);
    request.acpi_rsdp_gpa = 0xF0010;
    load_ok(&guest, 256 * MB);
    assert_memory_equal(peek_text(&guest, BOOT_PARAMS + 0x202), "HdrS", 4);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x206, 2), 0x20F);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x210, 1), 0xFF);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x211, 1), 1);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x214, 4), PREFERRED);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x218, 8), 0); /* no initrd */
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x1FA, 2), 0xFFFF);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x1EF, 1), 0); /* sentinel */
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x250, 8), 0);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x23C, 4), 0);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x260, 4), INIT_SIZE);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x26C, 4), 0); /* behind the header's end */
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x70, 8), 0xF0010);
    assert_string_equal(peek_text(&guest, peek(&guest, BOOT_PARAMS + 0x228, 4)), "console=ttyS0");
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x1E0, 4), 255 * 1024);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 2, 2), 0xFFFF);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 6, 2), 80 << 8 | 3); /* text mode 3, 80 columns */
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0xE, 4), 16 << 16 | 1 << 8 | 25);
    assert_int_equal(peek(&guest, 0x40E, 2), 0x9FC0);
    assert_int_equal(peek(&guest, 0x413, 2), 639);
    assert_int_equal(peek(&guest, 0x400, 2), 0x3F8);
    assert_int_equal(peek(&guest, 0x9FC00, 1), 1);
    guest_end(&guest);
}

static void memory_map_has_the_hole(void **state)
{
    (void)state;
    static const struct {
        uint64_t ram;
        unsigned count;
        uint64_t low_end, high_bytes;
    } cases[] = {{MB, 3, MB, 0},
                 {256 * MB, 4, 256 * MB, 0},
                 {3072 * MB, 4, 3072 * MB, 0},
                 {3073 * MB, 5, 3072 * MB, MB},
                 {8192 * MB, 5, 3072 * MB, 5120 * MB}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct e820_entry map[E820_ENTRIES];
        assert_int_equal(e820_build(cases[i].ram, map), cases[i].count);
        static const struct e820_entry low[] = {{0, 0x9FC00, 1}, {0x9FC00, 0x400, 2}, {0xF0000, 0x10000, 2}};
        assert_memory_equal(map, low, sizeof low);
        if (cases[i].count > 3) {
            const struct e820_entry expected = {MB, cases[i].low_end - MB, 1};
            assert_memory_equal(&map[3], &expected, sizeof expected);
        }
        if (cases[i].count > 4) {
            const struct e820_entry expected = {UINT64_C(1) << 32, cases[i].high_bytes, 1};
            assert_memory_equal(&map[4], &expected, sizeof expected);
        }
    }
    struct test_guest guest;
    make_image();
    load_ok(&guest, 5120 * MB);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x1E8, 1), 5);
    struct e820_entry map[E820_ENTRIES];
    e820_build(5120 * MB, map);
    assert_memory_equal(guest_mem_map(&guest.memory, BOOT_PARAMS + 0x2D0, sizeof map), map, sizeof map);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x1E0, 4), 3071 * 1024);
    guest_end(&guest);
}

/* ---- initrd ---- */

static uint8_t initrd[64 * 1024];

static void expect_initrd(uint64_t ram_bytes, uint64_t size, uint64_t gpa)
{
    struct test_guest guest;
    struct load_module module = {initrd, size, NULL};
    memset(initrd, 0xC3, sizeof initrd);
    request.modules = &module;
    request.module_count = 1;
    load_ok(&guest, ram_bytes);
    assert_int_equal(result.modules_gpa, gpa);
    assert_int_equal(result.modules_length, size);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x218, 4), gpa);
    assert_int_equal(peek(&guest, BOOT_PARAMS + 0x21C, 4), size);
    assert_memory_equal(guest_mem_map(&guest.memory, gpa, size), initrd, size);
    guest_end(&guest);
}

static void initrd_goes_as_high_as_allowed(void **state) /* choice 2 */
{
    (void)state;
    make_image();
    expect_initrd(256 * MB, 5000, 256 * MB - 8192);
    expect_initrd(256 * MB, 8192, 256 * MB - 8192);
    expect_initrd(6000 * MB, 5000, 2048 * MB - 8192); /* initrd_addr_max */
    poke(image, 0x22C, 0xFFFFFFFF, 4);
    expect_initrd(6000 * MB, 5000, 3072 * MB - 8192); /* the hole */
    poke(image, 0x22C, 0x0FFFFFF, 4);                 /* below the kernel's end */
    struct load_module module = {initrd, 4096, NULL};
    request.modules = &module;
    load_fails(256 * MB, LOAD_MODULES_TOO_LARGE, "initrd");
    poke(image, 0x22C, PREFERRED + INIT_SIZE + 4095, 4); /* exactly behind it */
    expect_initrd(256 * MB, 4096, PREFERRED + INIT_SIZE);
    module.size = 4097;
    request.modules = &module;
    load_fails(256 * MB, LOAD_MODULES_TOO_LARGE, "does not fit");
    make_image();
    request.modules = &module;
    request.module_count = 1;
    load_fails(24 * MB, LOAD_MODULES_TOO_LARGE, "5 KB does not fit: 0 KB are free");
    module.size = UINT64_C(1) << 33; /* never read: it cannot fit */
    load_fails(256 * MB, LOAD_MODULES_TOO_LARGE, "larger than 4 GB");
    module.size = UINT32_MAX;
    load_fails(256 * MB, LOAD_MODULES_TOO_LARGE, "does not fit");
}

static void several_initrds_are_joined(void **state)
{
    (void)state;
    struct test_guest guest;
    static const uint8_t a[] = "aaaaa", b[] = "bb";
    const struct load_module modules[] = {{a, 5, NULL}, {b, 0, NULL}, {b, 2, NULL}};
    make_image();
    request.modules = modules;
    request.module_count = 3;
    load_ok(&guest, 64 * MB);
    assert_int_equal(result.modules_length, 10);
    assert_memory_equal(guest_mem_map(&guest.memory, result.modules_gpa, 11), "aaaaa\0\0\0bb\0", 11);
    guest_end(&guest);
    request.module_count = LOAD_MODULES + 1;
    load_fails(64 * MB, LOAD_TOO_MANY_MODULES, "33 modules");
    request.module_count = 2;
    request.modules = modules + 1; /* the first of the two is empty */
    load_ok(&guest, 64 * MB);
    assert_int_equal(result.modules_length, 2);
    guest_end(&guest);
}

/* ---- other kernels ---- */

static void older_protocols_start_in_32_bits(void **state)
{
    (void)state;
    static const struct {
        unsigned version, header_end;
        uint64_t load, initrd_top;
    } cases[] = {{0x202, 0x22C, MB, 0x38000000},       {0x203, 0x230, MB, 0x20000000},
                 {0x205, 0x236, 2 * MB, 0x20000000},   {0x206, 0x23C, 2 * MB, 0x20000000},
                 {0x209, 0x258, 2 * MB, 0x20000000},   {0x20A, 0x264, PREFERRED, 0x20000000},
                 {0x20B, 0x268, PREFERRED, 0x20000000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_guest guest;
        struct load_module module = {initrd, 100, NULL};
        make_image();
        poke(image, 0x206, cases[i].version, 2);
        poke(image, 0x201, cases[i].header_end - 0x202, 1);
        poke(image, 0x22C, 0x1FFFFFFF, 4);
        poke(image, 0x24C, 0x12345678, 4); /* payload_length: a field that 2.08 brought */
        request.modules = &module;
        request.module_count = 1;
        load_ok(&guest, 1024 * MB);
        assert_int_equal(result.cpu.mode, LOAD_PROTECTED32);
        assert_int_equal(result.cpu.rip, cases[i].load);
        assert_int_equal(result.cpu.rsi, BOOT_PARAMS);
        assert_int_equal(result.cpu.cr0, 0x11);
        assert_int_equal(result.cpu.cr3 | result.cpu.cr4 | result.cpu.efer, 0);
        assert_int_equal(result.modules_gpa, cases[i].initrd_top - 4096);
        check_flat_segments(&guest, 0x00CF9B000000FFFF);
        assert_int_equal(peek(&guest, BOOT_PARAMS + 0x24C, 4), cases[i].header_end > 0x24C ? 0x12345678 : 0);
        assert_int_equal(peek(&guest, cases[i].load, 1), 1);
        guest_end(&guest);
    }
    struct test_guest guest;
    make_image(); /* 2.15 without a 64-bit entry */
    poke(image, 0x236, 0, 2);
    load_ok(&guest, 256 * MB);
    assert_int_equal(result.cpu.mode, LOAD_PROTECTED32);
    assert_int_equal(result.cpu.rip, PREFERRED);
    guest_end(&guest);
}

static void memtest_like_images_load(void **state)
{
    (void)state;
    struct test_guest guest;
    make_image();
    poke(image, 0x206, 0x20C, 2);
    poke(image, 0x234, 0, 1); /* not relocatable: at its preferred address */
    poke(image, 0x230, 0x1000, 4);
    poke(image, 0x236, 9, 2);
    poke(image, 0x238, 255, 4);
    poke(image, 0x258, MB, 8);
    poke(image, 0x260, 0x6ACF8, 4);
    strcpy((char *)image + 0x500, "Memtest86+ v6.10");
    request.image_size = IMAGE_BYTES - 8; /* syssize is rounded up */
    load_ok(&guest, 4 * MB);
    assert_string_equal(result.description, "Memtest86+ v6.10");
    assert_int_equal(result.cpu.rip, MB + 0x200);
    guest_end(&guest);
}

static void setup_sects_0_means_4(void **state)
{
    (void)state;
    struct test_guest guest;
    make_image();
    poke(image, 0x1F1, 0, 1);
    load_ok(&guest, 256 * MB);
    assert_int_equal(peek(&guest, PREFERRED, 1), 1);
    guest_end(&guest);
}

static void version_string_is_untrusted(void **state)
{
    (void)state;
    static const struct {
        unsigned offset;
        const char *text, *expected;
    } cases[] = {{0, "", "kernel of Linux boot protocol 2.15"},
                 {0xFFFF, "", "kernel of Linux boot protocol 2.15"},
                 {PAYLOAD - 0x200, "", "kernel of Linux boot protocol 2.15"},
                 {0x300, "\x1b[2J", "kernel of Linux boot protocol 2.15"},
                 {0x300, "5.0\n6", "Linux 5.0"},
                 {0x300, "7", "Linux 7"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_guest guest;
        make_image();
        poke(image, 0x20E, cases[i].offset, 2);
        strcpy((char *)image + 0x500, cases[i].text);
        load_ok(&guest, 256 * MB);
        assert_string_equal(result.description, cases[i].expected);
        guest_end(&guest);
    }
    struct test_guest guest;
    make_image();
    memset(image + 0x500, 'x', PAYLOAD - 0x500); /* never ends */
    load_ok(&guest, 256 * MB);
    assert_int_equal(strlen(result.description), 63);
    guest_end(&guest);
}

/* ---- command line ---- */

static void long_command_lines_are_refused(void **state) /* choice 3 */
{
    (void)state;
    static char line[70000];
    struct test_guest guest;
    make_image();
    memset(line, 'a', 2047);
    request.command_line = line;
    load_ok(&guest, 64 * MB);
    assert_int_equal(strlen(peek_text(&guest, LINUX_COMMAND_LINE)), 2047);
    guest_end(&guest);
    line[2047] = 'a';
    load_fails(64 * MB, LOAD_COMMAND_LINE_TOO_LONG, "2048 bytes, this kernel takes 2047");
    poke(image, 0x238, 0xFFFFFFFF, 4);
    memset(line, 'a', 0xFFFF);
    load_ok(&guest, 64 * MB);
    guest_end(&guest);
    line[0xFFFF] = 'a';
    load_fails(64 * MB, LOAD_COMMAND_LINE_TOO_LONG, "65536 bytes");
    poke(image, 0x206, 0x205, 2);
    memset(line + 256, 0, sizeof line - 256);
    load_fails(64 * MB, LOAD_COMMAND_LINE_TOO_LONG, "takes 255");
    request.command_line = NULL;
    load_ok(&guest, 64 * MB);
    assert_string_equal(peek_text(&guest, LINUX_COMMAND_LINE), "");
    guest_end(&guest);
}

/* ---- bad images ---- */

static void bad_headers_have_their_sentences(void **state)
{
    (void)state;
    static const struct {
        unsigned offset, width;
        uint64_t value;
        enum load_error error;
        const char *part;
    } cases[] = {
        {0x206, 2, 0x201, LOAD_UNSUPPORTED, "protocol 2.01"},
        {0x206, 2, 0, LOAD_UNSUPPORTED, "protocol 0.00"},
        {0x211, 1, 0, LOAD_UNSUPPORTED, "zImage"},
        {0x201, 1, 0x20, LOAD_MALFORMED, "too early for protocol 2.15"},
        {0x230, 4, 0, LOAD_MALFORMED, "power of two"},
        {0x230, 4, 0x300000, LOAD_MALFORMED, "power of two"},
        {0x258, 8, 0, LOAD_MALFORMED, "outside the memory"},
        {0x258, 8, 0xFFFFF, LOAD_MALFORMED, "outside the memory"},
        {0x258, 8, 0xC0000000, LOAD_MALFORMED, "outside the memory"},
        {0x258, 8, UINT64_MAX, LOAD_MALFORMED, "outside the memory"},
        {0x258, 8, 0xBFFFF000, LOAD_NO_MEMORY, "guest memory too small"},
        {0x230, 4, 0x80000000, LOAD_NO_MEMORY, "guest memory too small"},
        {0x260, 4, 0xFFFFFFFF, LOAD_NO_MEMORY, "guest memory too small"},
        {0x1F4, 4, 0xFFFFFFFF, LOAD_TRUNCATED, "truncated"},
        {0x1F4, 4, PAYLOAD_BYTES / 16 + 5, LOAD_TRUNCATED, "truncated"},
        {0x1F4, 4, 0x20, LOAD_MALFORMED, "no code at its entry"},
        {0x1F4, 4, 0, LOAD_MALFORMED, "no code at its entry"},
        {0x1F1, 1, 0xFF, LOAD_TRUNCATED, "set-up code"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_image();
        poke(image, cases[i].offset, cases[i].value, cases[i].width);
        load_fails(256 * MB, cases[i].error, cases[i].part);
    }
}

static void every_truncation_is_an_error(void **state)
{
    (void)state;
    struct test_guest guest;
    make_image();
    guest_start(&guest, 64 * MB);
    for (size_t size = 0; size + 15 < IMAGE_BYTES; size += size < 0x300 ? 1 : 37) {
        uint8_t *copy = malloc(size ? size : 1); /* so that ASan sees each byte behind it */
        memcpy(copy, image, size);
        request.image = copy;
        request.image_size = size;
        assert_false(load_image(&guest.memory, &request, &result));
        assert_true(result.error == LOAD_TRUNCATED || (size < 0x208 && result.error == LOAD_UNKNOWN_IMAGE));
        free(copy);
    }
    guest_end(&guest);
}

static void what_is_not_a_kernel_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint64_t size;
        enum load_error error;
        const char *part;
    } cases[] = {{"", 0, LOAD_TRUNCATED, "empty"},
                 {"\x1F\x8B\x08zip", 6, LOAD_UNKNOWN_IMAGE, "gzip"},
                 {"\xFD"
                  "7zXZ",
                  6, LOAD_UNKNOWN_IMAGE, "xz"},
                 {"070701000", 9, LOAD_UNKNOWN_IMAGE, "cpio"},
                 {"\x7F"
                  "ELF\x02\x01",
                  6, LOAD_UNKNOWN_IMAGE, "without a Multiboot header"},
                 {"x", 1, LOAD_UNKNOWN_IMAGE, "neither a Linux bzImage nor a Multiboot image"},
                 {"hello, world", 12, LOAD_UNKNOWN_IMAGE, "not a kernel"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        request =
            (struct load_request){.image = (const uint8_t *)cases[i].bytes, .image_size = cases[i].size};
        load_fails(16 * MB, cases[i].error, cases[i].part);
    }
    make_image();
    load_fails(MB, LOAD_NO_MEMORY, "1024 KB, at least 2048 KB");
    load_fails(16 * MB, LOAD_NO_MEMORY, "at least 24 MB, the guest has 16");
}

static void missing_low_memory_is_an_error(void **state)
{
    (void)state;
    static const struct {
        uint64_t gpa;
        const char *part;
    } cases[] = {{0, "BIOS data area"},
                 {LINUX_COMMAND_LINE, "command line"},
                 {LINUX_BOOT_PARAMS, "boot parameters"},
                 {LINUX_GDT, "descriptor"},
                 {LINUX_PAGE_TABLES, "page tables"},
                 {PREFERRED + 4 * MB, "kernel"}};
    make_image();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_guest guest;
        guest_start(&guest, 64 * MB);
        struct memory_slot trap = {.gpa = cases[i].gpa, .length = 4096, .kind = MEMORY_TRAP, .priority = 1};
        assert_true(guest_mem_add(&guest.memory, &trap) > 0);
        assert_false(load_image(&guest.memory, &request, &result));
        assert_error(&result, LOAD_NO_MEMORY, cases[i].part);
        guest_end(&guest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_64_bit_entry_is_used),
        cmocka_unit_test(the_first_4_gb_are_mapped),
        cmocka_unit_test(boot_params_are_filled),
        cmocka_unit_test(memory_map_has_the_hole),
        cmocka_unit_test(initrd_goes_as_high_as_allowed),
        cmocka_unit_test(several_initrds_are_joined),
        cmocka_unit_test(older_protocols_start_in_32_bits),
        cmocka_unit_test(memtest_like_images_load),
        cmocka_unit_test(setup_sects_0_means_4),
        cmocka_unit_test(version_string_is_untrusted),
        cmocka_unit_test(long_command_lines_are_refused),
        cmocka_unit_test(bad_headers_have_their_sentences),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(what_is_not_a_kernel_is_named),
        cmocka_unit_test(missing_low_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
