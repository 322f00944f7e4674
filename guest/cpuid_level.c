/* The levels' CPUs as a table, and whether a host has as much. The contract, the choices and the sources are
 * in cpuid_level.h. */
#include "guest/cpuid_level.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define B(bit)      BIT(bit)
#define LINEAR_BITS 48u
#define FAMILY      0x00060FB1u
#define LINE_8_WAYS (7u << 22 | 63u) /* EBX of leaf 4: ways and bytes of a line, less 1 */

/* Bits that a word has from this level on. */
struct level_word {
    uint32_t leaf;
    uint8_t subleaf;
    uint8_t reg; /* enum cpuid_register */
    uint8_t level;
    uint32_t bits;
};

static const struct level_word level_words[] = {
    {0x0, 0, CPUID_EAX, 1, CPUID_MAX_BASIC},

    {0x1, 0, CPUID_EAX, 1, FAMILY},
    {0x1, 0, CPUID_EBX, 1, 8u << 8}, /* CLFLUSH: 8 times 8 bytes */
    /* FPU DE PSE TSC MSR PAE MCE CX8, SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH, MMX FXSR SSE SSE2 */
    {0x1, 0, CPUID_EDX, 1,
     B(0) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(11) | B(12) | B(13) | B(14) | B(15) | B(16) |
         B(17) | B(19) | B(23) | B(24) | B(25) | B(26)},
    /* SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT */
    {0x1, 0, CPUID_ECX, 2, B(0) | B(9) | B(13) | B(19) | B(20) | B(23)},
    /* FMA MOVBE XSAVE AVX F16C */
    {0x1, 0, CPUID_ECX, 3, B(12) | B(22) | B(26) | B(28) | B(29)},

    /* One round; FFh: see leaf 4. */
    {0x2, 0, CPUID_EAX, 1, 0xFF01},
    /* Data, code, unified; level; needs no software to start. ECX: sets less 1. */
    {0x4, 0, CPUID_EAX, 1, B(8) | 1u << 5 | 1},
    {0x4, 0, CPUID_EBX, 1, LINE_8_WAYS},
    {0x4, 0, CPUID_ECX, 1, 63},
    {0x4, 1, CPUID_EAX, 1, B(8) | 1u << 5 | 2},
    {0x4, 1, CPUID_EBX, 1, LINE_8_WAYS},
    {0x4, 1, CPUID_ECX, 1, 63},
    {0x4, 2, CPUID_EAX, 1, B(8) | 2u << 5 | 3},
    {0x4, 2, CPUID_EBX, 1, LINE_8_WAYS},
    {0x4, 2, CPUID_ECX, 1, 1023},

    {0x7, 0, CPUID_EBX, 3, B(3) | B(5) | B(8)}, /* BMI1 AVX2 BMI2 */

    /* XCR0's bits; size and place of AVX's state. */
    {0xD, 0, CPUID_EAX, 3, B(0) | B(1) | B(2)},
    {0xD, 2, CPUID_EAX, 3, 256},
    {0xD, 2, CPUID_EBX, 3, 576},

    {0x80000000, 0, CPUID_EAX, 1, 0x80000008},
    {0x80000001, 0, CPUID_EAX, 1, FAMILY},
    {0x80000001, 0, CPUID_ECX, 2, B(0)},                                /* LAHF */
    {0x80000001, 0, CPUID_ECX, 3, B(5)},                                /* LZCNT, as ABM */
    {0x80000001, 0, CPUID_EDX, 1, B(11) | B(20) | B(29)},               /* SYSCALL NX LM */
    {0x80000005, 0, CPUID_ECX, 1, 32u << 24 | 8u << 16 | 1u << 8 | 64}, /* KB, ways, lines a tag, bytes */
    {0x80000005, 0, CPUID_EDX, 1, 32u << 24 | 8u << 16 | 1u << 8 | 64},
    {0x80000006, 0, CPUID_ECX, 1, 512u << 16 | 6u << 12 | 1u << 8 | 64}, /* 6: 8 ways */
};

static const struct {
    char name[48];
    uint8_t phys_bits;
} level_data[CPUID_LEVELS] = {{"Verge x86-64-v1", 36}, {"Verge x86-64-v2", 36}, {"Verge x86-64-v3", 39}};

static void level_leaf(unsigned level, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof out[0]);
    for (unsigned i = 0; i < ARRAY_SIZE(level_words); i++) {
        const struct level_word *word = &level_words[i];

        if (word->leaf == leaf && word->subleaf == subleaf && word->level <= level)
            out[word->reg] |= word->bits;
    }
    if (leaf >= 0x80000002 && leaf <= 0x80000004)
        memcpy(out, &level_data[level - 1].name[(leaf - 0x80000002) * 16], 16);
    if (leaf == 0x80000008)
        out[CPUID_EAX] = LINEAR_BITS << 8 | level_data[level - 1].phys_bits;
}

static void level_1(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    level_leaf(1, leaf, subleaf, out);
}

static void level_2(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    level_leaf(2, leaf, subleaf, out);
}

static void level_3(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    level_leaf(3, leaf, subleaf, out);
}

cpuid_source *cpuid_level_source(unsigned level)
{
    static cpuid_source *const sources[CPUID_LEVELS] = {level_1, level_2, level_3};

    return sources[level - 1];
}

/* ---- whether a host has as much ---- */

/* Beyond its highest leaf a host has nothing: Intel's would answer with another leaf's data. */
static void host_leaf(cpuid_source *host, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    uint32_t highest[4];

    host(leaf & BIT(31), 0, highest);
    memset(out, 0, 4 * sizeof out[0]);
    if (((highest[CPUID_EAX] ^ leaf) & BIT(31)) == 0 && highest[CPUID_EAX] >= leaf)
        host(leaf, subleaf, out);
}

/* The name that a rule has for a bit which it passes. */
static void copy_name(const struct cpuid_rule *rule, uint32_t bit, char what[CPUID_LACK_SIZE])
{
    const char *name = rule->names;
    size_t length = 0;

    for (uint32_t before = rule->pass & (bit - 1); before; before &= before - 1)
        name = strchr(name, ' ') + 1;
    while (name[length] && name[length] != ' ' && length < CPUID_LACK_SIZE - 1)
        length++;
    memcpy(what, name, length);
    what[length] = 0;
}

static bool lacks_feature(cpuid_source *host, unsigned level, char what[CPUID_LACK_SIZE])
{
    for (unsigned i = 0; i < cpuid_rule_count; i++) {
        const struct cpuid_rule *rule = &cpuid_rules[i];
        uint32_t subleaf = rule->subleaf == CPUID_ANY_SUBLEAF ? 0 : rule->subleaf;
        uint32_t wanted[4], found[4], lacking;

        if (!rule->names)
            continue;
        level_leaf(level, rule->leaf, subleaf, wanted);
        host_leaf(host, rule->leaf, subleaf, found);
        lacking = wanted[rule->reg] & ~found[rule->reg];
        if (lacking) {
            copy_name(rule, lacking & -lacking, what);
            return true;
        }
    }
    return false;
}

/* Where the CPU puts AVX's state is the host's, and the guest is told the level's. */
static bool lacks_xsave(cpuid_source *host, unsigned level)
{
    uint32_t wanted[4], found[4];

    level_leaf(level, 0xD, 0, wanted);
    host_leaf(host, 0xD, 0, found);
    if (wanted[CPUID_EAX] & ~found[CPUID_EAX])
        return true;
    level_leaf(level, 0xD, 2, wanted);
    host_leaf(host, 0xD, 2, found);
    return wanted[CPUID_EAX] && memcmp(wanted, found, 2 * sizeof wanted[0]) != 0;
}

bool cpuid_level_lacks(cpuid_source *host, unsigned level, char what[CPUID_LACK_SIZE])
{
    unsigned phys_bits = level_data[level - 1].phys_bits;
    uint32_t found[4];

    if (lacks_feature(host, level, what))
        return true;
    if (lacks_xsave(host, level)) {
        memcpy(what, "AVX in XSAVE", sizeof "AVX in XSAVE");
        return true;
    }
    host_leaf(host, 0x80000008, 0, found);
    if ((found[CPUID_EAX] & 0xFF) >= phys_bits)
        return false;
    fmt_snprintf(what, CPUID_LACK_SIZE, "%u bits of physical address", phys_bits);
    return true;
}
