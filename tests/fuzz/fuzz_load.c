/*
 * Fuzzes the guest loaders: four bytes choose RAM size, modules and command line, the rest is the image.
 * Whatever the image says, the loader must stay inside the guest's RAM (guard pages lie around it) and inside
 * the image (ASan), and what it calls loaded must lie in usable memory without overlaps, with the entry
 * inside.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "guest/load.h"

#define RAM_MAX (UINT64_C(40) << 20)
#define GUARD   (UINT64_C(1) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *guarded_ram(void)
{
    uint8_t *all =
        mmap(NULL, RAM_MAX + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED || mprotect(all + GUARD, RAM_MAX, PROT_READ | PROT_WRITE) != 0)
        abort();
    return all + GUARD;
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool apart(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
    return a + a_length <= b || b + b_length <= a;
}

static void check_loaded(struct guest_memory *memory, const struct load_result *result)
{
    const struct load_cpu *cpu = &result->cpu;
    check(result->error_text[0] == 0 && result->description[0] != 0);
    check(result->image_length > 0 && result->image_gpa + result->image_length <= memory->ram_bytes);
    check(cpu->rip >= result->image_gpa && cpu->rip - result->image_gpa < result->image_length);
    check(load_is_usable(memory, cpu->rip, 1));
    check(load_is_usable(memory, cpu->gdt_base, LOAD_GDT_BYTES));
    check(load_is_usable(memory, result->protocol == LOAD_LINUX ? cpu->rsi : cpu->rbx, 120));
    if (result->modules_length) {
        check(load_is_usable(memory, result->modules_gpa, 1));
        check(result->modules_gpa + result->modules_length <= memory->ram_bytes + 4095);
        check(apart(result->image_gpa, result->image_length, result->modules_gpa, result->modules_length));
        check(apart(cpu->gdt_base, LOAD_GDT_BYTES, result->modules_gpa, result->modules_length));
    }
    check(apart(cpu->gdt_base, LOAD_GDT_BYTES, result->image_gpa, result->image_length));
    check((cpu->mode == LOAD_LONG64) == ((cpu->cr0 >> 31) == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *ram;
    static char line[256];
    static const uint8_t module_bytes[8192] = {1, 2, 3};
    if (!ram)
        ram = guarded_ram();
    if (size < 4)
        return 0;
    madvise(ram, RAM_MAX, MADV_DONTNEED);
    memset(line, 'a', sizeof line - 1);
    line[data[3]] = 0;
    line[255] = 0;
    const struct load_module modules[] = {{module_bytes, data[2] * UINT64_C(32), "first"},
                                          {module_bytes, data[1] * UINT64_C(0x1000), NULL},
                                          {module_bytes, 77, line}};
    struct load_request request = {
        .name = "a/fuzz", .image = data + 4, .image_size = size - 4, .command_line = line};
    request.modules = modules;
    request.module_count = data[1] > 2 ? 1 : data[1];
    uint64_t ram_bytes = MEMORY_PAGE * (1 + data[0] * UINT64_C(40));
    if (ram_bytes > RAM_MAX)
        ram_bytes = RAM_MAX;
    struct guest_memory memory;
    struct load_result result;
    guest_mem_init(&memory);
    if (!guest_mem_add_ram(&memory, ram + (RAM_MAX - ram_bytes), ram_bytes)) /* its end at the guard */
        abort();
    bool loaded = load_image(&memory, &request, &result);
    check(loaded == (result.error == LOAD_OK));
    if (loaded)
        check_loaded(&memory, &result);
    else
        check(result.error_text[0] != 0 && strchr(result.error_text, '\n') == NULL);
    return 0;
}
