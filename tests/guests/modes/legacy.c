/* The tables of the trials outside long mode. Contract: legacy.h. Sources: Intel SDM vol. 3, "Segment
 * Descriptors", "IDT Descriptors", "Task-State Segment (TSS)"; "32-Bit Paging", "PAE Paging". */
#include "tests/guests/modes/legacy.h"

#define TSS_ESP0   1 /* in dwords */
#define TSS_SS0    2
#define TSS_IO_MAP 25
#define IO_MAP     0x80u /* offset in the TSS */
#define IO_BYTES   128u
#define BIG        0xC00000u
#define P_RW       0x3u
#define P_USER     0x4u
#define P_LARGE    0x80u

void legacy_switch(unsigned paging, const uint64_t *trials, struct legacy_state *results, unsigned count);
extern const uint32_t legacy_stubs[LEGACY_VECTORS];
extern uint8_t legacy_stack0_end[], code16_start[];
extern uint64_t page_directories[4 * 512];

uint64_t legacy_gdt[GDT_ENTRIES], legacy_ldt[2], legacy_idt[LEGACY_VECTORS];
uint32_t legacy_directory[1024] __attribute__((aligned(4096)));
uint32_t legacy_table[1024] __attribute__((aligned(4096)));
uint64_t legacy_pointers[4] __attribute__((aligned(32)));
uint32_t legacy_tss[(IO_MAP + IO_BYTES + 4) / 4] __attribute__((aligned(256)));
uint32_t legacy_tss2[26] __attribute__((aligned(128)));
uint8_t legacy_data[4096] __attribute__((aligned(4096)));

struct legacy_pointer legacy_gdt_pointer, legacy_idt_pointer;

static uint32_t address(const volatile void *at)
{
    return (uint32_t)(uintptr_t)at;
}

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t access)
{
    return (limit & 0xFFFF) | (uint64_t)(base & 0xFFFFFF) << 16 |
           (uint64_t)(access | (limit & 0xF0000)) << 32 | (uint64_t)(base >> 24) << 56;
}

void legacy_descriptor(unsigned selector, uint32_t base, uint32_t limit, uint32_t access)
{
    legacy_gdt[selector >> 3] = descriptor(base, limit, access);
}

void legacy_gate(unsigned vector, unsigned selector, uint32_t offset, unsigned type)
{
    legacy_idt[vector] =
        (offset & 0xFFFF) | (uint64_t)selector << 16 | (uint64_t)type << 40 | (uint64_t)(offset >> 16) << 48;
}

static void prepare_gdt(void)
{
    uint32_t data = address(legacy_data);
    const struct {
        unsigned selector;
        uint32_t base, limit, access;
    } plain[] = {
        {0x08, 0, 0xFFFFF, 0xA09B00},
        {SEL_DATA, 0, 0xFFFFF, BIG | 0x9300},
        {SEL_CODE32, 0, 0xFFFFF, BIG | 0x9B00},
        {0x20, 0, 0xFFFF, 0x9B00},
        {0x28, 0, 0xFFFF, 0x9300},
        {SEL_TSS, address(legacy_tss), sizeof legacy_tss - 1, 0x8900},
        {SEL_LDT, address(legacy_ldt), sizeof legacy_ldt - 1, 0x8200},
        {SEL_USER_CODE, 0, 0xFFFFF, BIG | 0xFB00},
        {SEL_USER_DATA, 0, 0xFFFFF, BIG | 0xF300},
        {SEL_ABSENT_DATA, 0, 0xFFFFF, BIG | 0x1300},
        {SEL_ABSENT_CODE, 0, 0xFFFFF, BIG | 0x1B00},
        {SEL_CONFORMING, 0, 0xFFFFF, BIG | 0x9F00},
        {SEL_DOWN16, data, 0x07FF, 0x9700},
        {SEL_DOWN32, data, 0x07FF, 0x409700},
        {SEL_READ_ONLY, data, 0xFFF, 0x409100},
        {SEL_EXECUTE_ONLY, 0, 0xFFFFF, BIG | 0x9900},
        {SEL_SMALL, data, 0x0F, 0x40F300},
        {SEL_TSS2, address(legacy_tss2), sizeof legacy_tss2 - 1, 0x8900},
        {SEL_CODE16, address(code16_start), 0xFFFF, 0x9B00},
        {SEL_DATA16, data, 0xFFFF, 0x9300},
        {SEL_TSS16, address(legacy_tss2), 43, 0x8100},
        {SEL_BASED, data, 0xFFF, 0x409300},
        {SEL_MMIO, MMIO_BASE, 0xFFFF, 0x9300},
        {SEL_ABSENT_STACK, 0, 0xFFFFF, BIG | 0x1300},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(plain); i++)
        legacy_descriptor(plain[i].selector, plain[i].base, plain[i].limit, plain[i].access);
    legacy_gdt[SEL_CALL_GATE >> 3] = 0;
    legacy_gdt[SEL_TASK_GATE >> 3] = (uint64_t)SEL_TSS2 << 16 | 0x8500ull << 32;
    legacy_ldt[1] = descriptor(data + 0x100, 0xFF, 0x409300);
}

static void prepare_idt(void)
{
    for (unsigned v = 0; v < LEGACY_VECTORS; v++) {
        bool outer = v == 3 || v == 4 || v >= LEGACY_STOP; /* ring 3 may call these */
        legacy_gate(v, SEL_CODE32, legacy_stubs[v], outer ? 0xEE : 0x8E);
    }
}

static void prepare_tss(void)
{
    __builtin_memset(legacy_tss, 0, sizeof legacy_tss);
    __builtin_memset(legacy_tss2, 0, sizeof legacy_tss2);
    legacy_tss[TSS_ESP0] = address(legacy_stack0_end);
    legacy_tss[TSS_SS0] = SEL_DATA;
    legacy_tss[TSS_IO_MAP] = IO_MAP << 16;
    ((uint8_t *)legacy_tss)[IO_MAP + IO_BYTES] = 0xFF;
}

/* All one to one, for ring 3 too. Under LEGACY_PAE long mode's own directories serve. */
static void prepare_paging(void)
{
    for (uint32_t i = 0; i < 1024; i++) {
        legacy_directory[i] = i << 22 | P_LARGE | P_USER | P_RW;
        legacy_table[i] = i << 12 | P_USER | P_RW;
    }
    legacy_directory[0] = address(legacy_table) | P_USER | P_RW;
    for (uint32_t i = 0; i < 4; i++)
        legacy_pointers[i] = (address(page_directories) + i * 4096) | 1;
    for (unsigned i = 0; i < 4 * 512; i++)
        page_directories[i] |= P_USER;
}

void legacy_forbid_port(unsigned port)
{
    ((uint8_t *)legacy_tss)[IO_MAP + port / 8] |= (uint8_t)(1u << port % 8);
}

void legacy_call_gate(uint32_t offset)
{
    legacy_gdt[SEL_CALL_GATE >> 3] =
        (offset & 0xFFFF) | (uint64_t)SEL_CODE32 << 16 | 0xEC00ull << 32 | (uint64_t)(offset >> 16) << 48;
}

void legacy_prepare(void)
{
    prepare_gdt();
    prepare_idt();
    prepare_tss();
    prepare_paging();
    legacy_gdt_pointer = (struct legacy_pointer){sizeof legacy_gdt - 1, address(legacy_gdt)};
    legacy_idt_pointer = (struct legacy_pointer){sizeof legacy_idt - 1, address(legacy_idt)};
    for (size_t i = 0; i < sizeof legacy_data; i++)
        legacy_data[i] = (uint8_t)(i * 7 + (i >> 8));
    legacy_services = legacy_irqs = 0;
}

void legacy_place(const void *code, size_t size)
{
    __builtin_memcpy((void *)(uintptr_t)LEGACY_LOW, code, size); // NOLINT: a fixed physical address
}

void legacy_run(enum legacy_paging paging, legacy_code *const *trials, struct legacy_state *results,
                unsigned count)
{
    legacy_switch(paging, (const uint64_t *)(const void *)trials, results, count);
}

const struct legacy_state *legacy_run_one(enum legacy_paging paging, legacy_code *code)
{
    static struct legacy_state result;

    legacy_services = legacy_irqs = 0;
    legacy_run(paging, &code, &result, 1);
    return &result;
}

uint32_t legacy_data_at(unsigned at)
{
    uint32_t value;

    __builtin_memcpy(&value, legacy_data + at, sizeof value);
    return value;
}

void legacy_check(enum legacy_paging paging, const struct legacy_case *cases, struct legacy_state *results,
                  unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct legacy_case *c = &cases[i];
        legacy_run(paging, &c->code, &results[i], 1);
        check_limited(c->limit, results[i].vector == c->vector, c->name, results[i].vector, c->vector);
        if (results[i].vector == c->vector)
            check_limited(c->limit, results[i].error == c->error, c->name, results[i].error, c->error);
    }
}
