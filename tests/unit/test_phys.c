/*
 * The physical memory manager (arch/x86/phys.c) against a map of one bit for each page: overlapping,
 * unsorted, wrapping and fragmented loaders' maps, then allocations until nothing is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/phys.c" /* its list is set back between the runs */
#include "lib/prng.h"

#define PAGES 2048u /* 8 MB of machine */
#define LIMIT ((uint64_t)PAGES * PAGE_SIZE)

static struct boot_info info;
static bool usable[PAGES];
static struct prng prng;

uint64_t paging_phys_limit(void)
{
    return LIMIT;
}

void *phys_to_virt(uint64_t address)
{
    (void)address;
    fail(); /* the tests don't ask for zeroed memory */
    return NULL;
}

void panic(const char *format, ...)
{
    (void)format;
    fail();
    __builtin_unreachable();
}

static void power_on(void)
{
    memset(&info, 0, sizeof info);
    memset(usable, 0, sizeof usable);
    range_count = all_ram_count = 0;
    total_bytes = own_bytes = 0;
}

static uint64_t any_address(void)
{
    switch (prng_below(&prng, 12)) {
    case 0:
        return prng_next(&prng);
    case 1:
        return UINT64_MAX - prng_below(&prng, 3 * PAGE_SIZE);
    case 2:
        return LIMIT - PAGE_SIZE + prng_below(&prng, 2 * PAGE_SIZE);
    default:
        return prng_below(&prng, LIMIT) & (prng_below(&prng, 2) ? UINT64_MAX : ~UINT64_C(0xfff));
    }
}

static void add_any_range(void)
{
    uint64_t base = any_address();
    uint64_t length = prng_below(&prng, 10) ? prng_below(&prng, 300 * PAGE_SIZE) : prng_next(&prng);

    boot_info_add_range(&info, base, length, prng_below(&prng, 4) != 0);
}

/* First and last byte of a range as a loader gives it, its end cut at the end of memory. */
static bool byte_span(const struct boot_range *range, uint64_t *first, uint64_t *last)
{
    *first = range->base;
    *last = range->length - 1 > UINT64_MAX - range->base ? UINT64_MAX : range->base + range->length - 1;
    return *first < LIMIT;
}

/* A page is usable when one usable range holds all of it and no unusable one touches it. */
static void mark_usable(void)
{
    for (uint64_t page = 0; page < PAGES; page++) {
        bool held = false, touched = false;

        for (unsigned i = 0; i < info.range_count; i++) {
            uint64_t first, last, start = page * PAGE_SIZE, end = start + PAGE_SIZE - 1;

            if (!byte_span(&info.ranges[i], &first, &last))
                continue;
            if (info.ranges[i].usable)
                held |= first <= start && last >= end;
            else
                touched |= first <= end && last >= start;
        }
        usable[page] = held && !touched;
    }
}

static uint64_t usable_bytes(void)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < PAGES; i++)
        count += usable[i];
    return count * PAGE_SIZE;
}

static void take(uint64_t start, uint64_t end)
{
    for (uint64_t page = start / PAGE_SIZE; page < PAGES && page * PAGE_SIZE < end; page++)
        usable[page] = false;
}

static void check_list(void)
{
    for (unsigned i = 0; i < range_count; i++) {
        assert_true(ranges[i].start < ranges[i].end);
        assert_int_equal((ranges[i].start | ranges[i].end) % PAGE_SIZE, 0);
        assert_true(i == 0 || ranges[i - 1].end <= ranges[i].start);
    }
}

static void check_alloc(void)
{
    uint64_t alignment = (uint64_t)PAGE_SIZE << prng_below(&prng, 5);
    uint64_t size = 1 + prng_below(&prng, 9 * PAGE_SIZE),
             pages = ALIGN_UP(size, (uint64_t)PAGE_SIZE) / PAGE_SIZE;
    uint64_t wanted = 0;

    for (uint64_t page = 0; page + pages <= PAGES && !wanted; page += alignment / PAGE_SIZE) {
        uint64_t run = 0;

        while (run < pages && usable[page + run])
            run++;
        if (run == pages)
            wanted = page * PAGE_SIZE;
    }
    uint64_t address = phys_alloc(size, alignment, false);
    assert_true(address == wanted); /* lowest first; 0: none is large enough */
    if (address)
        take(address, address + pages * PAGE_SIZE);
    assert_true(phys_free() == usable_bytes());
    check_list();
}

static void test_random_maps(void **state)
{
    (void)state;
    prng_seed(&prng, 1);
    for (unsigned run = 0; run < 300; run++) {
        power_on();
        for (uint64_t i = 1 + prng_below(&prng, 30); i; i--)
            add_any_range();
        info.image_base = FIRST_MB;
        info.image_size = 16 * PAGE_SIZE;
        boot_info_add_module(&info, 0x300123, 0x300123 + prng_below(&prng, 40000), "m", 9);
        mark_usable();
        uint64_t total = usable_bytes();
        phys_init(&info);
        take(0, FIRST_MB);
        take(info.image_base, info.image_base + info.image_size);
        take(0x300000, ALIGN_UP(0x300123 + info.modules[0].size, (uint64_t)PAGE_SIZE));
        assert_true(phys_total() == total);
        assert_true(phys_free() == usable_bytes());
        assert_true(phys_largest_free() <= phys_free());
        check_list();
        for (unsigned i = 0; i < 60; i++)
            check_alloc();
    }
}

/* A map more fragmented than the list is long: what does not fit stays unused, nothing else is harmed. */
static void test_too_fragmented(void **state)
{
    (void)state;
    power_on();
    boot_info_add_range(&info, FIRST_MB, LIMIT - FIRST_MB, true);
    phys_init(&info);
    for (uint64_t page = FIRST_MB / PAGE_SIZE + 1; page < PAGES; page += 2)
        range_remove(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    check_list();
    assert_int_equal(range_count, RANGES_MAX);
    uint64_t start, end, count = 0;
    while (phys_ram_range((unsigned)count, &start, &end))
        count++;
    assert_int_equal(count, 1); /* the direct map holds it as it was */
    assert_true(start == FIRST_MB && end == LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_maps),
        cmocka_unit_test(test_too_fragmented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
