// LIBS: -lunicorn
/*
 * The instruction executor against Unicorn (QEMU's translator): random instructions of every supported form,
 * random prefixes, registers and memory, in 64-, 32- and 16-bit mode; registers, defined flags and memory
 * must come out the same. INS and OUTS likewise, the port being a counter on both sides. EXEC_CASES=N sets
 * the number of cases (default 300,000), EXEC_SEED=N the seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/exec_machine.h"

/* ---- instructions ------------------------------------------------------------------------------------- */

enum kind { KIND_PLAIN, KIND_LOGIC, KIND_BIT, KIND_BIT_REGISTER, KIND_STRING, KIND_PORT };

struct form {
    uint8_t map; /* enum insn_map */
    uint8_t first, last;
    int8_t member; /* ModRM.reg, or -1 for any */
    bool has_modrm;
    bool lockable;
    enum kind kind;
};

/* clang-format off */
/* LOCK NEG is left to test_decode_checks.c: Unicorn 2.0.1 computes its flags
 * from the wrong operand; an EPYC gives those of NEG. */
static const struct form forms[] = {
    {0, 0x00, 0x01, -1, true, true, KIND_PLAIN},  {0, 0x02, 0x03, -1, true, false, KIND_PLAIN},  /* ADD */
    {0, 0x08, 0x09, -1, true, true, KIND_LOGIC},  {0, 0x0A, 0x0B, -1, true, false, KIND_LOGIC},  /* OR */
    {0, 0x10, 0x11, -1, true, true, KIND_PLAIN},  {0, 0x12, 0x13, -1, true, false, KIND_PLAIN},  /* ADC */
    {0, 0x18, 0x19, -1, true, true, KIND_PLAIN},  {0, 0x1A, 0x1B, -1, true, false, KIND_PLAIN},  /* SBB */
    {0, 0x20, 0x21, -1, true, true, KIND_LOGIC},  {0, 0x22, 0x23, -1, true, false, KIND_LOGIC},  /* AND */
    {0, 0x28, 0x29, -1, true, true, KIND_PLAIN},  {0, 0x2A, 0x2B, -1, true, false, KIND_PLAIN},  /* SUB */
    {0, 0x30, 0x31, -1, true, true, KIND_LOGIC},  {0, 0x32, 0x33, -1, true, false, KIND_LOGIC},  /* XOR */
    {0, 0x38, 0x3B, -1, true, false, KIND_PLAIN},                                                /* CMP */
    {0, 0x50, 0x5F, -1, false, false, KIND_PLAIN}, {0, 0x68, 0x68, -1, false, false, KIND_PLAIN}, /* PUSH, POP */
    {0, 0x6A, 0x6A, -1, false, false, KIND_PLAIN}, {0, 0x8F, 0x8F, 0, true, false, KIND_PLAIN},
    {0, 0xFF, 0xFF, 6, true, false, KIND_PLAIN},
    {0, 0x63, 0x63, -1, true, false, KIND_PLAIN},                                                /* MOVSXD */
    {0, 0x80, 0x81, -1, true, false, KIND_LOGIC}, {0, 0x83, 0x83, -1, true, false, KIND_LOGIC},  /* group 1 */
    {0, 0x84, 0x85, -1, true, false, KIND_LOGIC}, {0, 0x86, 0x87, -1, true, true, KIND_PLAIN},   /* TEST, XCHG */
    {0, 0x88, 0x8B, -1, true, false, KIND_PLAIN}, {0, 0xA0, 0xA3, -1, false, false, KIND_PLAIN}, /* MOV */
    {0, 0xC6, 0xC7, 0, true, false, KIND_PLAIN},
    {0, 0xA4, 0xA7, -1, false, false, KIND_STRING}, {0, 0xAA, 0xAF, -1, false, false, KIND_STRING},
    {0, 0x6C, 0x6F, -1, false, false, KIND_PORT},
    {0, 0xF6, 0xF7, 0, true, false, KIND_LOGIC},                                                 /* TEST imm */
    {0, 0xF6, 0xF7, 2, true, true, KIND_PLAIN}, {0, 0xF6, 0xF7, 3, true, false, KIND_PLAIN},     /* NOT, NEG: see below */
    {0, 0xFE, 0xFF, 0, true, true, KIND_PLAIN}, {0, 0xFE, 0xFF, 1, true, true, KIND_PLAIN},      /* INC, DEC */
    {1, 0x40, 0x4F, -1, true, false, KIND_PLAIN}, {1, 0x90, 0x9F, -1, true, false, KIND_PLAIN},  /* CMOVcc, SETcc */
    {1, 0xA3, 0xA3, -1, true, false, KIND_BIT_REGISTER}, {1, 0xAB, 0xAB, -1, true, true, KIND_BIT_REGISTER},
    {1, 0xB3, 0xB3, -1, true, true, KIND_BIT_REGISTER}, {1, 0xBB, 0xBB, -1, true, true, KIND_BIT_REGISTER},
    {1, 0xBA, 0xBA, 4, true, false, KIND_BIT}, {1, 0xBA, 0xBA, 5, true, true, KIND_BIT},
    {1, 0xBA, 0xBA, 6, true, true, KIND_BIT}, {1, 0xBA, 0xBA, 7, true, true, KIND_BIT},
    {1, 0xB0, 0xB1, -1, true, true, KIND_PLAIN}, {1, 0xC0, 0xC1, -1, true, true, KIND_PLAIN},    /* CMPXCHG, XADD */
    {1, 0xB6, 0xB7, -1, true, false, KIND_PLAIN}, {1, 0xBE, 0xBF, -1, true, false, KIND_PLAIN},  /* MOVZX, MOVSX */
    {1, 0xC3, 0xC3, -1, true, false, KIND_PLAIN},                                                /* MOVNTI */
};
/* clang-format on */

static unsigned put_prefixes(uint8_t *bytes, const struct form *form, bool is_64)
{
    static const uint8_t segments[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};
    unsigned n = 0;

    if (below(4) == 0 && !(form->map == 1 && form->first == 0xC3))
        bytes[n++] = 0x66;
    if (below(4) == 0)
        bytes[n++] = 0x67;
    if (below(4) == 0)
        bytes[n++] = segments[below(6)];
    if (form->lockable && below(4) == 0)
        bytes[n++] = 0xF0;
    if ((form->kind == KIND_STRING || form->kind == KIND_PORT) && below(2) == 0)
        bytes[n++] = below(2) ? 0xF2 : 0xF3;
    if (is_64 && below(2) == 0) /* Unicorn refuses C6 and C7 with REX.R; hardware ignores it */
        bytes[n++] = (uint8_t)((0x40 | below(16)) & (form->first == 0xC6 ? ~4u : ~0u));
    return n;
}

static void make_instruction(uint8_t *bytes, const struct form *form, bool is_64)
{
    unsigned n = put_prefixes(bytes, form, is_64);

    if (form->map == 1)
        bytes[n++] = 0x0F;
    bytes[n++] = (uint8_t)(form->first + below(form->last - form->first + 1u));
    if (form->has_modrm) {
        unsigned member = form->member >= 0 ? (unsigned)form->member : below(8);
        bytes[n++] = (uint8_t)(below(3) << 6 | member << 3 | below(8));
    }
    while (n < INSN_MAX_LENGTH)
        bytes[n++] = (uint8_t)random_number();
}

/* A place in guest memory, as an offset that the mode and the address size can hold. */
static uint64_t some_offset(const struct insn *insn)
{
    return insn->mode == INSN_MODE_16 || insn->address_size == 2 ? 0x2000u + below(0x4000)
                                                                 : 0x80000u + below(0x40000);
}

/* Overwrites the displacement so that the operand is likely to lie in guest memory. */
static void aim_displacement(uint8_t *bytes, const struct insn *insn, uint64_t rip)
{
    uint8_t *at = bytes + insn->length - insn->immediate_size - insn->displacement_size;
    uint64_t value = below(0x1000) - UINT64_C(0x800);

    if (insn->displacement_size < 2)
        return;
    if (insn->rip_relative)
        value = some_offset(insn) - (rip + insn->length);
    else if (!insn->has_modrm || insn->base == INSN_NO_GPR)
        value = some_offset(insn);
    memcpy(at, &value, insn->displacement_size);
}

static void make_registers(struct insn_regs *regs, const struct insn *insn, enum kind kind)
{
    bool is_64 = insn->mode == INSN_MODE_64;
    /* With a narrow address size, the part of the register above it must not matter. */
    uint64_t above = insn->address_size == 8   ? 0
                     : insn->address_size == 4 ? ~UINT64_C(0xFFFFFFFF)
                                               : ~UINT64_C(0xFFFF);

    for (unsigned i = 0; i < 16; i++) {
        regs->gpr[i] = random_number() >> (below(4) == 0 ? below(64) : 0);
        if (below(16) == 0)
            regs->gpr[i] = below(2) ? 0 : UINT64_MAX;
    }
    if (below(4) == 0)
        regs->gpr[INSN_RAX] &= ~UINT64_C(0xFFFFFFFF);
    if (kind == KIND_BIT_REGISTER && insn->operand_size > 2)
        regs->gpr[insn->reg] = (uint64_t)(int64_t)((int)below(0x8000) - 0x4000);
    if (insn->index != INSN_NO_GPR)
        regs->gpr[insn->index] = below(0x200) | (random_number() & above);
    if (insn->base != INSN_NO_GPR)
        regs->gpr[insn->base] = some_offset(insn) | (random_number() & above);
    regs->gpr[INSN_RSP] = insn->mode == INSN_MODE_16
                              ? (random_number() & ~UINT64_C(0xFFFF)) | (0x2000u + below(0x4000))
                              : 0x80000u + below(0x40000);
    if (kind == KIND_STRING || kind == KIND_PORT) {
        regs->gpr[INSN_RSI] = some_offset(insn) | (random_number() & above);
        regs->gpr[INSN_RDI] = some_offset(insn) | (random_number() & above);
        regs->gpr[INSN_RCX] = below(6) | (random_number() & above);
    }
    for (unsigned i = 0; i < 16; i++)
        regs->gpr[i] = is_64 ? regs->gpr[i] : i < 8 ? regs->gpr[i] & UINT32_MAX : 0;
    regs->rflags = 2 | (random_number() & (INSN_FLAGS_STATUS | INSN_FLAG_DF));
}

static void make_segments(struct insn_regs *regs, enum insn_mode mode)
{
    memset(regs->segments, 0, sizeof(regs->segments));
    regs->protected_mode = mode != INSN_MODE_16;
    for (unsigned i = 0; i < 6; i++) {
        struct insn_segment *segment = &regs->segments[i];

        segment->limit = mode == INSN_MODE_16 ? 0xFFFF : UINT32_MAX;
        segment->attributes = mode == INSN_MODE_16 ? 0x093 : 0xC93;
        if (mode == INSN_MODE_16 && i != INSN_CS)
            segment->base = UINT64_C(16) * below(0x8000);
    }
    if (mode == INSN_MODE_32)
        regs->segments[INSN_CS].attributes = 0xC9B;
    if (mode == INSN_MODE_64) {
        regs->segments[INSN_FS].base = 0x100000 + below(0x10000);
        regs->segments[INSN_GS].base = 0x200000 + below(0x10000);
    }
}

/* ---- comparison --------------------------------------------------------------------------------------- */

static uint64_t defined_flags(const struct insn *insn, enum kind kind)
{
    if (kind == KIND_BIT || kind == KIND_BIT_REGISTER)
        return INSN_FLAG_CF | INSN_FLAG_ZF;
    if (kind == KIND_LOGIC) /* group 1 holds arithmetic too */
        return insn->opcode <= 0x83 && insn->opcode >= 0x80 && (0xAD & 1 << (insn->modrm >> 3 & 7))
                   ? INSN_FLAGS_STATUS
                   : INSN_FLAGS_STATUS & ~INSN_FLAG_AF;
    return INSN_FLAGS_STATUS;
}

static void show_writes(const char *whose, const struct writes *writes)
{
    for (unsigned i = 0; i < writes->count; i++)
        printf("  %s write of %u bytes at %lx\n", whose, writes->size[i], writes->address[i]);
}

static void show_case(const struct machine *machine, const uint8_t *bytes, const struct insn *insn,
                      const struct insn_regs *before, const struct insn_regs *ours,
                      const struct insn_regs *theirs)
{
    static const char *const names[] = {"16", "32", "64"};

    printf("mode %s:", names[machine->mode]);
    for (unsigned i = 0; i < insn->length; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
    for (unsigned i = 0; i < 16; i++)
        printf("  gpr %2u before %016lx ours %016lx theirs %016lx%s\n", i, before->gpr[i], ours->gpr[i],
               theirs->gpr[i], ours->gpr[i] != theirs->gpr[i] ? " <--" : "");
    printf("  rflags before %lx ours %lx theirs %lx\n", before->rflags, ours->rflags, theirs->rflags);
    show_writes("our", &machine->our_writes);
    show_writes("their", &machine->their_writes);
}

static bool memory_agrees(struct machine *machine, const struct writes *writes)
{
    for (unsigned i = 0; i < writes->count; i++)
        if (memcmp(machine->our_memory + writes->address[i], machine->their_memory + writes->address[i],
                   writes->size[i]) != 0)
            return false;
    return true;
}

/* Runs the executor to the end of the instruction, a REP in portions. False: it faulted or refused. */
static bool run_ours(struct machine *machine, const struct insn *insn, struct insn_regs *regs, enum kind kind)
{
    const struct insn_bus bus = {.memory = our_access, .port = our_port, .opaque = machine};
    struct insn_result result;

    do {
        if (kind == KIND_PORT)
            insn_string_io(regs, insn, &bus, &result);
        else
            insn_execute(regs, insn, &bus, 1 + below(3), &result);
        assert_int_not_equal(result.status, INSN_UNSUPPORTED);
        assert_true(result.status != INSN_CONTINUE || result.iterations >= 1);
    } while (result.status == INSN_CONTINUE);
    return result.status == INSN_DONE;
}

static void undo_our_writes(struct machine *machine)
{
    for (unsigned i = 0; i < machine->our_writes.count; i++) {
        uint64_t address = machine->our_writes.address[i];
        memcpy(machine->our_memory + address, machine->their_memory + address, machine->our_writes.size[i]);
    }
}

/* One case; false if the operand missed guest memory. */
static bool run_case(struct machine *machine)
{
    const struct form *form = &forms[below(ARRAY_SIZE(forms))];
    bool is_64 = machine->mode == INSN_MODE_64;
    struct insn_regs before = {0}, ours, theirs = {0};
    uint8_t bytes[INSN_MAX_LENGTH + 1] = {0};
    struct insn insn;

    if (form->first == 0x63 && !is_64)
        return false;
    make_instruction(bytes, form, is_64);
    assert_int_equal(insn_decode(bytes, INSN_MAX_LENGTH, machine->mode, &insn), INSN_OK);
    machine->code = machine->mode == INSN_MODE_16 ? CODE_BASE_16 + (machine->code + 16) % 0x1000
                                                  : CODE_BASE + (machine->code + 16) % 0x100000;
    aim_displacement(bytes, &insn, machine->code);
    assert_int_equal(insn_decode(bytes, INSN_MAX_LENGTH, machine->mode, &insn), INSN_OK);
    make_registers(&before, &insn, form->kind);
    make_segments(&before, machine->mode);
    before.rip = machine->code;

    machine->our_writes.count = machine->their_writes.count = 0;
    machine->our_ports = machine->their_ports = (struct ports){.counter = 1};
    ours = before;
    if (!run_ours(machine, &insn, &ours, form->kind)) {
        undo_our_writes(machine);
        return false;
    }
    load_their_registers(machine, &before);
    check(uc_mem_write(machine->uc, machine->code, bytes, insn.length));
    check(uc_ctl_remove_cache(machine->uc, machine->code, machine->code + 16u));
    uc_err error = uc_emu_start(machine->uc, machine->code, machine->code + insn.length, 0, 0);
    store_their_registers(machine, &theirs);

    /* CMPXCHG, 32 bits, that succeeds: an EPYC leaves RAX alone (insn_exec.h, choice 3), Unicorn clears its
     * upper half. */
    if (insn.map == INSN_MAP_0F && insn.opcode == 0xB1 && insn.operand_size == 4 &&
        (theirs.rflags & INSN_FLAG_ZF))
        theirs.gpr[INSN_RAX] = before.gpr[INSN_RAX];

    uint64_t flags = defined_flags(&insn, form->kind);
    bool same =
        memcmp(ours.gpr, theirs.gpr, sizeof(ours.gpr)) == 0 && ((ours.rflags ^ theirs.rflags) & flags) == 0 &&
        (ours.rflags & ~(uint64_t)INSN_FLAGS_STATUS) == (before.rflags & ~(uint64_t)INSN_FLAGS_STATUS) &&
        memory_agrees(machine, &machine->our_writes) && memory_agrees(machine, &machine->their_writes) &&
        memcmp(&machine->our_ports, &machine->their_ports, sizeof(struct ports)) == 0 &&
        ours.rip == before.rip;
    if (!same || error != UC_ERR_OK)
        show_case(machine, bytes, &insn, &before, &ours, &theirs);
    check(error);
    assert_true(same);
    return true;
}

static void run_mode(enum insn_mode mode, unsigned share)
{
    uint64_t cases = from_environment("EXEC_CASES", 300000) * share / 4;
    uint64_t compared = 0;
    struct machine machine;

    random_state = from_environment("EXEC_SEED", 7) * 3 + (uint64_t)mode + 1;
    machine_open(&machine, mode);
    for (uint64_t i = 0; i < cases; i++)
        compared += run_case(&machine);
    machine_close(&machine);
    printf("%lu of %lu cases compared\n", compared, cases);
    assert_true(compared > cases / 2);
}

static void test_64(void **state)
{
    (void)state;
    run_mode(INSN_MODE_64, 2);
}

static void test_32(void **state)
{
    (void)state;
    run_mode(INSN_MODE_32, 1);
}

static void test_16(void **state)
{
    (void)state;
    run_mode(INSN_MODE_16, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_64),
        cmocka_unit_test(test_32),
        cmocka_unit_test(test_16),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
