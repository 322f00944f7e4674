/*
 * The guest page-table walk. Contract, choices and sources: guest_walk.h. One loop for all modes; what
 * differs between them is a `struct format`: entry size, levels, index bits and reserved bits.
 */
#include "arch/x86/decode/guest_walk.h"

enum {
    CR0_WP = 1 << 16,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_LA57 = 1 << 12,
    CR4_SMEP = 1 << 20,
    CR4_SMAP = 1 << 21
};
#define CR0_PG   BIT64(31)
#define EFER_LMA BIT64(10)
#define EFER_NXE BIT64(11)

#define ENTRY_P  BIT64(0)
#define ENTRY_RW BIT64(1)
#define ENTRY_US BIT64(2)
#define ENTRY_A  BIT64(5)
#define ENTRY_D  BIT64(6)
#define ENTRY_PS BIT64(7)
#define ENTRY_G  BIT64(8)
#define ENTRY_NX BIT64(63)

#define MAX_LEVELS 5

enum paging { PAGING_32, PAGING_PAE, PAGING_LONG };

/* Level 1 is the page table, level `top` the table that CR3 points to. */
struct format {
    enum paging paging;
    unsigned top;
    unsigned entry_size;
    unsigned index_bits;
    uint64_t address_mask; /* bits of an entry that hold an address */
};

/* What one walk has found. */
struct walk {
    const struct walk_context *context;
    const struct walk_memory *memory;
    struct format format;
    uint64_t linear;
    enum walk_access access;
    unsigned leaf;                  /* the level that maps the page */
    uint64_t entry[MAX_LEVELS + 1]; /* by level */
    uint64_t entry_gpa[MAX_LEVELS + 1];
};

/* Bits high:low set. */
static uint64_t bits(unsigned high, unsigned low)
{
    return high < low ? 0 : (UINT64_MAX >> (63 - high)) & (UINT64_MAX << low);
}

static struct format format_of(const struct walk_context *context)
{
    uint64_t address_mask = bits(context->maxphyaddr - 1u, 12);

    if (context->efer & EFER_LMA)
        return (struct format){PAGING_LONG, context->cr4 & CR4_LA57 ? 5 : 4, 8, 9, address_mask};
    if (context->cr4 & CR4_PAE)
        return (struct format){PAGING_PAE, 3, 8, 9, address_mask};
    return (struct format){PAGING_32, 2, 4, 10, bits(31, 12)};
}

static unsigned level_shift(const struct format *format, unsigned level)
{
    return 12 + format->index_bits * (level - 1);
}

static uint64_t root_table(const struct walk *walk)
{
    if (walk->format.paging == PAGING_PAE)
        return walk->context->cr3 & bits(31, 5);
    return walk->context->cr3 & walk->format.address_mask;
}

static bool is_leaf(const struct walk *walk, unsigned level, uint64_t entry)
{
    if (level == 1)
        return true;
    if (!(entry & ENTRY_PS) || level > 3)
        return false;
    switch (walk->format.paging) {
    case PAGING_32:
        return (walk->context->cr4 & CR4_PSE) != 0;
    case PAGING_PAE:
        return level == 2;
    default:
        return level == 2 || !walk->context->no_1g_pages;
    }
}

/* Reserved bits of an 8-byte entry that don't depend on its place. */
static uint64_t reserved_high(const struct walk *walk)
{
    unsigned maxphyaddr = walk->context->maxphyaddr;
    uint64_t reserved = walk->format.paging == PAGING_PAE ? bits(62, maxphyaddr) : bits(51, maxphyaddr);

    return walk->context->efer & EFER_NXE ? reserved : reserved | ENTRY_NX;
}

static uint64_t reserved_bits_32(const struct walk *walk, bool large)
{
    unsigned beyond =
        MIN(walk->context->maxphyaddr, 40u) - 32; /* address bits that entry bits 20:13 can hold */

    return large ? bits(21, 13 + beyond) : 0;
}

static uint64_t reserved_bits_long(const struct walk *walk, unsigned level, bool large)
{
    uint64_t reserved = reserved_high(walk);

    if (large)
        return reserved | bits(level_shift(&walk->format, level) - 1, 13);
    if (level >= 4 || (level == 3 && walk->context->no_1g_pages))
        reserved |= ENTRY_PS;
    if (level >= 3 && walk->context->global_bit_reserved)
        reserved |= ENTRY_G;
    return reserved;
}

static uint64_t reserved_bits(const struct walk *walk, unsigned level, bool large)
{
    switch (walk->format.paging) {
    case PAGING_32:
        return reserved_bits_32(walk, large);
    case PAGING_PAE:
        if (level == 3)
            return bits(63, walk->context->maxphyaddr) | bits(8, 6) | bits(2, 1); /* bit 5: choice 5 */
        return reserved_high(walk) | (large ? bits(20, 13) : 0);
    default:
        return reserved_bits_long(walk, level, large);
    }
}

static bool is_write(enum walk_access access)
{
    return access == WALK_WRITE || access == WALK_IMPLICIT_WRITE;
}

static bool is_implicit(enum walk_access access)
{
    return access >= WALK_IMPLICIT_READ;
}

static bool is_user(const struct walk *walk)
{
    return walk->context->cpl == 3 && !is_implicit(walk->access);
}

static bool is_nx_enabled(const struct walk *walk)
{
    return walk->format.paging != PAGING_32 && (walk->context->efer & EFER_NXE);
}

/* `cause`: WALK_ERROR_P and RSVD as they apply. */
static enum walk_status fault(const struct walk *walk, uint32_t cause, struct walk_result *result)
{
    bool shows_fetch = is_nx_enabled(walk) || (walk->context->cr4 & CR4_SMEP);

    result->error_code = cause;
    if (is_write(walk->access))
        result->error_code |= WALK_ERROR_RW;
    if (is_user(walk))
        result->error_code |= WALK_ERROR_US;
    if (walk->access == WALK_EXECUTE && shows_fetch)
        result->error_code |= WALK_ERROR_ID;
    return WALK_FAULT;
}

/* Reads the entries down to the leaf. */
static enum walk_status descend(struct walk *walk, struct walk_result *result)
{
    const struct format *format = &walk->format;
    uint64_t table = root_table(walk);

    for (unsigned level = format->top;; level--) {
        uint64_t index = walk->linear >> level_shift(format, level) & (BIT64(format->index_bits) - 1);
        uint64_t gpa = table + index * format->entry_size;
        uint64_t entry = walk->memory->read(walk->memory->opaque, gpa, format->entry_size);

        walk->entry[level] = entry;
        walk->entry_gpa[level] = gpa;
        if (!(entry & ENTRY_P))
            return fault(walk, 0, result);
        bool leaf = is_leaf(walk, level, entry);
        if (entry & reserved_bits(walk, level, leaf && level > 1))
            return fault(walk, WALK_ERROR_P | WALK_ERROR_RSVD, result);
        if (leaf) {
            walk->leaf = level;
            return WALK_OK;
        }
        table = entry & format->address_mask;
    }
}

static bool is_allowed(const struct walk *walk)
{
    const struct walk_context *context = walk->context;
    uint64_t all = ENTRY_RW | ENTRY_US;
    uint64_t any = 0;

    for (unsigned level = walk->leaf; level <= walk->format.top; level++) {
        if (walk->format.paging == PAGING_PAE && level == 3)
            continue;
        all &= walk->entry[level];
        any |= walk->entry[level];
    }
    bool user_page = (all & ENTRY_US) != 0;
    if (walk->access == WALK_EXECUTE && is_nx_enabled(walk) && (any & ENTRY_NX))
        return false;
    if (is_user(walk))
        return user_page && (!is_write(walk->access) || (all & ENTRY_RW));
    if (walk->access == WALK_EXECUTE)
        return !user_page || !(context->cr4 & CR4_SMEP);
    if (user_page && (context->cr4 & CR4_SMAP) && (is_implicit(walk->access) || !context->rflags_ac))
        return false;
    return !is_write(walk->access) || (all & ENTRY_RW) || !(context->cr0 & CR0_WP);
}

/* False: an entry has changed since it was read. */
static bool set_accessed_dirty(const struct walk *walk)
{
    const struct walk_memory *memory = walk->memory;

    for (unsigned level = walk->format.top; level >= walk->leaf; level--) {
        uint64_t entry = walk->entry[level];
        uint64_t desired = entry | ENTRY_A;

        if (walk->format.paging == PAGING_PAE && level == 3)
            continue;
        if (level == walk->leaf && is_write(walk->access))
            desired |= ENTRY_D;
        if (desired != entry && !memory->compare_exchange(memory->opaque, walk->entry_gpa[level],
                                                          walk->format.entry_size, entry, desired))
            return false;
    }
    return true;
}

static uint64_t leaf_address(const struct walk *walk)
{
    unsigned shift = level_shift(&walk->format, walk->leaf);
    uint64_t entry = walk->entry[walk->leaf];
    uint64_t base = entry & walk->format.address_mask & (UINT64_MAX << shift);

    if (walk->format.paging == PAGING_32 && walk->leaf == 2)
        base |= (entry >> 13 & 0xFF) << 32;
    return base | (walk->linear & (BIT64(shift) - 1));
}

static bool is_canonical(const struct format *format, uint64_t linear)
{
    unsigned unused = 64 - 12 - format->index_bits * format->top;

    return (uint64_t)((int64_t)(linear << unused) >> unused) == linear;
}

enum walk_status guest_walk(const struct walk_context *context, const struct walk_memory *memory,
                            uint64_t linear, enum walk_access access, struct walk_result *result)
{
    struct walk walk = {.context = context,
                        .memory = memory,
                        .format = format_of(context),
                        .linear = linear,
                        .access = access};

    *result = (struct walk_result){0};
    if (walk.format.paging != PAGING_LONG)
        walk.linear &= UINT32_MAX;
    else if (!is_canonical(&walk.format, linear))
        return WALK_NOT_CANONICAL;
    if (!(context->cr0 & CR0_PG)) {
        *result = (struct walk_result){.gpa = walk.linear, .page_size = 4096};
        return WALK_OK;
    }
    for (unsigned attempt = 0; attempt < WALK_ATTEMPTS; attempt++) {
        enum walk_status status = descend(&walk, result);

        if (status != WALK_OK)
            return status;
        if (!is_allowed(&walk))
            return fault(&walk, WALK_ERROR_P, result);
        if (memory->compare_exchange == NULL || set_accessed_dirty(&walk)) {
            result->gpa = leaf_address(&walk);
            result->page_size = BIT64(level_shift(&walk.format, walk.leaf));
            return WALK_OK;
        }
    }
    return WALK_RETRY;
}
