/*
 * Nested tables (arch/x86/nested.c) against a model TLB that forgets nothing by itself: it keeps each
 * translation that a guest has used, leaves and the tables on the way alike, until a flush. Neither emulator
 * can show a missing flush, since both flush at each entry. Source: APM vol. 2 "TLB Management"; SDM vol. 3
 * "Caching Translation Information": a CPU may keep what was present, never what was not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/api/nested.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/backend.h"
#include "arch/x86/paging.h"
#include "lib/prng.h"

#define PAGES      (16u << 9) /* 32 MB of guest-physical space, in pages */
#define TABLES_MAX 64u
#define STEPS      200000u
#define HPA_BASE   UINT64_C(0x40000000)

/* ---- the machine: pages at host-physical addresses from 4 KB on ---- */

static uint8_t *tables;
static unsigned tables_used;

void *phys_alloc_own(uint64_t size)
{
    assert_int_equal(size, PAGE_SIZE);
    assert_true(tables_used < TABLES_MAX);
    return tables + PAGE_SIZE * tables_used++;
}

void *phys_to_virt(uint64_t address)
{
    assert_in_range(address, PAGE_SIZE, PAGE_SIZE * TABLES_MAX + PAGE_SIZE - 1);
    return tables + address - PAGE_SIZE;
}

uint64_t virt_to_phys(const void *pointer)
{
    return (uint64_t)((const uint8_t *)pointer - tables) + PAGE_SIZE;
}

static uint32_t tag_count;

static uint32_t tags(void)
{
    return tag_count;
}

/* As svm.c and vmx.c fill them. */
static struct nested_format npt = {
    .table = PTE_P | PTE_W | PTE_U | PTE_A, .leaf = PTE_P | PTE_U | PTE_A | PTE_D, .largest = 3};
static struct nested_format ept = {
    .table = 7 | BIT64(8), .leaf = 5 | 6 << 3 | BIT64(8) | BIT64(9), .largest = 3};

struct backend cpu_backend = {.tags = tags};

/* ---- the model ---- */

struct translation {
    bool present, writable;
    uint64_t hpa; /* of the page */
};

static struct translation tlb[PAGES];

/* What a walk finds, read straight off the format's definition. */
static struct translation walk(const struct nested *nested, uint64_t gpa)
{
    const uint64_t *table = phys_to_virt(nested->root);
    bool writable = true;

    for (int shift = 39;; shift -= 9) {
        uint64_t entry = table[gpa >> shift & 511];
        uint64_t size = UINT64_C(1) << shift;

        if (!(entry & 7))
            return (struct translation){0};
        writable = writable && entry & 2;
        if (shift == 12 || entry & 0x80) {
            uint64_t base = entry & UINT64_C(0xFFFFFFFFFF000) & ~(size - 1);
            return (struct translation){true, writable, base + (gpa & (size - 1) & ~UINT64_C(0xFFF))};
        }
        table = phys_to_virt(entry & UINT64_C(0xFFFFFFFFFF000));
    }
}

/* An entry to the guest: a flush that is owed is paid, as svm/vcpu.c and vmx/vcpu.c do. Then everything that
 * the CPU may still hold must be what the tables say. */
static void enter(struct nested *nested)
{
    if (nested->flush_owed)
        memset(tlb, 0, sizeof tlb);
    nested->flush_owed = false;
}

static void touch(const struct nested *nested, uint64_t page)
{
    struct translation now = walk(nested, page * PAGE_SIZE);

    if (tlb[page].present) {
        assert_true(now.present); /* else the guest would reach a page that was taken away */
        assert_true(now.writable || !tlb[page].writable);
        assert_int_equal(now.hpa, tlb[page].hpa);
    }
    tlb[page] = now;
}

static void power_on(struct nested *nested, struct nested_format *format)
{
    cpu_backend.nested_format = format;
    memset(tables, 0, PAGE_SIZE * TABLES_MAX);
    memset(tlb, 0, sizeof tlb);
    tables_used = 0;
    tag_count = 8;
    nested_init(nested, 1);
}

/* ---- tests ---- */

static void random_operations(struct nested_format *format)
{
    struct nested nested;
    struct prng prng;
    unsigned removed = 0, restored = 0, flushes = 0;

    power_on(&nested, format);
    prng_seed(&prng, 7);
    nested_map(&nested, 0, HPA_BASE, 4 << 20, true);                               /* 2 MB pages */
    nested_map(&nested, 4 << 20, HPA_BASE + (5 << 20) + PAGE_SIZE, 2 << 20, true); /* 4 KB pages */
    nested_map(&nested, 8 << 20, HPA_BASE + (8 << 20), 2 << 20, false);            /* read-only */
    for (unsigned i = 0; i < STEPS; i++) {
        uint64_t page = prng_below(&prng, PAGES / 2), gpa = page * PAGE_SIZE;
        struct translation before = walk(&nested, gpa);

        switch (prng_below(&prng, 16)) {
        case 0:
            assert_int_equal(nested_unmap(&nested, gpa), before.present);
            assert_false(walk(&nested, gpa).present);
            removed += before.present;
            break;
        case 1:
        case 2:
            if (nested_restore(&nested, gpa)) {
                assert_false(before.present);
                assert_true(walk(&nested, gpa).present);
                restored++;
            }
            break;
        case 3: /* an entry; every translation in use is tried */
            flushes += nested.flush_owed;
            enter(&nested);
            for (uint64_t p = 0; p < PAGES; p += 1 + prng_below(&prng, 64))
                touch(&nested, p);
            break;
        default:
            if (!nested.flush_owed) /* the guest runs on */
                touch(&nested, page);
            break;
        }
    }
    assert_true(removed > 1000 && restored > 1000 && flushes > 1000);
}

static void test_npt_leaves_nothing_stale(void **state)
{
    (void)state;
    random_operations(&npt);
}

static void test_ept_leaves_nothing_stale(void **state)
{
    (void)state;
    random_operations(&ept);
}

/* What was never present can't be cached: new pages need no flush, which a VM's start would pay for. */
static void test_new_pages_owe_nothing(void **state)
{
    struct nested nested;

    (void)state;
    power_on(&nested, &ept);
    enter(&nested);
    nested_map(&nested, 0, HPA_BASE, 8 << 20, true);
    assert_false(nested.flush_owed);
    assert_true(nested_unmap(&nested, 0));
    assert_true(nested.flush_owed);
    enter(&nested);
    assert_true(nested_restore(&nested, 0));
    assert_false(nested.flush_owed);
}

/* The next entry has to see to it. */
static void test_flush_asks_for_attention(void **state)
{
    struct nested nested;
    bool attention = false;

    (void)state;
    power_on(&nested, &npt);
    nested.attention = &attention;
    nested_map(&nested, 0, HPA_BASE, PAGE_SIZE, true);
    assert_false(attention);
    nested_unmap(&nested, 0);
    assert_true(attention);
}

static void test_largest_pages(void **state)
{
    struct nested nested;

    (void)state;
    power_on(&nested, &ept);
    nested_map(&nested, 0, UINT64_C(0x80000000), UINT64_C(0x80000000), true);
    assert_int_equal(tables_used, 2); /* the top and one directory: two leaves of 1 GB */
    assert_int_equal(walk(&nested, 0x7FFFF000).hpa, UINT64_C(0xFFFFF000));
    ept.largest = 2;
    power_on(&nested, &ept);
    nested_map(&nested, 0, UINT64_C(0x80000000), UINT64_C(0x40000000), true);
    ept.largest = 3;
    assert_int_equal(tables_used, 3);
    assert_int_equal(walk(&nested, 0x3FFFF000).hpa, UINT64_C(0xBFFFF000));
    assert_false(walk(&nested, 0x40000000).present);
}

/* 4 KB leaves alone, for CPUs that large ones endanger; and no more tables than foretold. */
static void test_small_pages(void **state)
{
    struct nested nested;

    (void)state;
    ept.largest = 1;
    power_on(&nested, &ept);
    nested_map(&nested, 0, HPA_BASE, 32 << 20, true);
    assert_int_equal(tables_used, 3 + 16);
    assert_true(tables_used <= nested_tables_most(32 << 20) / PAGE_SIZE);
    assert_int_equal(walk(&nested, 0x1FFF000).hpa, HPA_BASE + 0x1FFF000);
    nested_unmap(&nested, 0x200000);
    assert_true(walk(&nested, 0x201000).present);
    ept.largest = 3;
    assert_int_equal(nested_tables_most(0) / PAGE_SIZE, 32);
}

/* The monitor reads a page that perturb= took away for a while like any other. */
static void test_pointer(void **state)
{
    struct nested nested;

    (void)state;
    power_on(&nested, &ept);
    nested_map(&nested, 0x5000, 3 * PAGE_SIZE, PAGE_SIZE, true);
    for (unsigned removed = 0; removed < 2; removed++) {
        assert_ptr_equal(nested_pointer(&nested, 0x5123), tables + 2 * PAGE_SIZE + 0x123);
        assert_null(nested_pointer(&nested, 0x6000));
        assert_null(nested_pointer(&nested, BIT64(48)));
        nested_unmap(&nested, 0x5000);
    }
}

/* The last tag is shared by all that find none of their own, and says so. */
static void test_tags(void **state)
{
    struct nested nested;

    (void)state;
    power_on(&nested, &npt);
    assert_int_equal(nested.tag, 2);
    assert_false(nested.shared_tag);
    nested_init(&nested, 6);
    assert_int_equal(nested.tag, 7);
    assert_true(nested.shared_tag);
    nested_init(&nested, 40);
    assert_int_equal(nested.tag, 7);
    assert_true(nested.shared_tag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_npt_leaves_nothing_stale),
        cmocka_unit_test(test_ept_leaves_nothing_stale),
        cmocka_unit_test(test_new_pages_owe_nothing),
        cmocka_unit_test(test_flush_asks_for_attention),
        cmocka_unit_test(test_largest_pages),
        cmocka_unit_test(test_small_pages),
        cmocka_unit_test(test_pointer),
        cmocka_unit_test(test_tags),
    };

    tables = calloc(TABLES_MAX, PAGE_SIZE);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(tables);
    return failed;
}
