/*
 * Memory operands that nobody claims, by every instruction form that the decoder carries out (forms.inc), in
 * 64-, 32- and 16-bit code. Each form runs twice: in plain memory, by the CPU itself, and with its operand
 * across the end of memory, so that some of its bytes are memory and the others read all ones. Registers,
 * flags and the bytes in memory must come out alike. Source: Intel SDM vol. 2, the instructions' own pages;
 * vol. 1, "Effective Address"; the manuals' undefined flags do not count.
 */
#include "tests/guests/modes/legacy.h"

#define FS_EDGE      0x8000u   /* forms.asm */
#define PLAIN_EDGE   0xA00000u /* two pages of free memory */
#define OTHER_EDGE   0xC00000u /* for bare=1: what the end of memory would be */
#define AROUND       32u
#define CODE16       SEL_ABSENT_CODE
#define SEL_PLAIN    SEL_BASED
#define SEL_TRAPPED  SEL_SMALL
#define FS_BASE      0xC0000100u
#define STATUS_FLAGS 0x8D5u
#define NEEDS_MOVBE  0x80000000u /* in `undefined` */
#define CPUID_MOVBE  (1u << 22)  /* leaf 1, ECX */

struct form {
    const char *name;
    const void *code;
    uint32_t size, undefined;
};
struct form_registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8_to_r15[8], flags;
};
extern const struct form forms64[], forms64_end[], forms32[], forms32_end[], forms16[], forms16_end[];
extern const uint8_t forms16_start[];
extern uint32_t forms_code[2], forms_next, forms_step, forms_selector, forms_next_selector;
void forms_run64(struct form_registers *r, const void *code);
legacy_code forms_trial32, forms_trial16;

/* One of the two runs. */
struct side {
    uint64_t edge;
    uint8_t *source; /* RSI's memory */
    struct form_registers registers;
};
/* Their addresses differ in the lowest byte alone: what loads that one into SIL must come out alike. */
static _Alignas(256) uint8_t sources[2][4 * AROUND];
static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 13 ^ random_state << 40;
}

static uint8_t *memory(uint64_t at)
{
    return (uint8_t *)(uintptr_t)at; // NOLINT: an address that was chosen
}

static void set_fs(uint64_t base)
{
    __asm__ volatile("wrmsr" : : "c"(FS_BASE), "a"((uint32_t)base), "d"((uint32_t)(base >> 32)));
}

/* `below` bytes of the operand are memory. Both sides begin alike. */
static void prepare(struct side *s, bool trapped, unsigned bits, unsigned below, uint64_t seed)
{
    struct form_registers *r = &s->registers;
    random_state = seed;
    for (unsigned i = 0; i < AROUND; i++) {
        memory(s->edge - AROUND)[i] = (uint8_t)next_random();
        if (!trapped)
            memory(s->edge)[i] = 0xFF;
    }
    for (unsigned i = 0; i < sizeof sources[0]; i++)
        s->source[i] = (uint8_t)(next_random() % 3 ? next_random() : 0xFF);
    uint64_t *at = &r->rax;
    for (unsigned i = 0; i < sizeof *r / sizeof *at; i++)
        at[i] = next_random();
    r->flags = (next_random() & STATUS_FLAGS) | 2;
    r->rsi = (uint64_t)(uintptr_t)s->source + AROUND;
    r->rdi = s->edge - below;
    if (bits == 16) { /* RSI lies in the same segment, well below */
        r->rsi = s->edge - 4 * AROUND;
        __builtin_memcpy(memory(s->edge - 6 * AROUND), s->source, sizeof sources[0]);
        r->rsi = FS_EDGE - 4 * AROUND;
        r->rdi = FS_EDGE - below;
    }
}

static void run(unsigned bits, const struct form *f, struct side sides[2])
{
    if (bits == 64) {
        for (unsigned i = 0; i < 2; i++) {
            set_fs(sides[i].edge - FS_EDGE);
            forms_run64(&sides[i].registers, f->code);
        }
        return;
    }
    legacy_code *const trial = bits == 32 ? forms_trial32 : forms_trial16;
    legacy_code *const both[2] = {trial, trial};
    static struct legacy_state results[2];
    uint32_t at = (uint32_t)(uintptr_t)f->code;
    forms_code[0] = bits == 32 ? at : at - (uint32_t)(uintptr_t)forms16_start;
    forms_code[1] = CODE16;
    forms_next = (uint32_t)(uintptr_t)&sides[0].registers;
    forms_step = sizeof sides[0];
    forms_selector = SEL_PLAIN;
    forms_next_selector = SEL_TRAPPED;
    legacy_run(LEGACY_FLAT, both, results, 2);
    for (unsigned i = 0; i < 2; i++)
        check(results[i].vector == LEGACY_RETURNED, f->name, results[i].vector, LEGACY_RETURNED);
}

static const char *name_of(const struct form *f, unsigned bits, unsigned below, const char *what)
{
    static char text[128];
    format_text(text, sizeof text, "%s, %u-bit code, %u bytes in memory: %s", f->name, bits, below, what);
    return text;
}

static void compare(const struct form *f, unsigned bits, unsigned below, const struct side sides[2])
{
    static const char *const names[] = {"RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "R8",
                                        "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
    const uint64_t *plain = &sides[0].registers.rax, *trapped = &sides[1].registers.rax;
    uint64_t apart = sides[1].edge - sides[0].edge, from = sizeof sources[0];
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        uint64_t is = trapped[i], wanted = plain[i];
        bool good = is == wanted || (bits != 16 && (is == wanted + apart || is == wanted + from));
        check(good, good ? names[i] : name_of(f, bits, below, names[i]), is, wanted);
    }
    uint64_t is = sides[1].registers.flags & STATUS_FLAGS & ~f->undefined;
    uint64_t wanted = sides[0].registers.flags & STATUS_FLAGS & ~f->undefined;
    check(is == wanted, is == wanted ? "flags" : name_of(f, bits, below, "flags"), is, wanted);
    unsigned wrong = 0;
    for (unsigned i = 1; i <= 6 * AROUND; i++)
        if (bits == 16 || i <= AROUND)
            wrong += memory(sides[0].edge)[-(int)i] != memory(sides[1].edge)[-(int)i];
    for (unsigned i = 0; i < sizeof sources[0]; i++)
        wrong += sides[0].source[i] != sides[1].source[i];
    check(!wrong, wrong ? name_of(f, bits, below, "memory") : "memory", wrong, 0);
}

static void run_forms(unsigned bits, const struct form *from, const struct form *to, uint64_t trapped_edge)
{
    struct side sides[2] = {{.edge = PLAIN_EDGE, .source = sources[0]},
                            {.edge = trapped_edge, .source = sources[1]}};
    uint32_t r[4];
    cpuid(1, r);
    for (const struct form *f = from; f < to; f++)
        for (unsigned below = 0; below < f->size; below++) {
            if (f->undefined & NEEDS_MOVBE && !(r[2] & CPUID_MOVBE))
                continue;
            uint64_t seed = (uint64_t)(f - from) * 1000 + below;
            prepare(&sides[0], false, bits, below, seed);
            prepare(&sides[1], !word_number("bare", 0), bits, below, seed);
            run(bits, f, sides);
            compare(f, bits, below, sides);
        }
}

void check_forms(void)
{
    uint64_t end = (uint64_t)BUFFER_BASE + buffer_words() * 8;
    uint64_t edge = word_number("bare", 0) ? OTHER_EDGE : end;

    legacy_prepare();
    legacy_descriptor(CODE16, (uint32_t)(uintptr_t)forms16_start, 0xFFFF, 0x9B00);
    legacy_descriptor(SEL_PLAIN, PLAIN_EDGE - FS_EDGE, 0xFFFF, 0x9300);
    legacy_descriptor(SEL_TRAPPED, (uint32_t)edge - FS_EDGE, 0xFFFF, 0x9300);
    run_forms(64, forms64, forms64_end, edge);
    set_fs(0);
    run_forms(32, forms32, forms32_end, edge);
    run_forms(16, forms16, forms16_end, edge);
}
