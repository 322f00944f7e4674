/*
 * Guest memory slots: against a model that asks, for each single byte, which slot rules it, and the edges of
 * the address space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "hv/memory.h"

#define PAGE 0x1000u

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 20) % limit);
}

/* ---- fixed cases ---- */

/* RAM given in pieces looks to the guest like RAM given at once, whichever side of the hole a piece ends on.
 */
static void ram_comes_in_pieces(void **state)
{
    const uint64_t cuts[] = {PAGE, MEMORY_HOLE_START - PAGE, MEMORY_HOLE_START, MEMORY_HOLE_START + PAGE};
    const uint64_t total = MEMORY_HOLE_START + 4 * PAGE;
    static uint8_t byte;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        struct guest_memory memory;

        guest_mem_init(&memory);
        assert_true(guest_mem_add_ram(&memory, &byte, cuts[i]));
        assert_true(guest_mem_add_ram(&memory, &byte, total - cuts[i]));
        assert_int_equal(memory.ram_bytes, total);
        assert_non_null(guest_mem_slot(&memory, 0));
        assert_non_null(guest_mem_slot(&memory, MEMORY_HOLE_START - 1));
        assert_null(guest_mem_slot(&memory, MEMORY_HOLE_START));
        assert_non_null(guest_mem_slot(&memory, MEMORY_HOLE_END + 4 * PAGE - 1));
        assert_null(guest_mem_slot(&memory, MEMORY_HOLE_END + 4 * PAGE));
        assert_false(guest_mem_add_ram(&memory, &byte, 0));
    }
}

static void ram_is_split_around_the_hole(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {PAGE, 0xBFFFF000, 0xC0000000, 0xC0001000, 0x180000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct guest_memory memory;
        uint8_t *host = (uint8_t *)0x10000000; /* never touched */
        guest_mem_init(&memory);
        assert_true(guest_mem_add_ram(&memory, host, sizes[i]));
        uint64_t low = sizes[i] < 0xC0000000 ? sizes[i] : 0xC0000000;
        assert_int_equal(guest_mem_low_bytes(sizes[i]), low);
        assert_int_equal(memory.ram_bytes, sizes[i]);
        const struct memory_range *range = guest_mem_slot(&memory, low - 1);
        assert_int_equal(range->start, 0);
        assert_int_equal(range->end, low);
        assert_int_equal(range->kind, MEMORY_RAM);
        assert_null(guest_mem_slot(&memory, low));
        assert_null(guest_mem_slot(&memory, 0xFFFFFFFF));
        range = guest_mem_slot(&memory, 0x100000000);
        if (sizes[i] == low) {
            assert_null(range);
        } else {
            assert_int_equal(range->end, 0x100000000 + (sizes[i] - low));
            assert_ptr_equal(range->host, host + low);
            assert_ptr_equal(guest_mem_map(&memory, 0x100000000, sizes[i] - low), host + low);
            assert_null(guest_mem_map(&memory, 0x100000000, sizes[i] - low + 1));
        }
    }
}

static void malformed_slots_are_refused(void **state)
{
    (void)state;
    static uint8_t host[4 * PAGE];
    struct guest_memory memory;
    guest_mem_init(&memory);
    const struct memory_slot good = {
        .gpa = 0, .length = 4 * PAGE, .kind = MEMORY_RAM, .host = host, .name = "RAM"};
    assert_int_equal(guest_mem_add(&memory, &good), 0);
    uint32_t generation = memory.generation;
    const uint64_t limit = UINT64_C(1) << 52;
    const struct memory_slot bad[] = {
        {.gpa = 1, .length = PAGE, .kind = MEMORY_RAM, .host = host},
        {.gpa = 0, .length = 0, .kind = MEMORY_RAM, .host = host},
        {.gpa = 0, .length = PAGE + 8, .kind = MEMORY_RAM, .host = host},
        {.gpa = limit, .length = PAGE, .kind = MEMORY_RAM, .host = host},
        {.gpa = limit - PAGE, .length = 2 * PAGE, .kind = MEMORY_RAM, .host = host},
        {.gpa = PAGE, .length = UINT64_MAX - PAGE + 1, .kind = MEMORY_RAM, .host = host},
        {.gpa = 0, .length = PAGE, .kind = MEMORY_RAM},
        {.gpa = 0, .length = PAGE, .kind = MEMORY_ROM},
        {.gpa = 0, .length = PAGE, .kind = MEMORY_TRAP, .host = host},
        {.gpa = 0, .length = PAGE, .kind = MEMORY_NONE, .host = host},
        {.gpa = 0, .length = PAGE, .kind = MEMORY_ALIAS, .target = 1},
        {.gpa = 0, .length = PAGE, .kind = MEMORY_ALIAS, .target = 0, .host = host},
        {.gpa = 0, .length = PAGE, .kind = MEMORY_ALIAS, .target = 0, .target_offset = 4 * PAGE},
        {.gpa = 0, .length = PAGE, .kind = MEMORY_ALIAS, .target = 0, .target_offset = 17},
        {.gpa = 0, .length = 4 * PAGE, .kind = MEMORY_ALIAS, .target = 0, .target_offset = PAGE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(guest_mem_add(&memory, &bad[i]), -1);
    assert_false(guest_mem_change(&memory, 0, 5, true));
    assert_false(guest_mem_change(&memory, 0, limit, true));
    assert_false(guest_mem_change(&memory, 1, 0, true));
    assert_int_equal(memory.generation, generation);

    struct memory_slot alias = {.gpa = 8 * PAGE, .length = PAGE, .kind = MEMORY_ALIAS, .target = 0};
    assert_int_equal(guest_mem_add(&memory, &alias), 1);
    alias.target = 1; /* of an alias */
    assert_int_equal(guest_mem_add(&memory, &alias), -1);
    for (int i = 2; i < MEMORY_SLOTS; i++)
        assert_int_equal(guest_mem_add(&memory, &good), i);
    assert_int_equal(guest_mem_add(&memory, &good), -1); /* full */

    struct guest_memory empty;
    guest_mem_init(&empty);
    assert_false(guest_mem_add_ram(&empty, host, 0));
    assert_false(guest_mem_add_ram(&empty, host, PAGE + 1));
    assert_false(guest_mem_add_ram(&empty, host, UINT64_C(1) << 53));
    assert_false(guest_mem_add_ram(&empty, NULL, PAGE));
    assert_int_equal(empty.slot_count, 0);
}

static void addresses_never_wrap(void **state)
{
    (void)state;
    static uint8_t host[PAGE], buffer[2 * PAGE];
    struct guest_memory memory;
    guest_mem_init(&memory);
    struct memory_slot slot = {
        .gpa = (UINT64_C(1) << 52) - PAGE, .length = PAGE, .kind = MEMORY_RAM, .host = host};
    assert_int_equal(guest_mem_add(&memory, &slot), 0);
    assert_true(guest_mem_read(&memory, slot.gpa, buffer, PAGE));
    static const uint64_t gpas[] = {0,
                                    1,
                                    PAGE,
                                    (UINT64_C(1) << 52) - PAGE + 1,
                                    UINT64_C(1) << 52,
                                    UINT64_MAX,
                                    UINT64_MAX - 1,
                                    UINT64_MAX - PAGE + 1};
    static const size_t lengths[] = {1, PAGE, 2 * PAGE, SIZE_MAX, SIZE_MAX - PAGE, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof gpas / sizeof gpas[0]; i++)
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            bool fits = gpas[i] == (UINT64_C(1) << 52) - PAGE + 1 && lengths[j] == 1;
            assert_int_equal(guest_mem_read(&memory, gpas[i], buffer, lengths[j]), fits);
            assert_int_equal(guest_mem_write(&memory, gpas[i], buffer, lengths[j]), fits);
            assert_int_equal(guest_mem_map(&memory, gpas[i], lengths[j]) != NULL, fits);
            guest_mem_dirty(&memory, gpas[i], lengths[j]);
        }
    assert_true(guest_mem_read(&memory, UINT64_MAX, buffer, 0)); /* nothing is always there */
    assert_true(guest_mem_write(&memory, 0, buffer, 0));
    assert_null(guest_mem_map(&memory, slot.gpa, 0));
}

/* ---- random layouts against the model ---- */

#define PAGES 48u
#define SPACE (PAGES * PAGE)

struct world {
    struct guest_memory memory;
    uint8_t bytes[MEMORY_SLOTS][16 * PAGE];
    uint64_t dirty_bytes;
};

/* The model: which slot rules a byte, and where its bytes are. */
static const struct memory_slot *model_slot(const struct world *world, uint64_t gpa, uint8_t **host)
{
    const struct memory_slot *best = NULL;
    for (unsigned i = 0; i < world->memory.slot_count; i++) {
        const struct memory_slot *slot = &world->memory.slots[i];
        if (slot->disabled || gpa < slot->gpa || gpa >= slot->gpa + slot->length)
            continue;
        if (!best || slot->priority >= best->priority)
            best = slot;
    }
    if (!best)
        return NULL;
    const struct memory_slot *owner = best;
    uint64_t offset = gpa - best->gpa;
    if (best->kind == MEMORY_ALIAS) {
        owner = &world->memory.slots[best->target];
        offset += best->target_offset;
    }
    *host = owner->host ? owner->host + offset : NULL;
    return owner;
}

static void count_dirty(void *opaque, uint64_t gpa, uint64_t length)
{
    struct world *world = opaque;
    assert_true(gpa < SPACE && length <= SPACE); /* an owner's address */
    world->dirty_bytes += length;
}

static void make_world(struct world *world)
{
    guest_mem_init(&world->memory);
    world->memory.dirty = count_dirty;
    world->memory.dirty_opaque = world;
    for (unsigned i = 0; i < MEMORY_SLOTS; i++) {
        for (size_t j = 0; j < sizeof world->bytes[i]; j += 64)
            world->bytes[i][j] = (uint8_t)(i * 16 + j / 64);
        struct memory_slot slot = {.gpa = random_below(PAGES - 16) * PAGE,
                                   .length = (1 + random_below(16)) * PAGE,
                                   .priority = (int)random_below(4),
                                   .disabled = random_below(8) == 0};
        static const enum memory_kind kinds[] = {MEMORY_RAM, MEMORY_RAM, MEMORY_ROM, MEMORY_TRAP,
                                                 MEMORY_ALIAS};
        slot.kind = kinds[random_below(5)];
        if (slot.kind == MEMORY_RAM || slot.kind == MEMORY_ROM)
            slot.host = world->bytes[i];
        slot.target = random_below(MEMORY_SLOTS);
        slot.target_offset = random_below(16) * PAGE;
        guest_mem_add(&world->memory, &slot); /* some aliases are refused */
    }
}

static void check_ranges(struct world *world)
{
    struct guest_memory *memory = &world->memory;
    uint64_t before = 0;
    for (unsigned i = 0; i < memory->range_count; i++) {
        const struct memory_range *range = &memory->ranges[i];
        assert_true(range->start >= before && range->end > range->start);
        if (i && range->start == before)
            assert_true(range->slot != range[-1].slot); /* as large as it can be */
        before = range->end;
    }
    for (uint64_t gpa = 0; gpa < SPACE; gpa += PAGE / 2) {
        uint8_t *host = NULL;
        const struct memory_slot *slot = model_slot(world, gpa, &host);
        const struct memory_range *range = guest_mem_slot(memory, gpa);
        assert_int_equal(slot != NULL, range != NULL);
        if (!slot)
            continue;
        assert_true(gpa >= range->start && gpa < range->end);
        assert_int_equal(range->kind, slot->kind);
        assert_ptr_equal(range->host ? range->host + (gpa - range->start) : NULL, host);
        assert_int_equal(range->backing_gpa + (gpa - range->start),
                         slot->gpa + (uint64_t)(host ? host - slot->host : 0) + (host ? 0 : gpa - slot->gpa));
    }
}

static void check_access(struct world *world)
{
    static uint8_t expected[SPACE], got[SPACE];
    uint64_t gpa = random_below(SPACE);
    size_t length = 1 + random_below(random_below(3) ? 300 : 4 * PAGE);
    bool readable = true, writable = true;
    for (size_t i = 0; i < length; i++) {
        uint8_t *host = NULL;
        const struct memory_slot *slot = model_slot(world, gpa + i, &host);
        writable = writable && slot && slot->kind == MEMORY_RAM;
        readable = readable && slot && slot->kind != MEMORY_TRAP;
        expected[i] = host ? *host : 0;
    }
    memset(got, 0xEE, length);
    assert_int_equal(guest_mem_read(&world->memory, gpa, got, length), readable);
    if (readable)
        assert_memory_equal(got, expected, length);
    for (size_t i = 0; i < length; i++)
        assert_true(readable || got[i] == 0xEE);
    uint8_t *mapped = guest_mem_map(&world->memory, gpa, length);
    if (mapped) {
        assert_true(writable);
        assert_memory_equal(mapped, expected, length);
    }

    static uint8_t before[sizeof world->bytes];
    memcpy(before, world->bytes, sizeof before);
    for (size_t i = 0; i < length; i++)
        got[i] = (uint8_t)random_below(256);
    world->dirty_bytes = 0;
    assert_int_equal(guest_mem_write(&world->memory, gpa, got, length), writable);
    assert_int_equal(world->dirty_bytes, writable ? length : 0);
    for (size_t i = 0; writable && i < length;
         i++) { /* the same bytes, written one by one; not writable: nothing is */
        uint8_t *host = NULL;
        model_slot(world, gpa + i, &host);
        before[host - &world->bytes[0][0]] = got[i];
    }
    assert_memory_equal(before, world->bytes, sizeof before);
}

static void random_layouts_match_the_model(void **state)
{
    (void)state;
    static struct world world;
    for (int round = 0; round < 150; round++) {
        make_world(&world);
        check_ranges(&world);
        for (int i = 0; i < 6; i++) {
            unsigned slot = random_below(MEMORY_SLOTS);
            uint32_t generation = world.memory.generation;
            if (guest_mem_change(&world.memory, slot, random_below(PAGES - 16) * PAGE, random_below(4) != 0))
                assert_int_equal(world.memory.generation, generation + 1);
            check_ranges(&world);
            check_access(&world);
        }
    }
}

static void writes_cross_slots_and_reach_aliases(void **state)
{
    (void)state;
    static uint8_t a[2 * PAGE], b[PAGE];
    struct guest_memory memory;
    guest_mem_init(&memory);
    struct memory_slot slot = {.gpa = 0, .length = 2 * PAGE, .kind = MEMORY_RAM, .host = a};
    guest_mem_add(&memory, &slot);
    slot = (struct memory_slot){.gpa = 2 * PAGE, .length = PAGE, .kind = MEMORY_ROM, .host = b};
    guest_mem_add(&memory, &slot);
    slot = (struct memory_slot){
        .gpa = 0x100000, .length = PAGE, .kind = MEMORY_ALIAS, .target = 0, .target_offset = PAGE};
    assert_int_equal(guest_mem_add(&memory, &slot), 2);

    assert_true(guest_mem_write(&memory, 0x100010, "verge", 6));
    assert_string_equal((char *)a + PAGE + 0x10, "verge");
    memcpy(b, "rom", 4);
    char text[8];
    a[2 * PAGE - 1] = '>';
    assert_true(guest_mem_read(&memory, 2 * PAGE - 1, text, 5));
    assert_string_equal(text, ">rom");
    assert_false(guest_mem_write(&memory, 2 * PAGE - 1, "xx", 2));
    assert_int_equal(a[2 * PAGE - 1], '>');
    assert_null(guest_mem_map(&memory, 2 * PAGE, 1)); /* ROM is not mapped for writing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ram_comes_in_pieces),
        cmocka_unit_test(ram_is_split_around_the_hole),
        cmocka_unit_test(malformed_slots_are_refused),
        cmocka_unit_test(addresses_never_wrap),
        cmocka_unit_test(random_layouts_match_the_model),
        cmocka_unit_test(writes_cross_slots_and_reach_aliases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
