/*
 * Nested page tables: NPT and EPT differ in a few bits only (struct nested_format). Leaves are created with
 * Accessed and Dirty set (no CPU has to write them, and code that patches itself is seen on QEMU). Source:
 * AMD64 APM vol. 2 "Nested Paging"; Intel SDM vol. 3 "The Extended Page Table Mechanism". Contract:
 * api/nested.h.
 *
 * A leaf removed by nested_unmap() keeps its address; its permissions wait in bits that no CPU reads, so that
 * it can be put back.
 */
#include "arch/x86/api/nested.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/backend.h"
#include "arch/x86/paging.h"

#define PERMISSIONS   UINT64_C(7) /* NPT: P, W, U. EPT: R, W, X */
#define REMOVED_SHIFT 52          /* where they wait: ignored in both formats */

#define LEVELS 4
/* For ranges that begin or end within what a table covers, and the tables above. */
#define TABLES_AT_EDGES 32u

static unsigned index_at(uint64_t gpa, unsigned level)
{
    return gpa >> (12 + 9 * (level - 1)) & 511;
}

void nested_owe_flush(struct nested *nested)
{
    nested->flush_owed = true;
    if (nested->attention)
        *nested->attention = true;
}

/* The only place that changes an entry: whatever narrows a translation owes a flush. */
static void set_entry(struct nested *nested, uint64_t *entry, uint64_t value)
{
    if (*entry & PERMISSIONS)
        nested_owe_flush(nested);
    *entry = value;
}

/* Tag 0 is the host's. The last one is shared by all that find none of their own. */
void nested_init(struct nested *nested, uint32_t number)
{
    uint32_t last = MAX(cpu_backend.tags(), 2u) - 1;

    nested->root = virt_to_phys(phys_alloc_own(PAGE_SIZE));
    nested->tag = MIN(number + 1, last);
    nested->shared_tag = number + 1 >= last;
    nested->attention = NULL;
    nested_owe_flush(nested);
}

static void map_leaf(struct nested *nested, uint64_t gpa, uint64_t hpa, unsigned level, bool writable)
{
    uint64_t *table = phys_to_virt(nested->root);

    for (unsigned at = LEVELS; at > level; at--) {
        uint64_t *entry = &table[index_at(gpa, at)];

        if (!(*entry & PERMISSIONS))
            set_entry(nested, entry,
                      virt_to_phys(phys_alloc_own(PAGE_SIZE)) | cpu_backend.nested_format->table);
        table = phys_to_virt(*entry & PTE_ADDRESS);
    }
    set_entry(nested, &table[index_at(gpa, level)],
              hpa | cpu_backend.nested_format->leaf | (writable ? PTE_W : 0) | (level > 1 ? PTE_LARGE : 0));
}

static uint64_t leaf_size(unsigned level)
{
    return UINT64_C(1) << (12 + 9 * (level - 1));
}

void nested_map(struct nested *nested, uint64_t gpa, uint64_t hpa, uint64_t size, bool writable)
{
    while (size) {
        unsigned level = cpu_backend.nested_format->largest;

        while (level > 1 && ((gpa | hpa) & (leaf_size(level) - 1) || size < leaf_size(level)))
            level--;
        map_leaf(nested, gpa, hpa, level, writable);
        gpa += leaf_size(level);
        hpa += leaf_size(level);
        size -= leaf_size(level);
    }
}

uint64_t nested_tables_most(uint64_t size)
{
    uint64_t covered = leaf_size(cpu_backend.nested_format->largest > 1 ? 3 : 2); /* by one table of leaves */

    return (size / covered + size / leaf_size(3) + TABLES_AT_EDGES) * PAGE_SIZE;
}

/* The leaf entry that covers gpa, present or removed, and its level; NULL when there is none. */
static uint64_t *find_leaf(const struct nested *nested, uint64_t gpa, unsigned *level)
{
    uint64_t *table = phys_to_virt(nested->root);

    if (gpa >> (12 + 9 * LEVELS))
        return NULL;
    for (*level = LEVELS;; --*level) {
        uint64_t *entry = &table[index_at(gpa, *level)];

        if (*level == 1 || *entry & PTE_LARGE)
            return *entry ? entry : NULL;
        if (!(*entry & PERMISSIONS))
            return NULL;
        table = phys_to_virt(*entry & PTE_ADDRESS);
    }
}

bool nested_unmap(struct nested *nested, uint64_t gpa)
{
    unsigned level;
    uint64_t *leaf = find_leaf(nested, gpa, &level);

    if (!leaf || !(*leaf & PERMISSIONS))
        return false;
    set_entry(nested, leaf, (*leaf & ~PERMISSIONS) | (*leaf & PERMISSIONS) << REMOVED_SHIFT);
    return true;
}

bool nested_restore(struct nested *nested, uint64_t gpa)
{
    unsigned level;
    uint64_t *leaf = find_leaf(nested, gpa, &level);

    if (!leaf || *leaf & PERMISSIONS)
        return false;
    set_entry(nested, leaf,
              (*leaf & ~(PERMISSIONS << REMOVED_SHIFT)) | (*leaf >> REMOVED_SHIFT & PERMISSIONS));
    return true;
}

void *nested_pointer(const struct nested *nested, uint64_t gpa)
{
    unsigned level;
    const uint64_t *leaf = find_leaf(nested, gpa, &level);

    if (!leaf)
        return NULL;
    uint64_t offset = gpa & (leaf_size(level) - 1), base = *leaf & PTE_ADDRESS & ~(leaf_size(level) - 1);
    return (uint8_t *)phys_to_virt(base) + offset;
}
