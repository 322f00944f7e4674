/*
 * What the loader tests share: a guest with a given amount of RAM, zeroed as the loaders ask for, and
 * little-endian access to it.
 */
#ifndef TESTS_UNIT_LOADER_H
#define TESTS_UNIT_LOADER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "guest/e820.h"
#include "guest/load.h"

#define KB UINT64_C(1024)
#define MB (KB * KB)

struct test_guest {
    struct guest_memory memory;
    uint8_t *ram;
    uint64_t ram_bytes;
};

/* RAM that the host backs only where it is touched, so large guests cost nothing. */
static void guest_start(struct test_guest *guest, uint64_t ram_bytes)
{
    guest->ram_bytes = ram_bytes;
    guest->ram =
        mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(guest->ram != MAP_FAILED);
    guest_mem_init(&guest->memory);
    assert_true(guest_mem_add_ram(&guest->memory, guest->ram, ram_bytes));
}

static void guest_end(struct test_guest *guest)
{
    munmap(guest->ram, guest->ram_bytes);
}

static inline uint64_t peek(struct test_guest *guest, uint64_t gpa, unsigned width)
{
    uint64_t value = 0;
    assert_true(guest_mem_read(&guest->memory, gpa, &value, width));
    return value;
}

static inline const char *peek_text(struct test_guest *guest, uint64_t gpa)
{
    return (const char *)guest_mem_map(&guest->memory, gpa, 1);
}

static inline void poke(uint8_t *at, unsigned offset, uint64_t value, unsigned width)
{
    memcpy(at + offset, &value, width);
}

/* A failure must have exactly this error and one sentence that holds `part`. */
static inline void assert_error(const struct load_result *result, enum load_error error, const char *part)
{
    if (result->error != error || !strstr(result->error_text, part))
        print_error("got error %d: %s\n", (int)result->error, result->error_text);
    assert_int_equal(result->error, error);
    assert_non_null(strstr(result->error_text, part));
    assert_null(strchr(result->error_text, '\n'));
}

#endif
