/*
 * REP with the string instructions that don't exit (rep.asm): every operation, operand and address size, up
 * and down, with counts 0, 1 and many, ended by the count or by a comparison, or cut by a page fault, in 64-,
 * 32- and 16-bit code. Each is reported (lib/report.h), as QEMU and Bochs count such an instruction's cycles
 * differently (docs/equivalence.md).
 */
#include "tests/guests/lib/report.h"
#include "tests/guests/modes/modes.h"

#define CODE64    0x08
#define CODE32    0x18
#define CODE16    0x20
#define STUB_SIZE 8u      /* rep.asm */
#define LOW       0x4000u /* 16-bit code and the operands of 16-bit addresses */
#define SOURCE    0x5000u
#define TARGET    0x5100u
#define AREA      64u
#define MANY      7u
#define RFLAGS_ZF 0x40u
#define RFLAGS_DF 0x400u
#define RFLAGS_RF 0x10000u
#define EQUAL     0x11u
#define OTHER     0x22u
#define PAGE_2M   0x200000u
#define ABSENT    0x40000000u /* the second of two large pages, here over free memory */
#define PRESENT   0x83u
#define CUT_COUNT 20u

struct rep_state {
    uint64_t rcx, rsi, rdi, rax, flags;
    uint32_t offset;
    uint16_t selector;
};
void rep_run(struct rep_state *state);

#define STUBS (8u * 4u * STUB_SIZE)
extern uint64_t page_directories[4 * 512];
extern const uint8_t rep_stubs_64[STUBS], rep_stubs_64_a32[STUBS], rep_stubs_32[STUBS],
    rep_stubs_32_a16[STUBS], rep_stubs_16[STUBS], rep_stubs_16_a32[STUBS];

static const struct operation {
    const char *name;
    bool reads, writes; /* [RSI] into [RDI] or the accumulator; [RDI] */
    bool compares;
    bool until_equal;
} operations[] = {
    {"REP MOVS", true, true, false, false},   {"REP STOS", false, true, false, false},
    {"REP LODS", true, false, false, false},  {"REPNE MOVS", true, true, false, false},
    {"REPE CMPS", true, false, true, false},  {"REPNE CMPS", true, false, true, true},
    {"REPE SCAS", false, false, true, false}, {"REPNE SCAS", false, false, true, true},
};

struct trial {
    const struct operation *operation;
    uint32_t offset;
    uint16_t selector;
    unsigned size;  /* of an operand */
    unsigned count; /* RCX */
    unsigned end;   /* the iteration whose comparison ends it, from 1; 0: none does */
    bool down;
};

static volatile uint8_t *bytes(uint32_t at)
{
    return (volatile uint8_t *)(uintptr_t)at;
}

/* Where the operand of iteration i, from 0, begins in an area. */
static unsigned place(const struct trial *t, unsigned i)
{
    return (t->down ? MANY - 1 - i : i) * t->size;
}

static unsigned iterations_of(const struct trial *t)
{
    return t->end ? t->end : t->count;
}

/* Operands that compare as the trial wants it; the source's of the others differ from each other. */
static void fill(const struct trial *t)
{
    for (unsigned i = 0; i < AREA; i++) {
        bytes(SOURCE)[i] = t->operation->compares ? EQUAL : (uint8_t)(0x80 + i);
        bytes(TARGET)[i] = t->operation->until_equal ? OTHER : EQUAL;
    }
    for (unsigned b = 0; t->end && b < t->size; b++)
        bytes(TARGET)[place(t, t->end - 1) + b] = t->operation->until_equal ? EQUAL : OTHER;
}

static unsigned wrong_bytes(const struct trial *t)
{
    unsigned wrong = 0;
    unsigned first = place(t, t->down ? iterations_of(t) - 1 : 0), end = first + iterations_of(t) * t->size;
    if (!t->operation->writes)
        return 0;
    for (unsigned i = 0; i < AREA; i++) {
        bool written = iterations_of(t) && i >= first && i < end;
        uint8_t value = t->operation->reads ? (uint8_t)(0x80 + i) : EQUAL;
        wrong += bytes(TARGET)[i] != (written ? value : EQUAL);
    }
    return wrong;
}

static void check_flags(const struct trial *t, uint64_t flags)
{
    bool zero = true; /* as it was before */
    if (t->operation->compares && iterations_of(t))
        zero = t->operation->until_equal == (t->end != 0);
    same(t->operation->name, (flags & RFLAGS_ZF) != 0, zero);
}

static void run_trial(const struct trial *t)
{
    const struct operation *o = t->operation;
    unsigned first = place(t, 0);
    fill(t);
    struct rep_state s = {.rcx = t->count,
                          .rsi = SOURCE + first,
                          .rdi = TARGET + first,
                          .rax = EQUAL * 0x0101010101010101u,
                          .flags = 2 | RFLAGS_ZF | (t->down ? RFLAGS_DF : 0),
                          .offset = t->offset,
                          .selector = t->selector};
    rep_run(&s);
    report_rep((uint32_t)(t->count - s.rcx), t->end != 0);
    int64_t moved = (int64_t)iterations_of(t) * t->size * (t->down ? -1 : 1);
    bool sources = o->reads, targets = o->writes || o->compares;
    same(o->name, s.rcx, t->count - iterations_of(t));
    same(o->name, s.rsi, SOURCE + first + (uint64_t)(sources ? moved : 0));
    same(o->name, s.rdi, TARGET + first + (uint64_t)(targets ? moved : 0));
    same(o->name, wrong_bytes(t), 0);
    check_flags(t, s.flags);
    if (o->reads && !o->writes && !o->compares && t->count)
        same(o->name, s.rax & 0xFF, 0x80 + place(t, t->count - 1));
}

/* All counts and ends of one instruction, in one direction. */
static void run_counts(struct trial *t)
{
    static const struct {
        unsigned count, end;
    } kinds[] = {{0, 0}, {1, 0}, {MANY, 0}, {1, 1}, {MANY, 1}, {MANY, 4}, {MANY, MANY}};
    for (unsigned i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (kinds[i].end && !t->operation->compares)
            continue;
        t->count = kinds[i].count;
        t->end = kinds[i].end;
        run_trial(t);
    }
}

static void run_stubs(uint16_t selector, const void *stubs)
{
    struct trial t = {.selector = selector};
    for (unsigned i = 0; i < ARRAY_LENGTH(operations); i++)
        for (unsigned size = 0; size < (selector == CODE64 ? 4 : 3); size++) {
            t.operation = &operations[i];
            t.offset = (uint32_t)(uintptr_t)stubs + (i * 4 + size) * STUB_SIZE;
            t.size = 1u << size;
            t.down = false;
            run_counts(&t);
            t.down = true;
            run_counts(&t);
        }
}

/* 16-bit code has 16 bits of address. */
static void run_low_stubs(const uint8_t *stubs)
{
    for (unsigned i = 0; i < STUBS; i++)
        bytes(LOW)[i] = stubs[i];
    run_stubs(CODE16, (const void *)(uintptr_t)LOW);
}

static uint64_t faults, left_at_fault;

static void map(uint32_t page, uint64_t entry)
{
    page_directories[page >> 21] = entry;
    __asm__ volatile("mov %%cr3, %%rax\n\tmov %%rax, %%cr3" : : : "rax", "memory");
}

static bool on_fault(struct trap_frame *frame)
{
    if (frame->vector != 14)
        return false;
    frame->rflags &= ~(uint64_t)RFLAGS_RF; /* QEMU pushes 0 */
    report_fault(frame->vector);
    left_at_fault = frame->rcx;
    faults++;
    map(ABSENT, (BUFFER_BASE + PAGE_2M) | PRESENT);
    return true; /* and again */
}

/* A page fault behind `before` iterations; then the rest. */
static void run_cut(unsigned operation, unsigned size_bits, unsigned before)
{
    const char *name = operations[operation].name;
    unsigned size = 1u << size_bits;
    /* One memory by two addresses: MOVS and CMPS find it equal, SCAS finds what STOS left. */
    struct rep_state s = {.rcx = CUT_COUNT,
                          .rsi = BUFFER_BASE + PAGE_2M - before * size,
                          .rdi = ABSENT - before * size,
                          .flags = 2,
                          .offset =
                              (uint32_t)(uintptr_t)rep_stubs_64 + (operation * 4 + size_bits) * STUB_SIZE,
                          .selector = CODE64};
    map(ABSENT - PAGE_2M, BUFFER_BASE | PRESENT);
    map(ABSENT, 0);
    faults = 0;
    rep_run(&s);
    report_rep(CUT_COUNT, false);
    same(name, faults, 1);
    same(name, left_at_fault, CUT_COUNT - before);
    same(name, s.rcx, 0);
    same(name, s.rdi, ABSENT + (CUT_COUNT - before) * size);
}

static void check_cut(void)
{
    uint64_t first = page_directories[(ABSENT - PAGE_2M) >> 21], second = page_directories[ABSENT >> 21];
    static const unsigned kinds[] = {0, 1, 4, 6}; /* MOVS, STOS, REPE CMPS, REPE SCAS */
    trap_hook = on_fault;
    for (unsigned size_bits = 0; size_bits < 4; size_bits++)
        for (unsigned before = 0; before < CUT_COUNT; before += CUT_COUNT / 2 - 1)
            for (unsigned i = 0; i < ARRAY_LENGTH(kinds); i++)
                run_cut(kinds[i], size_bits, before);
    trap_hook = NULL;
    map(ABSENT - PAGE_2M, first);
    map(ABSENT, second);
}

void check_rep(void)
{
    run_stubs(CODE64, rep_stubs_64);
    run_stubs(CODE64, rep_stubs_64_a32);
    run_stubs(CODE32, rep_stubs_32);
    run_stubs(CODE32, rep_stubs_32_a16);
    run_low_stubs(rep_stubs_16);
    run_low_stubs(rep_stubs_16_a32);
    check_cut();
}
