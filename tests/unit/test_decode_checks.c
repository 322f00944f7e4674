/*
 * What Unicorn cannot show of the instruction executor: faults at every access leave everything as it was,
 * segment and canonical checks, LOCK, bounded REP, MOVBE, the choices of insn_exec.h, and INS and OUTS
 * against a plain model of one iteration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "arch/x86/decode/insn_exec.h"

/* ---- a machine with 64 KB of memory that logs accesses and can fault at the n-th ---------------------- */

struct machine {
    uint8_t memory[0x10000];
    struct insn_regs regs;
    struct insn insn;
    struct insn_result result;
    unsigned fault_at; /* the access (1, 2, ...) that faults; 0: none */
    unsigned accesses, reads, writes, ins, outs;
    uint32_t last_out;
    uint64_t last_linear;
};

static struct machine machine, before;

static bool access_memory(void *opaque, enum insn_access access, uint64_t linear, unsigned size,
                          uint64_t *value, struct insn_fault *fault)
{
    struct machine *m = opaque;

    m->last_linear = linear;
    if (++m->accesses == m->fault_at || linear > sizeof(m->memory) - size) {
        *fault = (struct insn_fault){
            .vector = INSN_VECTOR_PF, .has_error_code = true, .error_code = 2, .cr2 = linear};
        return false;
    }
    if (access == INSN_READ || access == INSN_READ_MODIFY) {
        m->reads++;
        memset(value, 0xEE, sizeof(*value)); /* the executor must not rely on the upper bytes */
        memcpy(value, m->memory + linear, size);
    } else if (access == INSN_WRITE) {
        m->writes++;
        memcpy(m->memory + linear, value, size);
    }
    return true;
}

static void access_port(void *opaque, bool is_in, uint16_t port, unsigned size, uint32_t *value)
{
    struct machine *m = opaque;

    if (is_in) {
        m->ins++;
        *value = 0x44332211u ^ port;
    } else {
        m->outs++;
        m->last_out = *value & (size == 4 ? UINT32_MAX : (1u << 8 * size) - 1);
    }
}

static const struct insn_bus bus = {access_memory, access_port, &machine};

/* Flat segments; gpr i is 1000h + 100h * i, but RCX 3; memory is a pattern. */
static void reset(enum insn_mode mode)
{
    memset(&machine, 0, sizeof(machine));
    for (unsigned i = 0; i < sizeof(machine.memory); i++)
        machine.memory[i] = (uint8_t)(i * 7 + (i >> 8));
    for (unsigned i = 0; i < 16; i++)
        machine.regs.gpr[i] = 0x1000 + 0x100 * i;
    machine.regs.gpr[INSN_RCX] = 3;
    machine.regs.rflags = 2;
    machine.regs.rip = 0x8000;
    machine.regs.protected_mode = true;
    for (unsigned i = 0; i < 6; i++)
        machine.regs.segments[i] =
            (struct insn_segment){.limit = mode == INSN_MODE_16 ? 0xFFFF : UINT32_MAX, .attributes = 0xC93};
    machine.regs.segments[INSN_CS].attributes = 0xC9B;
}

static void decode(const char *text, enum insn_mode mode)
{
    uint8_t bytes[16];
    size_t count = 0;

    for (; text[2 * count] != 0; count++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * count, "%2x", &byte), 1);
        bytes[count] = (uint8_t)byte;
    }
    assert_int_equal(insn_decode(bytes, count, mode, &machine.insn), INSN_OK);
    assert_int_equal(machine.insn.length, count);
}

static enum insn_status execute(const char *text, enum insn_mode mode)
{
    decode(text, mode);
    before = machine;
    insn_execute(&machine.regs, &machine.insn, &bus, 1, &machine.result);
    return machine.result.status;
}

static enum insn_status string_io(const char *text, enum insn_mode mode)
{
    decode(text, mode);
    before = machine;
    insn_string_io(&machine.regs, &machine.insn, &bus, &machine.result);
    return machine.result.status;
}

static void assert_unchanged(void)
{
    assert_memory_equal(&machine.regs, &before.regs, sizeof(machine.regs));
    assert_memory_equal(machine.memory, before.memory, sizeof(machine.memory));
}

static void assert_fault(unsigned vector)
{
    assert_int_equal(machine.result.status, INSN_FAULT);
    assert_int_equal(machine.result.fault.vector, vector);
    assert_unchanged();
}

/* ---- restart ------------------------------------------------------------------------------------------ */

static const char *const restartable[] = {
    "0103",   "0303",   "1003",   "FF03",   "FE0B",     "F713",         "F71B",   "0FAB0B", "0FBA2B05",
    "8703",   "0FC103", "0FB10B", "8903",   "8B03",     "C70301020304", "A4",     "F3A5",   "A7",
    "F3A6",   "AB",     "AC",     "AE",     "FF33",     "8F03",         "50",     "5B",     "6A01",
    "0FB603", "0F4403", "0F9403", "0FC303", "0F38F003", "0F38F103",     "A01122", "8F0424",
};

/* Whatever access faults: no register, flag or memory has changed, and no device was read (reads come after
 * all probes). */
static void test_fault_at_each_access(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(restartable); i++) {
        const char *text = restartable[i];
        enum insn_mode mode = strncmp(text, "A0", 2) == 0 ? INSN_MODE_16 : INSN_MODE_32;
        unsigned accesses;

        reset(mode);
        assert_true(execute(text, mode) <= INSN_CONTINUE);
        accesses = machine.accesses;
        assert_in_range(accesses, 1, 4);
        for (unsigned n = 1; n <= accesses; n++) {
            reset(mode);
            machine.fault_at = n;
            execute(text, mode);
            assert_fault(INSN_VECTOR_PF);
            assert_int_equal(machine.result.fault.error_code, 2);
            assert_int_equal(machine.result.fault.cr2, machine.last_linear);
        }
    }
}

/* A fault that could have been foreseen never comes after a read: MMIO reads have effects. */
static void test_probe_before_read(void **state)
{
    (void)state;
    reset(INSN_MODE_32);
    machine.regs.gpr[INSN_RDI] = 0x20000; /* no such memory */
    execute("A4", INSN_MODE_32);
    assert_fault(INSN_VECTOR_PF);
    assert_int_equal(machine.reads, 0);

    execute("A6", INSN_MODE_32);
    assert_fault(INSN_VECTOR_PF);
    assert_int_equal(machine.reads, 0);

    machine.regs.gpr[INSN_RSP] = 0x20000;
    execute("FF33", INSN_MODE_32);
    assert_fault(INSN_VECTOR_PF);
    assert_int_equal(machine.reads, 0);

    machine.regs.gpr[INSN_RSP] = 0x100;
    execute("8F07", INSN_MODE_32);
    assert_fault(INSN_VECTOR_PF);
    assert_int_equal(machine.reads, 0);
}

/* ---- REP ---------------------------------------------------------------------------------------------- */

static void test_rep_is_bounded(void **state)
{
    (void)state;
    reset(INSN_MODE_32);
    machine.regs.gpr[INSN_RCX] = 10;
    decode("F3AB", INSN_MODE_32);
    insn_execute(&machine.regs, &machine.insn, &bus, 4, &machine.result);
    assert_int_equal(machine.result.status, INSN_CONTINUE);
    assert_int_equal(machine.result.iterations, 4);
    assert_int_equal(machine.regs.gpr[INSN_RCX], 6);
    insn_execute(&machine.regs, &machine.insn, &bus, 0, &machine.result); /* 0 counts as 1 */
    assert_int_equal(machine.result.iterations, 1);
    insn_execute(&machine.regs, &machine.insn, &bus, 100, &machine.result);
    assert_int_equal(machine.result.status, INSN_DONE);
    assert_int_equal(machine.result.iterations, 5);
    assert_int_equal(machine.regs.gpr[INSN_RCX], 0);

    /* a fault keeps the iterations before it */
    reset(INSN_MODE_32);
    decode("F3AB", INSN_MODE_32);
    machine.fault_at = 3;
    insn_execute(&machine.regs, &machine.insn, &bus, 100, &machine.result);
    assert_int_equal(machine.result.status, INSN_FAULT);
    assert_int_equal(machine.result.iterations, 2);
    assert_int_equal(machine.regs.gpr[INSN_RCX], 1);
    assert_int_equal(machine.regs.gpr[INSN_RDI], 0x1700 + 8);
}

/* Choice 5: with a count of 0 nothing is touched, also where the narrow count hides a larger one. */
static void test_rep_zero(void **state)
{
    (void)state;
    reset(INSN_MODE_64);
    machine.regs.gpr[INSN_RCX] = UINT64_C(0x100000000);
    assert_int_equal(execute("67F3A4", INSN_MODE_64), INSN_DONE);
    assert_unchanged();
    assert_int_equal(machine.accesses, 0);
    assert_int_equal(string_io("67F36C", INSN_MODE_64), INSN_DONE);
    assert_unchanged();
    assert_int_equal(machine.ins, 0);
}

/* ---- segments and canonical addresses ----------------------------------------------------------------- */

struct segment_case {
    const char *text;
    enum insn_segment_name segment;
    uint32_t limit;
    uint16_t attributes;
    unsigned vector; /* 0: allowed */
};

static const struct segment_case segment_cases[] = {
    {"8803", INSN_DS, 0x1300, 0xC93, 0},              /* MOV [EBX],AL: the last byte */
    {"8903", INSN_DS, 0x1302, 0xC93, INSN_VECTOR_GP}, /* four bytes from 1300h */
    {"8903", INSN_DS, 0x1303, 0xC93, 0},
    {"8903", INSN_DS, UINT32_MAX, 0xC91, INSN_VECTOR_GP}, /* read-only data */
    {"8B03", INSN_DS, UINT32_MAX, 0xC91, 0},
    {"0103", INSN_DS, UINT32_MAX, 0xC91, INSN_VECTOR_GP}, /* read and write */
    {"3903", INSN_DS, UINT32_MAX, 0xC91, 0},              /* CMP only reads */
    {"8B03", INSN_DS, UINT32_MAX, 0xC99, INSN_VECTOR_GP}, /* execute-only code */
    {"8B03", INSN_DS, UINT32_MAX, 0xC9B, 0},
    {"8903", INSN_DS, UINT32_MAX, 0xC9B, INSN_VECTOR_GP},
    {"8B03", INSN_DS, UINT32_MAX, 0x000, INSN_VECTOR_GP}, /* null */
    {"8B4500", INSN_SS, 0x1500, 0xC93, INSN_VECTOR_SS},   /* [EBP]: SS */
    {"3E8B4500", INSN_SS, 0x1500, 0xC93, 0},              /* DS:[EBP] */
    {"8B03", INSN_DS, 0x12FF, 0xC97, 0},                  /* expand-down: above the limit */
    {"8B03", INSN_DS, 0x1300, 0xC97, INSN_VECTOR_GP},
    {"50", INSN_SS, 0x13FF, 0xC93, 0}, /* PUSH EAX at 13FCh */
    {"50", INSN_SS, 0x13FE, 0xC93, INSN_VECTOR_SS},
    {"58", INSN_SS, 0x1402, 0xC93, INSN_VECTOR_SS},
    {"A4", INSN_ES, 0x16FF, 0xC93, INSN_VECTOR_GP},
    {"AA", INSN_ES, UINT32_MAX, 0xC91, INSN_VECTOR_GP},
    {"AE", INSN_ES, UINT32_MAX, 0xC91, 0},
    {"64A4", INSN_FS, 0x15FF, 0xC93, INSN_VECTOR_GP},
    {"64A4", INSN_ES, UINT32_MAX, 0xC93, 0},
};

static void test_segment_checks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(segment_cases); i++) {
        const struct segment_case *c = &segment_cases[i];

        reset(INSN_MODE_32);
        machine.regs.segments[c->segment].limit = c->limit;
        machine.regs.segments[c->segment].attributes = c->attributes;
        execute(c->text, INSN_MODE_32);
        if (machine.result.status != (c->vector != 0 ? INSN_FAULT : INSN_DONE))
            printf("case %zu: %s\n", i, c->text);
        assert_int_equal(machine.result.status, c->vector != 0 ? INSN_FAULT : INSN_DONE);
        if (c->vector != 0) {
            assert_fault(c->vector);
            assert_true(machine.result.fault.has_error_code);
            assert_int_equal(machine.result.fault.error_code, 0);
            assert_int_equal(machine.accesses, 0);
        }
    }
}

/* An expand-down segment without D/B ends at 64 KB. */
static void test_expand_down_16(void **state)
{
    (void)state;
    reset(INSN_MODE_32);
    machine.regs.segments[INSN_DS] = (struct insn_segment){.limit = 0xFFF, .attributes = 0x097};
    machine.regs.gpr[INSN_RBX] = 0xFFFC;
    assert_int_equal(execute("8B03", INSN_MODE_32), INSN_DONE);
    machine.regs.gpr[INSN_RBX] = 0xFFFD;
    execute("8B03", INSN_MODE_32);
    assert_fault(INSN_VECTOR_GP);
}

/* Real mode: no types, faults push no error code, addresses add the base. */
static void test_real_mode(void **state)
{
    (void)state;
    reset(INSN_MODE_16);
    machine.regs.protected_mode = false;
    machine.regs.segments[INSN_CS] =
        (struct insn_segment){.base = 0x4000, .limit = 0xFFFF, .attributes = 0x09B};
    assert_int_equal(execute("2E8807", INSN_MODE_16), INSN_DONE); /* MOV CS:[BX],AL */
    assert_int_equal(machine.last_linear, 0x5300);
    machine.regs.gpr[INSN_RBX] = 0xFFFF;
    execute("8907", INSN_MODE_16);
    assert_fault(INSN_VECTOR_GP);
    assert_false(machine.result.fault.has_error_code);
    /* a 16-bit stack: only SP moves */
    reset(INSN_MODE_16);
    machine.regs.segments[INSN_SS].attributes = 0x093;
    machine.regs.gpr[INSN_RSP] = 0xABCD0000;
    machine.regs.segments[INSN_SS].limit = 0xFFFF;
    assert_int_equal(execute("50", INSN_MODE_16), INSN_DONE);
    assert_int_equal(machine.regs.gpr[INSN_RSP], 0xABCDFFFE);
    assert_int_equal(machine.last_linear, 0xFFFE);
}

static void test_canonical(void **state)
{
    (void)state;
    reset(INSN_MODE_64);
    machine.regs.gpr[INSN_RBX] = UINT64_C(0x00007FFFFFFFFFFD);
    execute("8B03", INSN_MODE_64); /* crosses into the hole */
    assert_fault(INSN_VECTOR_GP);
    machine.regs.gpr[INSN_RBX] = UINT64_C(0x0000800000000000);
    execute("8B03", INSN_MODE_64);
    assert_fault(INSN_VECTOR_GP);
    machine.regs.la57 = true;
    execute("8B03", INSN_MODE_64); /* canonical now, but there is no memory */
    assert_fault(INSN_VECTOR_PF);
    machine.regs.la57 = false;
    machine.regs.gpr[INSN_RBP] = UINT64_C(0x0000800000000000);
    execute("8B4500", INSN_MODE_64);
    assert_fault(INSN_VECTOR_SS);
    machine.regs.gpr[INSN_RSP] = UINT64_C(0xFFFF800000000000);
    execute("50", INSN_MODE_64);
    assert_fault(INSN_VECTOR_SS);
    /* limits, types and the bases of DS and ES don't count; FS's base does */
    reset(INSN_MODE_64);
    memset(machine.regs.segments, 0, sizeof(machine.regs.segments));
    machine.regs.segments[INSN_DS].base = 0x5555;
    machine.regs.segments[INSN_FS].base = 0x2000;
    assert_int_equal(execute("648B03", INSN_MODE_64), INSN_DONE);
    assert_int_equal(machine.last_linear, 0x3300);
    assert_int_equal(execute("3E8903", INSN_MODE_64), INSN_DONE);
    assert_int_equal(machine.last_linear, 0x1300);
    machine.regs.segments[INSN_GS].base = UINT64_C(0xFFFF800000000000);
    execute("658903", INSN_MODE_64);
    assert_fault(INSN_VECTOR_PF);
}

/* REX.B doesn't bring back a base that SIB says is absent; RIP-relative counts from the next instruction,
 * with 67h in 32 bits. */
static void test_addresses(void **state)
{
    (void)state;
    reset(INSN_MODE_64);
    machine.regs.gpr[13] = 0x7777;
    assert_int_equal(execute("418B042500200000", INSN_MODE_64), INSN_DONE);
    assert_int_equal(machine.last_linear, 0x2000);
    assert_int_equal(execute("C70500F0FFFF11223344", INSN_MODE_64), INSN_DONE);
    assert_int_equal(machine.last_linear, 0x8000 + 10 - 0x1000);
    machine.regs.rip = UINT64_C(0x100008000);
    assert_int_equal(execute("678B0500F0FFFF", INSN_MODE_64), INSN_DONE);
    assert_int_equal(machine.last_linear, 0x8000 + 7 - 0x1000);
}

/* ---- refusals and choices ----------------------------------------------------------------------------- */

static void test_lock(void **state)
{
    static const char *const allowed[] = {"F00103", "F0F71B",   "F0FF03",   "F00FAB0B",
                                          "F08703", "F00FC103", "F00FB10B", "F00FBA2B05"};
    static const char *const undefined[] = {"F08903", "F00303", "F03903", "F0F60301", "F00FA303",
                                            "F00FBA2305", "F0A4", "F08F03", "F050",
                                            /* not LOCK, but undefined all the same: BA /0, MOVNTI with 66 */
                                            "0FBA0305", "660FC303"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        reset(INSN_MODE_32);
        assert_int_equal(execute(allowed[i], INSN_MODE_32), INSN_DONE);
    }
    for (size_t i = 0; i < ARRAY_SIZE(undefined); i++) {
        reset(INSN_MODE_32);
        execute(undefined[i], INSN_MODE_32);
        assert_fault(INSN_VECTOR_UD);
        assert_false(machine.result.fault.has_error_code);
    }
    /* LOCK NEG has the flags of NEG */
    reset(INSN_MODE_32);
    execute("F61B", INSN_MODE_32);
    uint64_t flags = machine.regs.rflags;
    reset(INSN_MODE_32);
    execute("F0F61B", INSN_MODE_32);
    assert_int_equal(machine.regs.rflags, flags);
}

static void test_unsupported(void **state)
{
    static const char *const refused[] = {
        "0F1003", "F30F6F03", "0F6F03",     "C5FA6F03", "D900", "D1E0",   "D103", "F723",
        "0FC70B", "FF13",     "FF23",       "0FB21B",   "8E03", "0FAE03", "6C",   "D7",
        "0F0103", "C8000000", "F20F38F003", "CF",       "F4",   "90",     "C3",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        reset(INSN_MODE_32);
        assert_int_equal(execute(refused[i], INSN_MODE_32), INSN_UNSUPPORTED);
        assert_unchanged();
        assert_int_equal(machine.accesses, 0);
    }
    reset(INSN_MODE_32);
    assert_int_equal(execute("8BC3", INSN_MODE_32), INSN_UNSUPPORTED); /* register only */
    assert_int_equal(string_io("A4", INSN_MODE_32), INSN_UNSUPPORTED);
}

static void test_cmpxchg(void **state)
{
    (void)state;
    reset(INSN_MODE_64);
    memset(machine.memory + 0x1300, 0, 8);
    machine.regs.gpr[INSN_RAX] = UINT64_C(0xFFFFFFFF00000000);
    assert_int_equal(execute("0FB10B", INSN_MODE_64), INSN_DONE);
    assert_int_equal(machine.regs.gpr[INSN_RAX], UINT64_C(0xFFFFFFFF00000000));
    assert_int_equal(machine.memory[0x1300], 3);
    assert_int_equal(execute("0FB10B", INSN_MODE_64), INSN_DONE); /* fails now: old value written back */
    assert_int_equal(machine.regs.gpr[INSN_RAX], 3);
    assert_int_equal(machine.writes, 2);
    assert_int_equal(machine.regs.rflags & INSN_FLAG_ZF, 0);
}

static void test_movbe(void **state)
{
    (void)state;
    reset(INSN_MODE_64);
    memcpy(machine.memory + 0x1300, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
    assert_int_equal(execute("0F38F003", INSN_MODE_64), INSN_DONE);
    assert_int_equal(machine.regs.gpr[INSN_RAX], 0x11223344);
    assert_int_equal(execute("480F38F003", INSN_MODE_64), INSN_DONE);
    assert_int_equal(machine.regs.gpr[INSN_RAX], UINT64_C(0x1122334455667788));
    machine.regs.gpr[INSN_RCX] = 0xAABB;
    assert_int_equal(execute("660F38F10B", INSN_MODE_64), INSN_DONE);
    assert_memory_equal(machine.memory + 0x1300, "\xAA\xBB\x33", 3);
}

/* ---- INS and OUTS ------------------------------------------------------------------------------------- */

static void test_ins_outs(void **state)
{
    (void)state;
    reset(INSN_MODE_32);
    assert_int_equal(string_io("F36D", INSN_MODE_32), INSN_CONTINUE);
    assert_int_equal(machine.result.iterations, 1);
    assert_int_equal(machine.regs.gpr[INSN_RCX], 2);
    assert_int_equal(machine.regs.gpr[INSN_RDI], 0x1704);
    assert_int_equal(machine.ins, 1);
    assert_int_equal(string_io("F36D", INSN_MODE_32), INSN_CONTINUE);
    assert_int_equal(string_io("F36D", INSN_MODE_32), INSN_DONE);
    assert_int_equal(machine.ins, 3);
    uint32_t stored;
    memcpy(&stored, machine.memory + 0x1708, 4);
    assert_int_equal(stored, 0x44332211u ^ 0x1200);

    reset(INSN_MODE_32);
    machine.regs.rflags |= INSN_FLAG_DF;
    assert_int_equal(string_io("666F", INSN_MODE_32), INSN_DONE);
    assert_int_equal(machine.regs.gpr[INSN_RSI], 0x15FE);
    assert_int_equal(machine.regs.gpr[INSN_RCX], 3);
    assert_int_equal(machine.last_out, machine.memory[0x1600] | machine.memory[0x1601] << 8);

    reset(INSN_MODE_64); /* REX.W does nothing */
    assert_int_equal(string_io("486D", INSN_MODE_64), INSN_DONE);
    assert_int_equal(machine.regs.gpr[INSN_RDI], 0x1704);
}

/* A fault comes before the port is touched. */
static void test_ins_outs_faults(void **state)
{
    (void)state;
    reset(INSN_MODE_32);
    machine.regs.segments[INSN_ES].attributes = 0xC91;
    string_io("F36C", INSN_MODE_32);
    assert_fault(INSN_VECTOR_GP);
    reset(INSN_MODE_32);
    machine.regs.segments[INSN_DS].limit = 0x15FF;
    string_io("6E", INSN_MODE_32);
    assert_fault(INSN_VECTOR_GP);
    assert_int_equal(string_io("266E", INSN_MODE_32), INSN_DONE); /* ES:[ESI] is fine */
    reset(INSN_MODE_32);
    machine.regs.segments[INSN_SS].limit = 0;
    string_io("366E", INSN_MODE_32);
    assert_fault(INSN_VECTOR_SS);
    reset(INSN_MODE_32);
    machine.fault_at = 1;
    string_io("F36C", INSN_MODE_32);
    assert_fault(INSN_VECTOR_PF);
    assert_int_equal(machine.ins, 0);
    machine.fault_at = 2;
    string_io("F36E", INSN_MODE_32);
    assert_fault(INSN_VECTOR_PF);
    assert_int_equal(machine.outs, 0);
    reset(INSN_MODE_64);
    machine.regs.gpr[INSN_RDI] = UINT64_C(0x8000000000000000);
    string_io("6C", INSN_MODE_64);
    assert_fault(INSN_VECTOR_GP);
    string_io("F06C", INSN_MODE_64);
    assert_fault(INSN_VECTOR_UD);
}

static void test_mode_of(void **state)
{
    (void)state;
    assert_int_equal(insn_mode_of(true, 0xA9B), INSN_MODE_64);
    assert_int_equal(insn_mode_of(true, 0xC9B), INSN_MODE_32);
    assert_int_equal(insn_mode_of(false, 0xA9B), INSN_MODE_16);
    assert_int_equal(insn_mode_of(false, 0xC9B), INSN_MODE_32);
    assert_int_equal(insn_mode_of(false, 0x09B), INSN_MODE_16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_at_each_access),
        cmocka_unit_test(test_probe_before_read),
        cmocka_unit_test(test_rep_is_bounded),
        cmocka_unit_test(test_rep_zero),
        cmocka_unit_test(test_segment_checks),
        cmocka_unit_test(test_expand_down_16),
        cmocka_unit_test(test_real_mode),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_cmpxchg),
        cmocka_unit_test(test_movbe),
        cmocka_unit_test(test_ins_outs),
        cmocka_unit_test(test_ins_outs_faults),
        cmocka_unit_test(test_mode_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
