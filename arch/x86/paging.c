/* The monitor's own page tables; the contract is in paging.h. */
#include "arch/x86/paging.h"
#include "arch/x86/api/memory_map.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "boot/boot_info.h"
#include "lib/string.h"

extern char image_start[], text_end[], rodata_end[], per_cpu_start[], per_cpu_end[], image_end[];
extern char boot_stack_guard[], nmi_stack_guard[], df_stack_guard[], mc_stack_guard[];

static uint64_t *top_table; /* of the boot CPU */
static uint64_t image_base;

void *phys_to_virt(uint64_t address)
{
    return (void *)(uintptr_t)(DIRECT_MAP + address);
}

uint64_t virt_to_phys(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer - DIRECT_MAP;
}

uint64_t paging_phys_limit(void)
{
    unsigned bits = 36;

    if (cpuid(0x80000000, 0).eax >= 0x80000008)
        bits = cpuid(0x80000008, 0).eax & 0xFF;
    return BIT64(MIN(bits, 46));
}

static uint64_t *next_table(uint64_t *entry)
{
    ASSERT(!(*entry & PTE_LARGE));
    if (!(*entry & PTE_P))
        *entry = virt_to_phys(phys_alloc_own(PAGE_SIZE)) | PTE_P | PTE_W;
    return phys_to_virt(*entry & PTE_ADDRESS);
}

/* Maps one page of 4 KB (level 1), 2 MB (2) or 1 GB (3), beginning at a top table. */
static void map_page(uint64_t *table, uint64_t virtual, uint64_t physical, unsigned level, uint64_t flags)
{

    for (unsigned at = 4; at > level; at--)
        table = next_table(&table[virtual >> (12 + 9 * (at - 1)) & 511]);
    table[virtual >> (12 + 9 * (level - 1)) & 511] =
        physical | flags | PTE_P | PTE_A | PTE_D | (level > 1 ? PTE_LARGE : 0);
}

/* Maps a range with the largest pages that fit. */
static void map_range(uint64_t virtual, uint64_t physical, uint64_t size, uint64_t flags)
{
    bool gigabyte = cpuid(0x80000001, 0).edx & BIT(26);

    while (size) {
        unsigned level = 1;

        if (gigabyte && !((virtual | physical) & (PAGE_SIZE_1G - 1)) && size >= PAGE_SIZE_1G)
            level = 3;
        else if (!((virtual | physical) & (PAGE_SIZE_2M - 1)) && size >= PAGE_SIZE_2M)
            level = 2;
        uint64_t step = UINT64_C(1) << (12 + 9 * (level - 1));
        map_page(top_table, virtual, physical, level, flags);
        virtual += step;
        physical += step;
        size -= step;
    }
}

/* The image as one CPU sees it, whose own part stands at `own`. */
static void map_image(uint64_t *top, uint64_t own)
{
    const char *guards[] = {boot_stack_guard, nmi_stack_guard, df_stack_guard, mc_stack_guard};

    for (char *page = image_start; page < image_end; page += PAGE_SIZE) {
        uint64_t flags = page < text_end ? 0 : page < rodata_end ? PTE_NX : PTE_NX | PTE_W;
        uint64_t physical = image_base + (uint64_t)(page - image_start);
        bool guard = false;

        if (page >= per_cpu_start && page < per_cpu_end)
            physical = own + (uint64_t)(page - per_cpu_start);
        for (unsigned i = 0; i < ARRAY_SIZE(guards); i++)
            guard |= page == guards[i];
        if (!guard)
            map_page(top, (uint64_t)(uintptr_t)page, physical, 1, flags);
    }
}

/* Maps [start, end) of the direct map, leaving out the image: its pages have one address only, so W^X holds
 * for them. */
static void map_direct(const struct boot_info *info, uint64_t start, uint64_t end)
{
    uint64_t image_first = info->image_base, image_last = info->image_base + info->image_size;

    if (start < image_last && end > image_first) {
        if (start < image_first)
            map_range(DIRECT_MAP + start, start, image_first - start, PTE_W | PTE_NX);
        start = image_last;
        if (start >= end)
            return;
    }
    map_range(DIRECT_MAP + start, start, end - start, PTE_W | PTE_NX);
}

void memory_map_init(const struct boot_info *info)
{
    uint64_t start, end;

    image_base = info->image_base;
    top_table = phys_alloc_own(PAGE_SIZE);
    map_image(top_table, image_base + (uint64_t)(per_cpu_start - image_start));
    for (unsigned i = 0; phys_ram_range(i, &start, &end); i++)
        map_direct(info, start, end);
    write_cr3(virt_to_phys(top_table));
}

uint64_t paging_of_image(const void *pointer)
{
    return image_base + (uint64_t)((const char *)pointer - image_start);
}

uint64_t paging_for_further_cpu(void)
{
    uint64_t *top = phys_alloc_own(PAGE_SIZE);

    memcpy(top, top_table, PAGE_SIZE);
    top[(uint64_t)(uintptr_t)image_start >> 39 & 511] = 0;
    map_image(top, virt_to_phys(phys_alloc_own((uint64_t)(per_cpu_end - per_cpu_start))));
    return virt_to_phys(top);
}

static volatile void *map_device(uint64_t physical, uint64_t size, uint64_t type)
{
    uint64_t start = ALIGN_DOWN(physical, (uint64_t)PAGE_SIZE);

    map_range(DEVICE_MAP + start, start, ALIGN_UP(physical + size, (uint64_t)PAGE_SIZE) - start,
              PTE_W | PTE_NX | type);
    return (volatile void *)(uintptr_t)(DEVICE_MAP + physical);
}

volatile void *paging_map_device(uint64_t physical, uint64_t size)
{
    return map_device(physical, size, PTE_PCD | PTE_PWT);
}

/* The PAT's entry 1, which PTE_PWT alone selects and nothing else uses. */
volatile void *paging_map_screen(uint64_t physical, uint64_t size)
{
    wrmsr(MSR_PAT, (rdmsr(MSR_PAT) & ~PAT_ENTRY_1) | PAT_ENTRY_1_WC);
    return map_device(physical, size, PTE_PWT);
}
