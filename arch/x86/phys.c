/* The physical memory manager; the contract is in api/phys.h. Called on the boot CPU before guests run. */
#include "arch/x86/api/phys.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/paging.h"
#include "boot/boot_info.h"
#include "lib/log.h"
#include "lib/string.h"

#define RANGES_MAX 256
#define FIRST_MB   0x100000u
#define LOW_END    0x80000u /* above may be what firmware keeps and the map does not tell of */

struct range {
    uint64_t start, end;
};

static struct range ranges[RANGES_MAX]; /* free; sorted, disjoint, page-aligned */
static unsigned range_count;
static struct range all_ram[RANGES_MAX]; /* what the direct map holds: likewise */
static unsigned all_ram_count;
static uint64_t total_bytes, own_bytes;
static uint64_t low_page;

static void remove_at(unsigned index)
{
    range_count--;
    for (unsigned i = index; i < range_count; i++)
        ranges[i] = ranges[i + 1];
}

static void insert_at(unsigned index, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    if (range_count == RANGES_MAX) {
        log_warning("memory map too fragmented: %llu KB left unused",
                    (unsigned long long)(end - start) >> 10);
        return;
    }
    for (unsigned i = range_count; i > index; i--)
        ranges[i] = ranges[i - 1];
    ranges[index] = (struct range){start, end};
    range_count++;
}

/* Adds [start, end), merging what it touches. */
static void range_add(uint64_t start, uint64_t end)
{
    unsigned i = 0;

    while (i < range_count && ranges[i].end < start)
        i++;
    while (i < range_count && ranges[i].start <= end) {
        start = MIN(start, ranges[i].start);
        end = MAX(end, ranges[i].end);
        remove_at(i);
    }
    insert_at(i, start, end);
}

static void range_remove(uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < range_count; i++) {
        struct range whole = ranges[i];

        if (whole.end <= start || whole.start >= end)
            continue;
        remove_at(i);
        insert_at(i, end, whole.end);
        insert_at(i, whole.start, MIN(start, whole.end));
        if (whole.start >= start)
            i--;
    }
}

/* End of a range that may wrap: a map may hold garbage. */
static uint64_t end_of(uint64_t base, uint64_t length)
{
    uint64_t limit = paging_phys_limit();

    if (base >= limit)
        return base;
    return length > limit - base ? limit : base + length;
}

static void module_pages(const struct boot_module *module, uint64_t *start, uint64_t *end)
{
    *start = ALIGN_DOWN(module->base, (uint64_t)PAGE_SIZE);
    *end = ALIGN_UP(module->base + module->size, (uint64_t)PAGE_SIZE);
}

/* The loader's map, made sorted and disjoint: what any line of it calls unusable isn't used. */
static void add_usable_ranges(const struct boot_info *info)
{
    for (unsigned i = 0; i < info->range_count; i++) {
        const struct boot_range *range = &info->ranges[i];
        uint64_t start = ALIGN_UP(range->base, (uint64_t)PAGE_SIZE);
        uint64_t end = ALIGN_DOWN(end_of(range->base, range->length), (uint64_t)PAGE_SIZE);

        if (range->usable && start >= range->base && start < end)
            range_add(start, end);
    }
    for (unsigned i = 0; i < info->range_count; i++) {
        const struct boot_range *range = &info->ranges[i];

        if (!range->usable)
            range_remove(ALIGN_DOWN(range->base, (uint64_t)PAGE_SIZE),
                         ALIGN_UP(end_of(range->base, range->length), (uint64_t)PAGE_SIZE));
    }
}

/* The highest free page below that, but for the first one. */
static void choose_low_page(void)
{
    for (unsigned i = 0; i < range_count && ranges[i].start < LOW_END; i++) {
        uint64_t page = MIN(ranges[i].end, (uint64_t)LOW_END) - PAGE_SIZE;

        if (page >= MAX(ranges[i].start, (uint64_t)PAGE_SIZE))
            low_page = page;
    }
}

void phys_init(const struct boot_info *info)
{
    uint64_t start, end;

    add_usable_ranges(info);
    for (unsigned i = 0; i < range_count; i++)
        total_bytes += ranges[i].end - ranges[i].start;
    for (unsigned i = 0; i < info->module_count; i++) {
        module_pages(&info->modules[i], &start, &end);
        range_add(start, end);
    }
    memcpy(all_ram, ranges, sizeof ranges);
    all_ram_count = range_count;
    range_remove(info->image_base, info->image_base + info->image_size);
    for (unsigned i = 0; i < info->module_count; i++) {
        module_pages(&info->modules[i], &start, &end);
        range_remove(start, end);
    }
    choose_low_page();
    range_remove(0, FIRST_MB);
}

uint64_t phys_low_page(void)
{
    return low_page;
}

bool phys_ram_range(unsigned index, uint64_t *start, uint64_t *end)
{
    if (index >= all_ram_count)
        return false;
    *start = all_ram[index].start;
    *end = all_ram[index].end;
    return true;
}

uint64_t phys_alloc(uint64_t size, uint64_t alignment, bool zero)
{
    size = ALIGN_UP(size, (uint64_t)PAGE_SIZE);
    for (unsigned i = 0; i < range_count; i++) {
        struct range *range = &ranges[i];
        uint64_t start = ALIGN_UP(range->start, alignment);

        if (start < range->start || start >= range->end || range->end - start < size)
            continue;
        range_remove(start, start + size);
        if (zero)
            memset(phys_to_virt(start), 0, size);
        return start;
    }
    return 0;
}

void *phys_alloc_own(uint64_t size)
{
    uint64_t address = phys_alloc(size, PAGE_SIZE, true);

    if (!address)
        panic("out of memory: %llu KB wanted for the monitor", (unsigned long long)size >> 10);
    own_bytes += ALIGN_UP(size, (uint64_t)PAGE_SIZE);
    return phys_to_virt(address);
}

uint64_t phys_total(void)
{
    return total_bytes;
}

uint64_t phys_free(void)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < range_count; i++)
        bytes += ranges[i].end - ranges[i].start;
    return bytes;
}

uint64_t phys_largest_free(void)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < range_count; i++)
        bytes = MAX(bytes, ranges[i].end - ranges[i].start);
    return bytes;
}

uint64_t phys_own(void)
{
    return own_bytes;
}
