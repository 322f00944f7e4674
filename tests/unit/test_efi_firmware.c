/*
 * What verge.efi makes of firmware that OVMF is not: a memory map that changes while boot services end,
 * volumes that give files in pieces or not at all, no memory. The firmware is a few functions here, in its
 * own calling convention; the sources are those of verge.efi. Source: UEFI Specification, the sections that
 * the files of boot/efi cite.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "boot/efi/loader.h"

#define DESCRIPTOR_SIZE 48 /* longer than the header's, as firmware has it */

EFI_SYSTEM_TABLE *efi_system;

static EFI_BOOT_SERVICES boot;
static EFI_RUNTIME_SERVICES runtime;
static SIMPLE_TEXT_OUTPUT_INTERFACE out;
static EFI_SYSTEM_TABLE firmware = {.BootServices = &boot, .RuntimeServices = &runtime, .ConOut = &out};

static char console[4096];
static unsigned pages_given, pages_most, exits, stale_exits, resets, calls_after_exit, map_calls;
static EFI_STATUS map_status;
static UINTN odd_line;
static UINT64 odd_attributes;
static UINT32 odd_type = EfiBootServicesData;
static void *pool;

/* ---- the firmware ---- */
static EFI_STATUS EFIAPI output_string(SIMPLE_TEXT_OUTPUT_INTERFACE *this, CHAR16 *text)
{
    size_t length = strlen(console);

    (void)this;
    calls_after_exit += exits > 0;
    for (; *text && length + 1 < sizeof console; text++)
        console[length++] = (char)*text;
    console[length] = 0;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI allocate_pages(EFI_ALLOCATE_TYPE how, EFI_MEMORY_TYPE type, UINTN pages,
                                        EFI_PHYSICAL_ADDRESS *address)
{
    assert_int_equal(how, AllocateMaxAddress);
    assert_true(*address <= UINT32_MAX && type == EfiLoaderData);
    if (pages_given >= pages_most)
        return EFI_OUT_OF_RESOURCES;
    pages_given++;
    *address = (EFI_PHYSICAL_ADDRESS)malloc(pages * 4096);
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pages(EFI_PHYSICAL_ADDRESS address, UINTN pages)
{
    (void)pages;
    pages_given--;
    free((void *)address);
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI allocate_pool(EFI_MEMORY_TYPE type, UINTN size, VOID **memory)
{
    (void)type;
    *memory = pool = malloc(size);
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pool(VOID *memory)
{
    assert_ptr_equal(memory, pool);
    calls_after_exit += exits > 0;
    free(pool);
    pool = NULL;
    return EFI_SUCCESS;
}

/* One line longer at each call. */
static EFI_STATUS EFIAPI get_memory_map(UINTN *size, EFI_MEMORY_DESCRIPTOR *map, UINTN *key, UINTN *step,
                                        UINT32 *version)
{
    UINTN lines = 3 + map_calls++;
    UINTN room = *size;

    *size = lines * DESCRIPTOR_SIZE;
    *step = DESCRIPTOR_SIZE;
    *version = 1;
    if (room < *size)
        return EFI_BUFFER_TOO_SMALL;
    if (EFI_ERROR(map_status))
        return map_status;
    *key = map_calls;
    memset(map, 0, *size);
    for (UINTN i = 0; i < lines; i++) {
        EFI_MEMORY_DESCRIPTOR *line = (void *)((char *)map + i * DESCRIPTOR_SIZE);

        line->Type = i % 2 ? EfiBootServicesData : EfiRuntimeServicesData;
        line->PhysicalStart = i << 20;
        line->NumberOfPages = 256;
        if (i == odd_line)
            line->Type = odd_type;
        line->Attribute = i == odd_line ? odd_attributes : EFI_MEMORY_UC | EFI_MEMORY_WB;
    }
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI exit_boot_services(EFI_HANDLE image, UINTN key)
{
    assert_ptr_equal(image, &firmware);
    assert_int_equal(key, map_calls);
    return exits++ < stale_exits ? EFI_INVALID_PARAMETER : EFI_SUCCESS;
}

static EFI_STATUS EFIAPI reset_system(EFI_RESET_TYPE type, EFI_STATUS status, UINTN size, CHAR16 *data)
{
    (void)size;
    (void)data;
    assert_int_equal(type, EfiResetCold);
    resets++;
    return status;
}

/* ---- its volume: files by name, read in pieces of `piece` bytes up to `readable` ---- */
struct fake_file {
    EFI_FILE handle;
    const char *name, *content;
    uint64_t position;
};

static struct fake_file files[8];
static unsigned file_count, open_count, opened;
static UINTN piece, readable;
static EFI_STATUS open_status;
static EFI_FILE volume;

static EFI_STATUS EFIAPI file_close(EFI_FILE_HANDLE this)
{
    (void)this;
    open_count--;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI file_read(EFI_FILE_HANDLE this, UINTN *size, VOID *buffer)
{
    struct fake_file *file = (void *)this;

    if (file->position >= readable)
        return EFI_DEVICE_ERROR;
    *size = MIN(MIN(*size, piece), strlen(file->content) - file->position);
    memcpy(buffer, file->content + file->position, *size);
    file->position += *size;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI set_position(EFI_FILE_HANDLE this, UINT64 position)
{
    struct fake_file *file = (void *)this;

    file->position = position == UINT64_MAX ? strlen(file->content) : position;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI get_position(EFI_FILE_HANDLE this, UINT64 *position)
{
    *position = ((struct fake_file *)(void *)this)->position;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI file_open(EFI_FILE_HANDLE this, EFI_FILE_HANDLE *new, CHAR16 *name, UINT64 mode,
                                   UINT64 attributes)
{
    char path[128] = "";

    (void)attributes;
    assert_ptr_equal(this, &volume);
    assert_int_equal(mode, EFI_FILE_MODE_READ);
    for (size_t i = 0; name[i]; i++)
        path[i] = (char)name[i];
    if (EFI_ERROR(open_status))
        return open_status;
    for (unsigned i = 0; i < file_count; i++)
        if (strcmp(files[i].name, path) == 0) {
            files[i].position = 0;
            open_count++;
            opened++;
            *new = &files[i].handle;
            return EFI_SUCCESS;
        }
    return EFI_NOT_FOUND;
}

static void add_file(const char *name, const char *content)
{
    files[file_count++] = (struct fake_file){.handle = {.Close = file_close,
                                                        .Read = file_read,
                                                        .SetPosition = set_position,
                                                        .GetPosition = get_position},
                                             .name = name,
                                             .content = content};
}

static int setup(void **state)
{
    (void)state;
    out.OutputString = output_string;
    boot.AllocatePages = allocate_pages;
    boot.FreePages = free_pages;
    boot.AllocatePool = allocate_pool;
    boot.FreePool = free_pool;
    boot.GetMemoryMap = get_memory_map;
    boot.ExitBootServices = exit_boot_services;
    runtime.ResetSystem = reset_system;
    volume.Open = file_open;
    efi_system = &firmware;
    console[0] = 0;
    pages_given = exits = stale_exits = resets = calls_after_exit = map_calls = 0;
    file_count = open_count = opened = 0;
    pages_most = 100;
    piece = readable = SIZE_MAX;
    map_status = open_status = EFI_SUCCESS;
    odd_line = SIZE_MAX;
    return 0;
}

/* ---- the end of boot services ---- */
static uint8_t memory[8192] __attribute__((aligned(MB2_ALIGNMENT)));
static struct boot_info info;

static EFI_STATUS leave(void)
{
    struct information information;
    EFI_STATUS status;

    information_begin(&information, memory, sizeof memory);
    status = efi_leave(&firmware, &information);
    free(pool); /* nobody does, once boot services have ended */
    pool = NULL;
    information_end(&information);
    boot_info_init(&info);
    boot_info_from_multiboot2(&info, memory, memory);
    return status;
}

static void test_leave(void **state)
{
    (void)state;
    assert_int_equal(leave(), EFI_SUCCESS);
    assert_int_equal(info.range_count, 4);
    assert_true(!info.ranges[0].usable && info.ranges[1].usable);
    assert_true(info.ranges[3].base == 3u << 20 && info.ranges[3].length == 1u << 20);
}

/* Memory with a purpose of its own (EFI_MEMORY_SP), and some that can't be cached. */
static void test_memory_that_is_no_ram(void **state)
{
    (void)state;
    odd_line = 3;
    odd_attributes = 0; /* nothing told */
    assert_int_equal(leave(), EFI_SUCCESS);
    assert_true(info.ranges[3].usable);
    exits = map_calls = 0;
    odd_type = EfiConventionalMemory;
    odd_attributes = EFI_MEMORY_WB | UINT64_C(0x40000);
    assert_int_equal(leave(), EFI_SUCCESS);
    assert_true(info.ranges[1].usable && !info.ranges[3].usable);
    odd_type = EfiBootServicesData;
    exits = map_calls = 0;
    odd_attributes = EFI_MEMORY_UC;
    assert_int_equal(leave(), EFI_SUCCESS);
    assert_true(info.ranges[1].usable && !info.ranges[3].usable);
}

/* Asked again with the new key; the map is the last one, and nothing else is called any more. */
static void test_stale_key(void **state)
{
    (void)state;
    stale_exits = 3;
    assert_int_equal(leave(), EFI_SUCCESS);
    assert_int_equal(exits, 4);
    assert_int_equal(info.range_count, 7);
    assert_int_equal(resets + calls_after_exit, 0);
}

static void test_never_a_good_key(void **state)
{
    (void)state;
    stale_exits = UINT32_MAX;
    assert_true(EFI_ERROR(leave()));
    assert_int_equal(resets, 1);
    assert_int_equal(calls_after_exit, 0);
}

static void test_no_map(void **state)
{
    (void)state;
    map_status = EFI_INVALID_PARAMETER;
    assert_true(EFI_ERROR(leave()));
    assert_int_equal(exits + resets, 0);
    assert_string_equal(console, "verge.efi: the firmware gives no memory map (status 2)\r\n");
}

/* ---- files ---- */
static void test_a_file_in_pieces(void **state)
{
    struct efi_file file;

    (void)state;
    add_file("\\verge\\a", "some bytes");
    piece = 3;
    assert_int_equal(efi_load_file(&volume, "/verge/a", &file), EFI_SUCCESS);
    assert_int_equal(file.size, 10);
    assert_memory_equal((void *)file.base, "some bytes", 10);
    efi_free(file.base, file.size);
    assert_int_equal(open_count + pages_given, 0);
}

static void test_an_unreadable_file(void **state)
{
    struct efi_file file;

    (void)state;
    add_file("\\a", "some bytes");
    piece = 4;
    readable = 8;
    assert_true(efi_load_file(&volume, "/a", &file) == EFI_DEVICE_ERROR);
    assert_string_equal(console, "verge.efi: /a: can't be read beyond byte 8 (status 7)\r\n");
    assert_int_equal(open_count + pages_given, 0);
}

/* A volume whose file turns out shorter than it said. */
static void test_a_file_that_ends_early(void **state)
{
    struct efi_file file;

    (void)state;
    add_file("\\a", "some bytes");
    piece = 0;
    assert_true(efi_load_file(&volume, "/a", &file) == EFI_END_OF_FILE);
    assert_non_null(strstr(console, "/a: can't be read beyond byte 0"));
    assert_int_equal(open_count + pages_given, 0);
}

static void test_an_unreadable_volume(void **state)
{
    (void)state;
    open_status = EFI_DEVICE_ERROR;
    assert_true(modules_load(&volume) == EFI_DEVICE_ERROR);
    assert_string_equal(console, "verge.efi: /verge/verge.cfg: can't be opened (status 7)\r\n");
}

static EFI_STATUS EFIAPI no_protocol(EFI_HANDLE handle, EFI_GUID *guid, VOID **interface)
{
    (void)handle;
    (void)guid;
    (void)interface;
    return EFI_UNSUPPORTED;
}

/* Started from a network. */
static void test_no_volume(void **state)
{
    EFI_LOADED_IMAGE image = {0};
    EFI_FILE_HANDLE none;

    (void)state;
    boot.HandleProtocol = no_protocol;
    assert_true(efi_open_volume(&image, &none) == EFI_NOT_FOUND);
    assert_string_equal(console, "");
}

static void test_an_empty_file(void **state)
{
    struct efi_file file;

    (void)state;
    add_file("\\a", "");
    assert_int_equal(efi_load_file(&volume, "/a", &file), EFI_SUCCESS);
    assert_int_equal(file.size, 0);
    efi_free(file.base, file.size);
    assert_int_equal(pages_given, 0);
}

/* ---- verge.cfg ---- */
static void read_modules(void)
{
    struct information information;

    information_begin(&information, memory, sizeof memory);
    modules_add(&information);
    information_end(&information);
    boot_info_init(&info);
    boot_info_from_multiboot2(&info, memory, memory);
}

static void test_modules(void **state)
{
    (void)state;
    add_file("\\verge\\verge.cfg", "slice=1ms\nvm=a kernel=k initrd=\"an initrd\" initrd=sub/i -- kernel=no\n"
                                   "vm=b kernel=k # kernel=no\nvm=c kernel=/top\n");
    add_file("\\verge\\k", "1");
    add_file("\\verge\\an initrd", "2");
    add_file("\\verge\\sub\\i", "3");
    add_file("\\top", "4");
    assert_int_equal(modules_load(&volume), EFI_SUCCESS);
    assert_int_equal(opened, 5);
    read_modules();
    assert_int_equal(info.module_count, 5);
    assert_string_equal(info.modules[0].string, "config");
    assert_string_equal(info.modules[1].string, "/verge/k");
    assert_string_equal(info.modules[2].string, "/verge/an initrd");
    assert_string_equal(info.modules[3].string, "/verge/sub/i");
    assert_string_equal(info.modules[4].string, "/top");
    modules_free();
    assert_int_equal(open_count + pages_given, 0);
    assert_string_equal(console, "");
}

static void test_no_config(void **state)
{
    (void)state;
    assert_int_equal(modules_load(&volume), EFI_SUCCESS);
    assert_non_null(strstr(console, "the built-in clock guest will run"));
    read_modules();
    assert_int_equal(info.module_count, 0);
}

static void test_a_missing_file(void **state)
{
    (void)state;
    add_file("\\verge\\verge.cfg", "vm=a kernel=gone\n");
    assert_true(EFI_ERROR(modules_load(&volume)));
    assert_string_equal(console, "verge.efi: /verge/gone: is not there, and /verge/verge.cfg names it\r\n");
    modules_free();
    assert_int_equal(open_count + pages_given, 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    pages_most = 1;
    add_file("\\verge\\verge.cfg", "vm=a kernel=k\n");
    add_file("\\verge\\k", "1");
    assert_true(modules_load(&volume) == EFI_OUT_OF_RESOURCES);
    assert_string_equal(console, "verge.efi: no 1 MB of memory below 4 GB for /verge/k\r\n");
    modules_free();
    assert_int_equal(open_count + pages_given, 0);
}

/* ---- text ---- */
static void test_text(void **state)
{
    static const struct {
        const char *utf8;
        CHAR16 wide[4];
    } cases[] = {
        {"k\xc3\xa4", {'k', 0xe4}},  {"\xe2\x82\xac", {0x20ac}}, {"\xf0\x9f\x98\x80.", {0xfffd, '.'}},
        {"\xc3", {0xfffd}},          {"\xe2\x82", {0xfffd}},     {"\x80.", {0xfffd, '.'}},
        {"abcd", {'a', 'b', 'c', 0}}};
    static const CHAR16 words[] = {'a', '=', '1', 0, 'x'}, data[] = {0xac4e, 0x8108};
    CHAR16 wide[4];
    char text[4];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        text_to_firmware(cases[i].utf8, wide, ARRAY_SIZE(wide));
        for (unsigned j = 0; j == 0 || cases[i].wide[j - 1]; j++)
            assert_int_equal(wide[j], cases[i].wide[j]);
    }
    assert_int_equal(text_from_firmware(words, 5, text, sizeof text), 3);
    assert_string_equal(text, "a=1");
    text_from_firmware(words, 2, text, sizeof text);
    assert_string_equal(text, "a=");
    text_from_firmware(data, 2, text, sizeof text);
    assert_string_equal(text, "");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_leave),
        T(test_memory_that_is_no_ram),
        T(test_stale_key),
        T(test_never_a_good_key),
        T(test_no_map),
        T(test_a_file_in_pieces),
        T(test_an_unreadable_file),
        T(test_a_file_that_ends_early),
        T(test_an_unreadable_volume),
        T(test_no_volume),
        T(test_an_empty_file),
        T(test_modules),
        T(test_no_config),
        T(test_a_missing_file),
        T(test_no_memory),
        T(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
