/* Self-modifying code (selfmod.asm): by stores, strings, pushes, INS, through an alias; and instructions that
 * exit, whose length changes under the monitor's memory of them (struct instruction_memo). */
#include "tests/guests/modes/modes.h"

#define DAC_WRITE 0x3C8
#define DAC_READ  0x3C7
#define DAC_DATA  0x3C9
#define ALIAS     0x40000000u
#define PAGE_2M   0x200000u
#define PRESENT   0x83u
#define ROUNDS    20u

typedef uint32_t smc_function(uint32_t value);
smc_function smc_next, smc_byte, smc_string, smc_push, smc_port, smc_exchange, smc_loop, smc_cross,
    smc_cross_patch;
extern uint64_t page_directories[4 * 512];

static void map_alias(uint64_t physical)
{
    page_directories[ALIAS >> 21] = physical | PRESENT;
    uint64_t cr3;
    __asm__ volatile("mov %%cr3, %0\n\tmov %0, %%cr3" : "=r"(cr3) : : "memory");
}

static uint32_t patched_by_port(uint32_t value)
{
    out8(DAC_WRITE, 0);
    for (unsigned i = 0; i < 6; i++)
        out8(DAC_DATA, i < 4 ? (uint8_t)(value >> 8 * i) : 0);
    out8(DAC_READ, 0);
    return smc_port(0);
}

/* Stores through another linear address count from the next serialising instruction on. */
static uint32_t patched_by_alias(uint32_t value)
{
    uint64_t at = (uintptr_t)smc_next, ignored[4];
    volatile uint32_t *operand;
    map_alias(at & ~(uint64_t)(PAGE_2M - 1));
    operand = (volatile uint32_t *)(uintptr_t)(ALIAS + (at & (PAGE_2M - 1)) + 8); // NOLINT
    smc_next(0);
    *operand = value;
    cpuid(0, (uint32_t *)ignored);
    return ((smc_function *)(at + 7))(0); /* behind the patching MOV */
}

static void check_stores(void)
{
    static const struct {
        const char *name;
        smc_function *run;
    } ways[] = {
        {"patched just before", smc_next},
        {"patched by REP MOVSB", smc_string},
        {"patched by PUSH", smc_push},
        {"patched by XCHG", smc_exchange},
        {"patched over a page", smc_cross_patch},
        {"patched by REP INSB", patched_by_port},
        {"patched through an alias", patched_by_alias},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(ways); i++)
        for (uint32_t round = 1; round <= ROUNDS; round++) {
            uint32_t value = round * 0x01030507 & 0x3F3F3F3F;
            same(ways[i].name, ways[i].run(value), value);
        }
    for (unsigned round = 0; round < ROUNDS; round++)
        same("patched opcode", smc_byte(0), 0x77 * 2);
    same("patched in a loop", smc_loop(100), 100 * 0x1000 + 99 * 100 / 2);
}

/* An instruction that exits, of several lengths, and what tells that execution went on right behind it. */
static const struct exiting {
    uint8_t length, bytes[6];
} exiting[] = {
    {2, {0x0F, 0xA2}},             /* CPUID */
    {3, {0x66, 0x0F, 0xA2}},       /* with a prefix */
    {4, {0x2E, 0x66, 0x0F, 0xA2}}, /* with two */
    {3, {0x48, 0x0F, 0xA2}},       /* REX.W */
    {2, {0xE4, 0x61}},             /* IN AL, 61h */
    {4, {0xE4, 0x61, 0x0F, 0xA2}}, /* and CPUID */
    {2, {0xE6, 0x80}},             /* OUT 80h, AL */
    {3, {0x0F, 0x20, 0xC0}},       /* MOV RAX, CR0 */
};

/* PUSH RBX; XOR EAX, EAX; the instruction; POP RBX; LEA EAX, [RDI + marker]; RET */
static void write_code(uint8_t *at, const struct exiting *e, uint8_t marker)
{
    volatile uint8_t *to = at;
    static const uint8_t before[] = {0x53, 0x31, 0xC0};
    const uint8_t behind[] = {0x5B, 0x8D, 0x47, marker, 0xC3};
    for (size_t i = 0; i < sizeof before; i++)
        *to++ = before[i];
    for (unsigned i = 0; i < e->length; i++)
        *to++ = e->bytes[i];
    for (size_t i = 0; i < sizeof behind; i++)
        *to++ = behind[i];
}

static void check_lengths(void)
{
    uint8_t *at = (uint8_t *)buffer_start();
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < ARRAY_LENGTH(exiting); i++) {
            unsigned which = (i * (round + 1)) % ARRAY_LENGTH(exiting);
            write_code(at, &exiting[which], (uint8_t)(which + 1));
            for (unsigned again = 0; again < 3; again++)
                same("patched instruction that exits", ((smc_function *)(uintptr_t)at)(again * 100),
                     again * 100 + which + 1);
        }
}

/* The same linear address, now here, now there. */
static void check_remapping(void)
{
    smc_function *code = (smc_function *)(uintptr_t)(ALIAS + 0x100);
    write_code((uint8_t *)buffer_start() + 0x100, &exiting[0], 0x11);
    write_code((uint8_t *)buffer_start() + PAGE_2M + 0x100, &exiting[2], 0x22);
    for (unsigned round = 0; round < ROUNDS; round++) {
        map_alias(BUFFER_BASE);
        same("remapped instruction that exits, first page", code(0), 0x11);
        same("remapped instruction that exits, first page", code(1), 0x12);
        page_directories[ALIAS >> 21] = (BUFFER_BASE + PAGE_2M) | PRESENT;
        __asm__ volatile("invlpg (%0)" : : "r"(code) : "memory");
        same("remapped instruction that exits, second page", code(0), 0x22);
        same("remapped instruction that exits, second page", code(1), 0x23);
    }
}

void check_selfmod(void)
{
    check_stores();
    check_lengths();
    check_remapping();
    map_alias(ALIAS);
}
