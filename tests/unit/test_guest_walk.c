/*
 * The guest page-table walk against a slow model written from AMD APM vol. 2, "Page Translation and
 * Protection": one plain procedure per paging mode, level by level, no shared code. Random tables, registers
 * and accesses; status, address, error code and every byte of the tables (Accessed, Dirty) must come out the
 * same. WALK_CASES=N sets the number of cases (default 400,000).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arch/x86/decode/guest_walk.h"

#define MEMORY_SIZE 0x8000u

static uint64_t random_state = 1;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545F4914F6CDD1D);
}

static bool chance(unsigned one_in)
{
    return (random_number() >> 33) % one_in == 0;
}

/* ---- guest-physical memory ---------------------------------------------------------------------------- */

struct memory {
    uint8_t bytes[MEMORY_SIZE];
    unsigned reads;
    unsigned exchanges;
    unsigned disturbances; /* compare_exchange() calls that find the entry changed */
    uint64_t disturb_with; /* xor-ed into the entry then */
};

static uint64_t memory_read(void *opaque, uint64_t gpa, unsigned size)
{
    struct memory *memory = opaque;
    uint64_t value = 0;

    assert_true(size == 4 || size == 8);
    assert_int_equal(gpa % size, 0);
    memory->reads++;
    if (gpa > MEMORY_SIZE - size)
        return size == 4 ? UINT32_MAX : UINT64_MAX;
    memcpy(&value, memory->bytes + gpa, size);
    return value;
}

static bool memory_compare_exchange(void *opaque, uint64_t gpa, unsigned size, uint64_t expected,
                                    uint64_t desired)
{
    struct memory *memory = opaque;
    uint64_t value = memory_read(memory, gpa, size);

    memory->exchanges++;
    if (memory->disturbances > 0 && gpa <= MEMORY_SIZE - size) {
        memory->disturbances--;
        value ^= memory->disturb_with;
        memcpy(memory->bytes + gpa, &value, size);
    }
    if (value != expected)
        return false;
    if (gpa <= MEMORY_SIZE - size)
        memcpy(memory->bytes + gpa, &desired, size);
    return true;
}

/* ---- the model ---------------------------------------------------------------------------------------- */

struct model {
    const struct walk_context *context;
    struct memory *memory;
    uint64_t linear;
    enum walk_access access;
    bool writable, user, no_execute; /* combined so far */
    uint64_t seen[8];                /* entries visited that have an Accessed bit */
    unsigned seen_count;
    unsigned entry_size;
};

struct outcome {
    enum walk_status status;
    uint64_t gpa, page_size;
    uint32_t error_code;
};

static bool cr4_bit(const struct model *model, unsigned bit)
{
    return model->context->cr4 >> bit & 1;
}

static bool model_nx(const struct model *model)
{
    return (model->context->efer >> 11 & 1) && cr4_bit(model, 5);
}

static struct outcome model_fault(const struct model *model, bool present, bool reserved)
{
    bool writes = model->access == WALK_WRITE || model->access == WALK_IMPLICIT_WRITE;
    bool user = model->context->cpl == 3 && model->access <= WALK_EXECUTE;
    bool fetch = model->access == WALK_EXECUTE && (model_nx(model) || cr4_bit(model, 20));

    return (struct outcome){.status = WALK_FAULT,
                            .error_code =
                                (uint32_t)(present * 1 + writes * 2 + user * 4 + reserved * 8 + fetch * 16)};
}

/* The table of "Page-Protection Checks", row by row. */
static bool model_permits(const struct model *model)
{
    const struct walk_context *context = model->context;
    bool wp = context->cr0 >> 16 & 1, smep = cr4_bit(model, 20), smap = cr4_bit(model, 21);

    switch (model->access) {
    case WALK_EXECUTE:
        if (model_nx(model) && model->no_execute)
            return false;
        return context->cpl == 3 ? model->user : !(smep && model->user);
    case WALK_READ:
        return context->cpl == 3 ? model->user : !(smap && model->user && !context->rflags_ac);
    case WALK_WRITE:
        if (context->cpl == 3)
            return model->user && model->writable;
        return !(smap && model->user && !context->rflags_ac) && (model->writable || !wp);
    case WALK_IMPLICIT_READ:
        return !(smap && model->user);
    default:
        return !(smap && model->user) && (model->writable || !wp);
    }
}

static struct outcome model_finish(struct model *model, uint64_t page, uint64_t page_size)
{
    bool writes = model->access == WALK_WRITE || model->access == WALK_IMPLICIT_WRITE;

    if (!model_permits(model))
        return model_fault(model, true, false);
    for (unsigned i = 0; i < model->seen_count; i++) {
        if (model->seen[i] >= MEMORY_SIZE)
            continue;
        model->memory->bytes[model->seen[i]] |= 0x20;
        if (writes && i + 1 == model->seen_count)
            model->memory->bytes[model->seen[i]] |= 0x40;
    }
    return (struct outcome){
        .status = WALK_OK, .gpa = page + (model->linear & (page_size - 1)), .page_size = page_size};
}

/* Reads an entry and takes its permissions into account. */
static uint64_t model_entry(struct model *model, uint64_t table, uint64_t index)
{
    uint64_t gpa = table + index * model->entry_size;
    uint64_t entry = memory_read(model->memory, gpa, model->entry_size);

    model->seen[model->seen_count++] = gpa;
    model->writable = model->writable && (entry & 2);
    model->user = model->user && (entry & 4);
    model->no_execute = model->no_execute || entry >> 63;
    return entry;
}

static struct outcome model_32(struct model *model)
{
    unsigned maxphyaddr = model->context->maxphyaddr;

    model->entry_size = 4;
    uint64_t pde = model_entry(model, model->context->cr3 & 0xFFFFF000, model->linear >> 22 & 0x3FF);
    if (!(pde & 1))
        return model_fault(model, false, false);
    if ((pde & 0x80) && cr4_bit(model, 4)) {
        uint64_t high = pde >> 13 & 0xFF;
        if (pde >> 21 & 1)
            return model_fault(model, true, true);
        if (maxphyaddr < 40 && high >> (maxphyaddr - 32))
            return model_fault(model, true, true);
        return model_finish(model, high << 32 | (pde & 0xFFC00000), 0x400000);
    }
    uint64_t pte = model_entry(model, pde & 0xFFFFF000, model->linear >> 12 & 0x3FF);
    if (!(pte & 1))
        return model_fault(model, false, false);
    return model_finish(model, pte & 0xFFFFF000, 0x1000);
}

/* Are any of entry bits high:low set? */
static bool any_set(uint64_t entry, int high, int low)
{
    for (int bit = low; bit <= high; bit++)
        if (entry >> bit & 1)
            return true;
    return false;
}

static uint64_t address_of(const struct model *model, uint64_t entry, int low)
{
    uint64_t address = 0;

    for (int bit = low; bit < model->context->maxphyaddr; bit++)
        address |= entry & UINT64_C(1) << bit;
    return address;
}

static struct outcome model_pae(struct model *model)
{
    int maxphyaddr = model->context->maxphyaddr;
    bool nxe = model->context->efer >> 11 & 1;

    model->entry_size = 8;
    uint64_t pdpte =
        memory_read(model->memory, (model->context->cr3 & 0xFFFFFFE0) + (model->linear >> 30 & 3) * 8, 8);
    if (!(pdpte & 1))
        return model_fault(model, false, false);
    if (any_set(pdpte, 2, 1) || any_set(pdpte, 8, 6) || any_set(pdpte, 63, maxphyaddr))
        return model_fault(model, true, true);

    uint64_t pde = model_entry(model, address_of(model, pdpte, 12), model->linear >> 21 & 0x1FF);
    if (!(pde & 1))
        return model_fault(model, false, false);
    if (any_set(pde, 62, maxphyaddr) || (!nxe && pde >> 63))
        return model_fault(model, true, true);
    if (pde & 0x80) {
        if (any_set(pde, 20, 13))
            return model_fault(model, true, true);
        return model_finish(model, address_of(model, pde, 21), 0x200000);
    }
    uint64_t pte = model_entry(model, address_of(model, pde, 12), model->linear >> 12 & 0x1FF);
    if (!(pte & 1))
        return model_fault(model, false, false);
    if (any_set(pte, 62, maxphyaddr) || (!nxe && pte >> 63))
        return model_fault(model, true, true);
    return model_finish(model, address_of(model, pte, 12), 0x1000);
}

/* True if an entry of a 4- or 5-level table has a bit set that each of them reserves. */
static bool long_reserved(const struct model *model, uint64_t entry)
{
    return any_set(entry, 51, model->context->maxphyaddr) ||
           (!(model->context->efer >> 11 & 1) && entry >> 63);
}

static struct outcome model_long(struct model *model)
{
    bool five = cr4_bit(model, 12), amd = model->context->global_bit_reserved;
    int64_t sign = (int64_t)model->linear >> (five ? 56 : 47);
    uint64_t table = address_of(model, model->context->cr3, 12);

    if (sign != 0 && sign != -1)
        return (struct outcome){.status = WALK_NOT_CANONICAL};
    model->entry_size = 8;
    for (unsigned shift = five ? 48 : 39; shift >= 39; shift -= 9) { /* PML5E, PML4E */
        uint64_t entry = model_entry(model, table, model->linear >> shift & 0x1FF);
        if (!(entry & 1))
            return model_fault(model, false, false);
        if (long_reserved(model, entry) || (entry & 0x80) || (amd && (entry & 0x100)))
            return model_fault(model, true, true);
        table = address_of(model, entry, 12);
    }
    uint64_t pdpe = model_entry(model, table, model->linear >> 30 & 0x1FF);
    if (!(pdpe & 1))
        return model_fault(model, false, false);
    if (long_reserved(model, pdpe))
        return model_fault(model, true, true);
    if (pdpe & 0x80) {
        if (model->context->no_1g_pages || any_set(pdpe, 29, 13))
            return model_fault(model, true, true);
        return model_finish(model, address_of(model, pdpe, 30), 0x40000000);
    }
    if (amd && (pdpe & 0x100))
        return model_fault(model, true, true);
    uint64_t pde = model_entry(model, address_of(model, pdpe, 12), model->linear >> 21 & 0x1FF);
    if (!(pde & 1))
        return model_fault(model, false, false);
    if (long_reserved(model, pde) || ((pde & 0x80) && any_set(pde, 20, 13)))
        return model_fault(model, true, true);
    if (pde & 0x80)
        return model_finish(model, address_of(model, pde, 21), 0x200000);
    uint64_t pte = model_entry(model, address_of(model, pde, 12), model->linear >> 12 & 0x1FF);
    if (!(pte & 1))
        return model_fault(model, false, false);
    if (long_reserved(model, pte))
        return model_fault(model, true, true);
    return model_finish(model, address_of(model, pte, 12), 0x1000);
}

static struct outcome model_walk(const struct walk_context *context, struct memory *memory, uint64_t linear,
                                 enum walk_access access)
{
    struct model model = {.context = context,
                          .memory = memory,
                          .linear = linear,
                          .access = access,
                          .writable = true,
                          .user = true};

    if (context->efer >> 10 & 1)
        return model_long(&model);
    model.linear &= 0xFFFFFFFF;
    if (!(context->cr0 >> 31))
        return (struct outcome){.status = WALK_OK, .gpa = model.linear, .page_size = 0x1000};
    return cr4_bit(&model, 5) ? model_pae(&model) : model_32(&model);
}

/* ---- random cases ------------------------------------------------------------------------------------- */

enum mode { MODE_NONE, MODE_32, MODE_PAE, MODE_4_LEVEL, MODE_5_LEVEL };

static void make_context(struct walk_context *context, enum mode mode)
{
    static const uint8_t widths[] = {32, 36, 39, 40, 46, 48, 52};

    memset(context, 0, sizeof(*context));
    context->cr0 = 1 | (mode != MODE_NONE ? UINT64_C(1) << 31 : 0) | (uint64_t)chance(2) << 16;
    context->cr3 = (random_number() & (MEMORY_SIZE - 1)) | (chance(64) ? random_number() & 0xFFFF000 : 0);
    context->cr4 = (uint64_t)chance(2) << 4 | (uint64_t)chance(2) << 20 | (uint64_t)chance(2) << 21;
    if (mode >= MODE_PAE)
        context->cr4 |= 1 << 5;
    if (mode == MODE_5_LEVEL)
        context->cr4 |= 1 << 12;
    context->efer = (mode >= MODE_4_LEVEL ? 0x400 : 0) | (chance(3) ? 0 : 0x800);
    context->rflags_ac = chance(2);
    context->cpl = chance(2) ? 3 : (uint8_t)(random_number() % 3);
    context->maxphyaddr = widths[random_number() % ARRAY_SIZE(widths)];
    context->no_1g_pages = chance(4);
    context->global_bit_reserved = chance(2);
}

/* An entry that is likely to lead somewhere: P and mostly R/W and U/S, an address in memory, rarely anything
 * else. */
static uint64_t make_entry(bool pdpte)
{
    uint64_t entry = (random_number() & (MEMORY_SIZE - 0x1000)) | 1;

    if (!pdpte)
        entry |= (chance(4) ? 0 : 2u) | (chance(4) ? 0 : 4u) | (random_number() & 0x60);
    entry |= random_number() & 0xE18;
    if (chance(pdpte ? 40 : 6))
        entry |= 0x80;
    if (chance(20))
        entry |= 0x100;
    if (chance(pdpte ? 40 : 10))
        entry |= UINT64_C(1) << 63;
    if (chance(20))
        entry |= UINT64_C(1) << (random_number() % 64);
    if (chance(8))
        entry &= 0xFFF | ~UINT64_C(0x1FFFFF);
    if (chance(20))
        entry &= ~UINT64_C(1);
    return entry;
}

/* Puts random entries on the path of `linear`, level by level, following what is there. */
static void make_path(struct memory *memory, const struct walk_context *context, uint64_t linear,
                      enum mode mode)
{
    static const struct {
        unsigned count, bits, size;
    } shapes[] = {{0, 0, 0}, {2, 10, 4}, {3, 9, 8}, {4, 9, 8}, {5, 9, 8}};
    uint64_t table = context->cr3 & (mode == MODE_PAE ? ~UINT64_C(0x1F) : ~UINT64_C(0xFFF));

    for (unsigned level = shapes[mode].count; level >= 1; level--) {
        uint64_t index = linear >> (12 + (level - 1) * shapes[mode].bits) & ((1u << shapes[mode].bits) - 1);
        if (mode == MODE_PAE && level == 3)
            index &= 3;
        uint64_t gpa = table + index * shapes[mode].size;
        uint64_t entry = make_entry(mode == MODE_PAE && level == 3);
        if (gpa > MEMORY_SIZE - 8)
            return;
        memcpy(memory->bytes + gpa, &entry, shapes[mode].size);
        table = entry & (MEMORY_SIZE - 0x1000);
    }
}

static void run_mode(enum mode mode)
{
    const char *text = getenv("WALK_CASES");
    uint64_t cases = (text != NULL ? strtoull(text, NULL, 0) : 400000) / 5;
    struct memory *ours = calloc(1, sizeof(*ours)), *theirs = calloc(1, sizeof(*theirs));
    unsigned counts[4] = {0}, reserved = 0;

    random_state = 77 + mode;
    for (uint64_t i = 0; i < cases; i++) {
        uint64_t linear = random_number();
        enum walk_access access = (enum walk_access)(random_number() % 5);
        struct walk_context context;
        struct walk_result result;

        if (mode >= MODE_4_LEVEL && !chance(50))
            linear = (uint64_t)((int64_t)(linear << (mode == MODE_4_LEVEL ? 16 : 7)) >>
                                (mode == MODE_4_LEVEL ? 16 : 7));
        make_context(&context, mode);
        make_path(ours, &context, mode >= MODE_4_LEVEL ? linear : linear & 0xFFFFFFFF, mode);
        memcpy(theirs->bytes, ours->bytes, MEMORY_SIZE);

        const struct walk_memory memory = {memory_read, memory_compare_exchange, ours};
        enum walk_status status = guest_walk(&context, &memory, linear, access, &result);
        struct outcome expected = model_walk(&context, theirs, linear, access);
        bool same = status == expected.status && result.gpa == expected.gpa &&
                    result.page_size == expected.page_size && result.error_code == expected.error_code &&
                    memcmp(ours->bytes, theirs->bytes, MEMORY_SIZE) == 0;
        if (!same)
            printf("mode %d linear %lx access %d: status %d/%d gpa %lx/%lx size %lx/%lx error %x/%x\n", mode,
                   linear, access, status, expected.status, result.gpa, expected.gpa, result.page_size,
                   expected.page_size, result.error_code, expected.error_code);
        assert_true(same);
        counts[status]++;
        reserved += status == WALK_FAULT && (result.error_code & WALK_ERROR_RSVD);
    }
    printf("%u translated, %u faults (%u reserved bits), %u not canonical\n", counts[WALK_OK],
           counts[WALK_FAULT], reserved, counts[WALK_NOT_CANONICAL]);
    assert_true(counts[WALK_OK] > cases / 10);
    free(ours);
    free(theirs);
}

static void test_no_paging(void **state)
{
    (void)state;
    run_mode(MODE_NONE);
}

static void test_32_bit(void **state)
{
    (void)state;
    run_mode(MODE_32);
}

static void test_pae(void **state)
{
    (void)state;
    run_mode(MODE_PAE);
}

static void test_4_level(void **state)
{
    (void)state;
    run_mode(MODE_4_LEVEL);
}

static void test_5_level(void **state)
{
    (void)state;
    run_mode(MODE_5_LEVEL);
}

/* ---- choices ------------------------------------------------------------------------------------------ */

/* A 4-level walk of address 0 with tables at 0, 1000h, 2000h and 3000h, all entries writable and user. */
static void make_simple(struct memory *memory, struct walk_context *context)
{
    static const uint64_t entries[4] = {0x1007, 0x2007, 0x3007, 0xABC007};

    memset(memory, 0, sizeof(*memory));
    for (unsigned i = 0; i < 4; i++)
        memcpy(memory->bytes + 0x1000 * i, &entries[i], 8);
    *context = (struct walk_context){
        .cr0 = UINT64_C(0x80010001), .cr4 = 0x20, .efer = 0xC00, .cpl = 3, .maxphyaddr = 40};
}

static struct memory simple;

static void test_choices(void **state)
{
    const struct walk_memory memory = {memory_read, memory_compare_exchange, &simple};
    struct walk_context context;
    struct walk_result result;

    (void)state;
    make_simple(&simple, &context);
    assert_int_equal(guest_walk(&context, &memory, 0x123, WALK_WRITE, &result), WALK_OK);
    assert_int_equal(result.gpa, 0xABC123);
    assert_int_equal(simple.bytes[0], 0x27);
    assert_int_equal(simple.bytes[0x3000], 0x67);
    assert_int_equal(simple.exchanges, 4);
    assert_int_equal(guest_walk(&context, &memory, 0x123, WALK_WRITE, &result), WALK_OK);
    assert_int_equal(simple.exchanges, 4); /* nothing left to set */

    /* 1: a fault at the last level leaves the upper ones alone */
    make_simple(&simple, &context);
    simple.bytes[0x3000] = 0;
    assert_int_equal(guest_walk(&context, &memory, 0, WALK_READ, &result), WALK_FAULT);
    assert_int_equal(result.error_code, WALK_ERROR_US);
    assert_int_equal(simple.bytes[0], 7);

    /* 2: a protected upper level doesn't hide that the page is missing */
    simple.bytes[0] = 3;
    assert_int_equal(guest_walk(&context, &memory, 0, WALK_READ, &result), WALK_FAULT);
    assert_int_equal(result.error_code, WALK_ERROR_US);

    /* 3: a fetch shows in the error code only with NX or SMEP */
    assert_int_equal(guest_walk(&context, &memory, 0, WALK_EXECUTE, &result), WALK_FAULT);
    assert_int_equal(result.error_code, WALK_ERROR_US | WALK_ERROR_ID);
    context.efer = 0x400;
    assert_int_equal(guest_walk(&context, &memory, 0, WALK_EXECUTE, &result), WALK_FAULT);
    assert_int_equal(result.error_code, WALK_ERROR_US);

    /* a debugger's walk leaves no trace */
    const struct walk_memory silent = {memory_read, NULL, &simple};
    make_simple(&simple, &context);
    assert_int_equal(guest_walk(&context, &silent, 0x123, WALK_WRITE, &result), WALK_OK);
    assert_int_equal(simple.bytes[0], 7);
}

/* 6: an entry that changes under the walk */
static void test_contention(void **state)
{
    const struct walk_memory memory = {memory_read, memory_compare_exchange, &simple};
    struct walk_context context;
    struct walk_result result;

    (void)state;
    make_simple(&simple, &context);
    simple.disturbances = 3;
    simple.disturb_with = 0x200; /* an available bit */
    assert_int_equal(guest_walk(&context, &memory, 0x123, WALK_READ, &result), WALK_OK);
    assert_int_equal(result.gpa, 0xABC123);

    make_simple(&simple, &context);
    simple.disturbances = 1;
    simple.disturb_with = 1; /* it became not present */
    assert_int_equal(guest_walk(&context, &memory, 0x123, WALK_READ, &result), WALK_FAULT);
    assert_int_equal(result.error_code, WALK_ERROR_US);

    make_simple(&simple, &context);
    simple.disturbances = 1000000;
    simple.disturb_with = 0x200;
    assert_int_equal(guest_walk(&context, &memory, 0x123, WALK_READ, &result), WALK_RETRY);
    assert_int_equal(simple.exchanges, WALK_ATTEMPTS);
}

/* Tables where there is no memory: all ones, so reserved bits, and never more than five reads. */
static void test_tables_outside_memory(void **state)
{
    const struct walk_memory memory = {memory_read, memory_compare_exchange, &simple};
    struct walk_context context;
    struct walk_result result;

    (void)state;
    make_simple(&simple, &context);
    context.cr3 = UINT64_C(0xFFFFFFF000);
    assert_int_equal(guest_walk(&context, &memory, 0, WALK_READ, &result), WALK_FAULT);
    assert_int_equal(result.error_code, WALK_ERROR_P | WALK_ERROR_US | WALK_ERROR_RSVD);
    assert_int_equal(simple.reads, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_paging),  cmocka_unit_test(test_32_bit),
        cmocka_unit_test(test_pae),        cmocka_unit_test(test_4_level),
        cmocka_unit_test(test_5_level),    cmocka_unit_test(test_choices),
        cmocka_unit_test(test_contention), cmocka_unit_test(test_tables_outside_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
