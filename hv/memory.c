/*
 * Guest memory slots: see memory.h for the contract. The slots are flattened when they change (rare, at most
 * 16 of them); every look-up afterwards is a binary search over the sorted ranges.
 */
#include "hv/memory.h"
#include "lib/string.h"

void guest_mem_init(struct guest_memory *memory)
{
    memset(memory, 0, sizeof *memory);
}

uint64_t guest_mem_low_bytes(uint64_t ram_bytes)
{
    return MIN(ram_bytes, MEMORY_HOLE_START);
}

static bool is_page_multiple(uint64_t value)
{
    return (value & (MEMORY_PAGE - 1)) == 0;
}

static bool slot_is_sound(const struct guest_memory *memory, const struct memory_slot *slot)
{
    if (!is_page_multiple(slot->gpa) || !is_page_multiple(slot->length) || slot->length == 0)
        return false;
    if (slot->gpa >= MEMORY_GPA_LIMIT || slot->length > MEMORY_GPA_LIMIT - slot->gpa)
        return false;
    switch (slot->kind) {
    case MEMORY_RAM:
    case MEMORY_ROM:
        return slot->host != NULL;
    case MEMORY_TRAP:
        return slot->host == NULL;
    case MEMORY_ALIAS: {
        if (slot->host || slot->target >= memory->slot_count || !is_page_multiple(slot->target_offset))
            return false;
        const struct memory_slot *target = &memory->slots[slot->target];
        if (target->kind != MEMORY_RAM && target->kind != MEMORY_ROM)
            return false;
        return slot->target_offset < target->length && slot->length <= target->length - slot->target_offset;
    }
    default:
        return false;
    }
}

/* The number of the slot that rules gpa, or -1. */
static int ruling_slot(const struct guest_memory *memory, uint64_t gpa)
{
    int best = -1;
    for (unsigned i = 0; i < memory->slot_count; i++) {
        const struct memory_slot *slot = &memory->slots[i];
        if (slot->disabled || gpa < slot->gpa || gpa - slot->gpa >= slot->length)
            continue;
        if (best < 0 || slot->priority >= memory->slots[best].priority)
            best = (int)i;
    }
    return best;
}

/* The first start or end of a slot above gpa, or MEMORY_GPA_LIMIT. */
static uint64_t next_boundary(const struct guest_memory *memory, uint64_t gpa)
{
    uint64_t next = MEMORY_GPA_LIMIT;
    for (unsigned i = 0; i < memory->slot_count; i++) {
        const struct memory_slot *slot = &memory->slots[i];
        if (slot->disabled)
            continue;
        if (slot->gpa > gpa)
            next = MIN(next, slot->gpa);
        if (slot->gpa + slot->length > gpa)
            next = MIN(next, slot->gpa + slot->length);
    }
    return next;
}

static struct memory_range make_range(const struct guest_memory *memory, unsigned number, uint64_t start,
                                      uint64_t end)
{
    const struct memory_slot *slot = &memory->slots[number];
    uint64_t offset = start - slot->gpa;
    if (slot->kind == MEMORY_ALIAS) {
        offset += slot->target_offset;
        slot = &memory->slots[slot->target];
    }
    return (struct memory_range){
        .start = start,
        .end = end,
        .kind = slot->kind,
        .slot = number,
        .host = slot->host ? slot->host + offset : NULL,
        .backing_gpa = slot->gpa + offset,
    };
}

/* n slots have 2n boundaries, so at most 2n - 1 pieces between them: the ranges always fit. */
static void flatten(struct guest_memory *memory)
{
    unsigned count = 0;
    for (uint64_t start = 0; start < MEMORY_GPA_LIMIT;) {
        uint64_t end = next_boundary(memory, start);
        int slot = ruling_slot(memory, start);
        if (slot >= 0) {
            struct memory_range *last = count ? &memory->ranges[count - 1] : NULL;
            if (last && last->end == start && last->slot == (unsigned)slot)
                last->end = end;
            else
                memory->ranges[count++] = make_range(memory, (unsigned)slot, start, end);
        }
        start = end;
    }
    memory->range_count = count;
    memory->generation++;
}

int guest_mem_add(struct guest_memory *memory, const struct memory_slot *slot)
{
    if (memory->slot_count == MEMORY_SLOTS || !slot_is_sound(memory, slot))
        return -1;
    unsigned number = memory->slot_count++;
    memory->slots[number] = *slot;
    flatten(memory);
    return (int)number;
}

bool guest_mem_change(struct guest_memory *memory, unsigned slot, uint64_t gpa, bool enabled)
{
    if (slot >= memory->slot_count)
        return false;
    struct memory_slot changed = memory->slots[slot];
    changed.gpa = gpa;
    changed.disabled = !enabled;
    if (!slot_is_sound(memory, &changed))
        return false;
    memory->slots[slot] = changed;
    flatten(memory);
    return true;
}

bool guest_mem_add_ram(struct guest_memory *memory, uint8_t *host, uint64_t bytes)
{
    uint64_t first = memory->ram_bytes;
    uint64_t low = first < MEMORY_HOLE_START ? MIN(bytes, MEMORY_HOLE_START - first) : 0;
    uint64_t high_gpa = MEMORY_HOLE_END + (first > MEMORY_HOLE_START ? first - MEMORY_HOLE_START : 0);
    struct memory_slot slots[2] = {
        {.gpa = first, .length = low, .kind = MEMORY_RAM, .host = host, .name = "RAM"},
        {.gpa = high_gpa,
         .length = bytes - low,
         .kind = MEMORY_RAM,
         .host = host + low,
         .name = "RAM above 4 GB"}};

    if (!bytes || memory->slot_count > MEMORY_SLOTS - 2)
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (slots[i].length && !slot_is_sound(memory, &slots[i]))
            return false;
    for (unsigned i = 0; i < 2; i++)
        if (slots[i].length)
            guest_mem_add(memory, &slots[i]);
    memory->ram_bytes += bytes;
    return true;
}

const struct memory_range *guest_mem_slot(const struct guest_memory *memory, uint64_t gpa)
{
    unsigned low = 0, high = memory->range_count; /* the first range that ends above gpa is in [low, high] */
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (memory->ranges[middle].end > gpa)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == memory->range_count || memory->ranges[low].start > gpa)
        return NULL;
    return &memory->ranges[low];
}

static bool range_is_usable(const struct memory_range *range, bool to_write)
{
    return range->kind == MEMORY_RAM || (!to_write && range->kind == MEMORY_ROM);
}

/* The range that holds gpa when all of [gpa, gpa + length) is RAM (or ROM, to read), else NULL. length: not
 * 0. */
static const struct memory_range *find_span(const struct guest_memory *memory, uint64_t gpa, uint64_t length,
                                            bool to_write)
{
    const struct memory_range *first = guest_mem_slot(memory, gpa);
    if (!first || length > UINT64_MAX - gpa)
        return NULL;
    const struct memory_range *behind = &memory->ranges[memory->range_count];
    uint64_t end = gpa + length, reached = first->start;
    for (const struct memory_range *range = first; range != behind && range->start == reached; range++) {
        if (!range_is_usable(range, to_write))
            return NULL;
        reached = range->end;
        if (reached >= end)
            return first;
    }
    return NULL;
}

bool guest_mem_read(const struct guest_memory *memory, uint64_t gpa, void *buffer, size_t length)
{
    if (length == 0)
        return true;
    const struct memory_range *range = find_span(memory, gpa, length, false);
    if (!range)
        return false;
    for (uint8_t *to = buffer; length > 0; range++) {
        size_t count = (size_t)MIN((uint64_t)length, range->end - gpa);
        memcpy(to, range->host + (gpa - range->start), count);
        to += count;
        gpa += count;
        length -= count;
    }
    return true;
}

static void report_dirty(struct guest_memory *memory, const struct memory_range *range, uint64_t gpa,
                         uint64_t length)
{
    if (memory->dirty)
        memory->dirty(memory->dirty_opaque, range->backing_gpa + (gpa - range->start), length);
}

bool guest_mem_write(struct guest_memory *memory, uint64_t gpa, const void *buffer, size_t length)
{
    if (length == 0)
        return true;
    const struct memory_range *range = find_span(memory, gpa, length, true);
    if (!range)
        return false;
    for (const uint8_t *from = buffer; length > 0; range++) {
        size_t count = (size_t)MIN((uint64_t)length, range->end - gpa);
        memcpy(range->host + (gpa - range->start), from, count);
        report_dirty(memory, range, gpa, count);
        from += count;
        gpa += count;
        length -= count;
    }
    return true;
}

uint8_t *guest_mem_map(struct guest_memory *memory, uint64_t gpa, uint64_t length)
{
    const struct memory_range *range = guest_mem_slot(memory, gpa);
    if (!range || range->kind != MEMORY_RAM || length == 0 || length > range->end - gpa)
        return NULL;
    return range->host + (gpa - range->start);
}

void guest_mem_dirty(struct guest_memory *memory, uint64_t gpa, uint64_t length)
{
    const struct memory_range *range = guest_mem_slot(memory, gpa);
    if (range && range->kind == MEMORY_RAM && length)
        report_dirty(memory, range, gpa, MIN(length, range->end - gpa));
}
