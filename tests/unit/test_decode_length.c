// LIBS: -lZydis
/*
 * The instruction decoder against Zydis: random and structured byte strings in each mode. Whatever Zydis
 * calls valid must be valid with the same length and, for the legacy encoding, the same fields. 4,000,000
 * strings (a million a mode) by default; DECODE_STRINGS=N sets another total, DECODE_SEED=N another seed.
 * Also pins the choices listed in insn.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <Zydis/Zydis.h>
#include "arch/x86/decode/insn.h"

#define STRING_LENGTH 20 /* longer than any instruction, so that too long ones are seen */

static uint64_t random_state;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545F4914F6CDD1D);
}

static unsigned random_below(unsigned limit)
{
    return (unsigned)((random_number() >> 33) % limit);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

struct mode_pair {
    const char *name;
    enum insn_mode mode;
    ZydisMachineMode machine;
    ZydisStackWidth stack;
    bool amd_branches;
};

static const struct mode_pair modes[] = {
    {"16", INSN_MODE_16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16, true},
    {"32", INSN_MODE_32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32, true},
    {"64 (AMD)", INSN_MODE_64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, true},
    {"64 (Intel)", INSN_MODE_64_INTEL, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, false},
};

struct tally {
    unsigned long both_valid;
    unsigned long both_invalid;
    unsigned long only_ours; /* undefined forms of a defined opcode: choice 2 and 3 */
    unsigned long truncated;
    unsigned long excluded;
};

/* ---- strings ------------------------------------------------------------------------------------------ */

static const uint8_t prefix_bytes[] = {0x66, 0x66, 0x67, 0xF2, 0xF3, 0xF0, 0x2E, 0x36,
                                       0x3E, 0x26, 0x64, 0x65, 0x40, 0x48, 0x4F};

static unsigned put_map(uint8_t *bytes, bool is_64)
{
    unsigned n = 0;

    switch (random_below(10)) {
    case 0:
    case 1:
    case 2:
        break;
    case 3:
    case 4:
        bytes[n++] = 0x0F;
        break;
    case 5:
        bytes[n++] = 0x0F;
        bytes[n++] = random_below(2) ? 0x38 : 0x3A;
        break;
    case 6:
        bytes[n++] = 0xC5;
        bytes[n++] = (uint8_t)(random_number() | (is_64 ? 0 : 0xC0));
        break;
    case 7:
        bytes[n++] = 0xC4;
        bytes[n++] = (uint8_t)((random_number() & 0xE0) | (is_64 ? 0 : 0xC0) | (1 + random_below(3)));
        bytes[n++] = (uint8_t)random_number();
        break;
    case 8:
        bytes[n++] = 0x8F;
        bytes[n++] = (uint8_t)((random_number() & 0xE0) | (8 + random_below(3)));
        bytes[n++] = (uint8_t)random_number();
        break;
    default:
        bytes[n++] = 0x62;
        bytes[n++] = (uint8_t)((random_number() & 0xF0) | (is_64 ? 0 : 0xC0) | (1 + random_below(6)));
        bytes[n++] = (uint8_t)(random_number() | 4);
        bytes[n++] = (uint8_t)random_number();
        break;
    }
    return n;
}

static void make_string(uint8_t *bytes, bool is_64)
{
    unsigned n = 0;

    for (unsigned i = 0; i < STRING_LENGTH; i++)
        bytes[i] = (uint8_t)(random_number() >> 40);
    if (random_below(3) == 0)
        return;
    unsigned prefixes = random_below(16) == 0 ? random_below(14) : random_below(4);
    while (n < prefixes)
        bytes[n++] = prefix_bytes[random_below(sizeof(prefix_bytes))];
    if (is_64 && random_below(3) == 0)
        bytes[n++] = (uint8_t)(0x40 | random_below(16));
    if (n + 5 < STRING_LENGTH)
        put_map(bytes + n, is_64);
}

/* ---- comparison --------------------------------------------------------------------------------------- */

static void fail_string(const char *what, const struct mode_pair *pair, const uint8_t *bytes)
{
    printf("%s: mode %s:", what, pair->name);
    for (unsigned i = 0; i < STRING_LENGTH; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
    fail();
}

/* Outside what Verge's hosts can execute (insn.h, choice 5). */
static bool is_excluded(const ZydisDecodedInstruction *theirs)
{
    ZydisISAExt extension = theirs->meta.isa_ext;

    return theirs->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX || extension == ZYDIS_ISA_EXT_PADLOCK ||
           extension == ZYDIS_ISA_EXT_KNC || extension == ZYDIS_ISA_EXT_KNCE ||
           extension == ZYDIS_ISA_EXT_KNCV ||
           (theirs->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
            theirs->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT);
}

static void compare_fields(const struct mode_pair *pair, const uint8_t *bytes, const struct insn *ours,
                           const ZydisDecodedInstruction *theirs)
{
    bool has_modrm = (theirs->attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;

    if (ours->opcode != theirs->opcode && theirs->opcode_map != ZYDIS_OPCODE_MAP_0F0F)
        fail_string("opcode", pair, bytes);
    if (ours->has_modrm != has_modrm)
        fail_string("presence of ModRM", pair, bytes);
    /* MPX ignores 67h. */
    if (ours->has_memory && ours->address_size * 8 != theirs->address_width &&
        theirs->meta.isa_ext != ZYDIS_ISA_EXT_MPX)
        fail_string("address size", pair, bytes);
    if (has_modrm &&
        ours->modrm != (theirs->raw.modrm.mod << 6 | theirs->raw.modrm.reg << 3 | theirs->raw.modrm.rm))
        fail_string("ModRM", pair, bytes);
    if (ours->displacement_size * 8 != theirs->raw.disp.size ||
        (ours->displacement_size != 0 && ours->displacement_size != 8 &&
         !(theirs->opcode >= 0xA0 && theirs->opcode <= 0xA3) && ours->displacement != theirs->raw.disp.value))
        fail_string("displacement", pair, bytes);
    if (ours->immediate_size * 8 != theirs->raw.imm[0].size)
        fail_string("immediate size", pair, bytes);
    uint64_t mask = ours->immediate_size == 8 ? UINT64_MAX : (UINT64_C(1) << ours->immediate_size * 8) - 1;
    if (((uint64_t)ours->immediate & mask) != (theirs->raw.imm[0].value.u & mask))
        fail_string("immediate", pair, bytes);
    if (ours->immediate2 != (theirs->raw.imm[1].size != 0 ? theirs->raw.imm[1].value.u & 0xFFFF : 0))
        fail_string("second immediate", pair, bytes);
}

static uint8_t gpr_of(ZydisRegister reg)
{
    ZyanI8 id = ZydisRegisterGetId(reg);
    ZydisRegisterClass class = ZydisRegisterGetClass(reg);

    if (class != ZYDIS_REGCLASS_GPR16 && class != ZYDIS_REGCLASS_GPR32 && class != ZYDIS_REGCLASS_GPR64)
        return INSN_NO_GPR;
    return (uint8_t)id;
}

/* A general register named by ModRM.reg or by the opcode, in the primary map: as wide as the operand size,
 * but for segment moves. */
static bool shows_operand_size(const ZydisDecodedInstruction *theirs, const ZydisDecodedOperand *operand)
{
    return theirs->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && theirs->opcode != 0x63 &&
           operand->type == ZYDIS_OPERAND_TYPE_REGISTER && gpr_of(operand->reg.value) != INSN_NO_GPR &&
           (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG ||
            operand->encoding == ZYDIS_OPERAND_ENCODING_OPCODE);
}

/* The ModRM memory operand with its registers, scale and effective segment. */
static void compare_operands(const struct mode_pair *pair, const uint8_t *bytes, const struct insn *ours,
                             const ZydisDecodedInstruction *theirs, const ZydisDecodedOperand *operands)
{
    for (unsigned i = 0; i < theirs->operand_count_visible; i++) {
        const ZydisDecodedOperand *operand = &operands[i];

        if (shows_operand_size(theirs, operand) && ours->operand_size * 8 != operand->size)
            fail_string("operand size", pair, bytes);
        if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY ||
            operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
            continue;
        /* Zydis 4.0.0 makes REX.B turn "no base" into R13 there; the SDM, AMD and binutils don't
         * (test_decode_exec: Unicorn neither). */
        if (theirs->raw.modrm.mod == 0 && (ours->sib & 7) == 5 && (ours->prefix.rex & 1))
            continue;
        bool rip = operand->mem.base == ZYDIS_REGISTER_RIP || operand->mem.base == ZYDIS_REGISTER_EIP;
        if (!ours->has_memory || ours->rip_relative != rip || ours->base != gpr_of(operand->mem.base))
            fail_string("memory base", pair, bytes);
        if (operand->mem.type == ZYDIS_MEMOP_TYPE_MIB || theirs->meta.isa_ext == ZYDIS_ISA_EXT_AMX_TILE)
            continue;
        if (ours->index != gpr_of(operand->mem.index) ||
            (ours->index != INSN_NO_GPR && ours->scale != operand->mem.scale))
            fail_string("memory index", pair, bytes);
        if (theirs->attributes &
            ZYDIS_ATTRIB_HAS_NOTRACK) /* 3E before a near indirect branch: no DS override to Zydis */
            continue;
        if (operand->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
            ours->segment != ZydisRegisterGetId(operand->mem.segment))
            fail_string("segment", pair, bytes);
    }
}

static void compare(const struct mode_pair *pair, const ZydisDecoder *decoder, const uint8_t *bytes,
                    size_t available, struct tally *tally)
{
    uint8_t *exact = malloc(available + 1); /* the sanitizer guards its end */
    ZydisDecodedInstruction theirs;
    ZydisDecoderContext context;
    struct insn ours;

    memcpy(exact, bytes, available);
    enum insn_decode_status status = insn_decode(exact, available, pair->mode, &ours);
    free(exact);
    ZyanStatus their_status = ZydisDecoderDecodeInstruction(decoder, &context, bytes, available, &theirs);

    if (status == INSN_OK && (ours.length == 0 || ours.length > MIN(available, INSN_MAX_LENGTH)))
        fail_string("length out of range", pair, bytes);
    bool is_knc_branch =
        ours.encoding == INSN_VEX && (ours.opcode & 0xFE) == 0x84; /* with a displacement, to Zydis */
    if (ZYAN_SUCCESS(their_status)) {
        if (is_excluded(&theirs)) {
            tally->excluded++;
            return;
        }
        if (status != INSN_OK)
            fail_string("valid, but refused", pair, bytes);
        if (ours.length != theirs.length)
            fail_string("length", pair, bytes);
        if (theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
            ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

            compare_fields(pair, bytes, &ours, &theirs);
            if (!ZYAN_SUCCESS(
                    ZydisDecoderDecodeOperands(decoder, &context, &theirs, operands, theirs.operand_count)))
                fail_string("Zydis' operands", pair, bytes);
            compare_operands(pair, bytes, &ours, &theirs, operands);
        }
        tally->both_valid++;
    } else if (their_status == ZYDIS_STATUS_NO_MORE_DATA) {
        if (status == INSN_OK && !is_knc_branch)
            fail_string("truncated, but accepted", pair, bytes);
        tally->truncated++;
    } else if (their_status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) {
        if (status == INSN_OK && !is_knc_branch)
            fail_string("too long, but accepted", pair, bytes);
        tally->both_invalid++;
    } else if (status == INSN_OK) {
        tally->only_ours++;
    } else {
        tally->both_invalid++;
    }
}

static void run_mode(const struct mode_pair *pair)
{
    uint64_t strings = from_environment("DECODE_STRINGS", 4000000) / 4;
    struct tally tally = {0};
    ZydisDecoder decoder;

    random_state = from_environment("DECODE_SEED", 20) * 4 + (uint64_t)pair->mode + 1;
    assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&decoder, pair->machine, pair->stack)));
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, pair->amd_branches);
    for (uint64_t i = 0; i < strings; i++) {
        uint8_t bytes[STRING_LENGTH];

        make_string(bytes, insn_mode_is_64(pair->mode));
        compare(pair, &decoder, bytes, random_below(8) == 0 ? random_below(STRING_LENGTH + 1) : STRING_LENGTH,
                &tally);
    }
    printf(
        "mode %s: %lu valid, %lu undefined, %lu truncated, %lu undefined but with a length, %lu left out\n",
        pair->name, tally.both_valid, tally.both_invalid, tally.truncated, tally.only_ours, tally.excluded);
    assert_true(tally.both_valid > strings / 4);
}

static void test_mode_16(void **state)
{
    (void)state;
    run_mode(&modes[0]);
}

static void test_mode_32(void **state)
{
    (void)state;
    run_mode(&modes[1]);
}

static void test_mode_64_amd(void **state)
{
    (void)state;
    run_mode(&modes[2]);
}

static void test_mode_64_intel(void **state)
{
    (void)state;
    run_mode(&modes[3]);
}

/* ---- properties and choices --------------------------------------------------------------------------- */

/* Every proper prefix of a valid instruction is truncated, and nothing behind it matters. */
static void test_truncation(void **state)
{
    (void)state;
    random_state = 99;
    for (unsigned i = 0; i < 50000; i++) {
        enum insn_mode mode = (enum insn_mode)(i & 3);
        uint8_t bytes[STRING_LENGTH];
        struct insn insn, other;

        make_string(bytes, insn_mode_is_64(mode));
        if (insn_decode(bytes, STRING_LENGTH, mode, &insn) != INSN_OK)
            continue;
        for (unsigned available = 0; available < insn.length; available++) {
            assert_int_equal(insn_decode(bytes, available, mode, &other), INSN_TRUNCATED);
            assert_int_equal(insn_next_length(bytes, available, mode), 0);
        }
        for (unsigned j = insn.length; j < STRING_LENGTH; j++)
            bytes[j] ^= 0x5A;
        assert_int_equal(insn_decode(bytes, insn.length, mode, &other), INSN_OK);
        assert_memory_equal(&insn, &other, sizeof(insn));
        assert_int_equal(insn_next_length(bytes, STRING_LENGTH, mode), insn.length);
    }
}

struct known {
    const char *bytes; /* hexadecimal */
    enum insn_mode mode;
    unsigned length; /* 0: undefined */
};

static const struct known known[] = {
    /* what the monitor steps over */
    {"0FA2", INSN_MODE_64, 2},     /* CPUID */
    {"660FA2", INSN_MODE_64, 3},   /* CPUID with an idle prefix */
    {"0F32", INSN_MODE_32, 2},     /* RDMSR */
    {"F4", INSN_MODE_16, 1},       /* HLT */
    {"E440", INSN_MODE_16, 2},     /* IN AL,40h */
    {"66ED", INSN_MODE_64, 2},     /* IN AX,DX */
    {"F36C", INSN_MODE_64, 2},     /* REP INSB */
    {"440F22C0", INSN_MODE_64, 4}, /* MOV CR8,RAX */
    {"0F2004", INSN_MODE_64, 3},   /* MOV RSP,CR0: mod is ignored, no SIB */
    {"F00F20C0", INSN_MODE_32, 4}, /* MOV EAX,CR8 by LOCK (AMD) */
    {"0F08", INSN_MODE_64, 2},     /* INVD */
    {"0F01D9", INSN_MODE_64, 3},   /* VMMCALL */
    {"0F01F9", INSN_MODE_64, 3},   /* RDTSCP */
    {"0F0138", INSN_MODE_64, 3},   /* INVLPG [RAX] */
    {"0FC7F0", INSN_MODE_64, 3},   /* RDRAND */
    /* 66h and near branches */
    {"66E81122334455", INSN_MODE_64, 4},
    {"66E81122334455", INSN_MODE_64_INTEL, 6},
    {"6648E81122334455", INSN_MODE_64, 7},
    {"66E811223344", INSN_MODE_32, 4},
    {"66E811223344", INSN_MODE_16, 6},
    /* immediates that follow operand or address size */
    {"48B81122334455667788", INSN_MODE_64, 10},
    {"48A11122334455667788", INSN_MODE_64, 10},
    {"67A111223344", INSN_MODE_64, 6},
    {"67A111223344", INSN_MODE_16, 6},
    {"A11122", INSN_MODE_16, 3},
    {"9A112233445566", INSN_MODE_32, 7},
    {"9A112233445566", INSN_MODE_64, 0},
    {"C8112233", INSN_MODE_64, 4},
    {"660F78C01122", INSN_MODE_64, 6}, /* EXTRQ xmm0,11h,22h */
    {"0F78C0", INSN_MODE_64, 3},       /* VMREAD */
    /* 1: undefined slots, also by mode */
    {"0F04", INSN_MODE_64, 0},
    {"0F38FF00", INSN_MODE_64, 0},
    {"06", INSN_MODE_64, 0},
    {"06", INSN_MODE_32, 1},
    /* 2: undefined forms with a length, and the exceptions */
    {"0F20C8", INSN_MODE_64, 3}, /* MOV RAX,CR1 */
    {"8FC8", INSN_MODE_32, 0},
    {"C7C811223344", INSN_MODE_32, 0},
    {"FED0", INSN_MODE_32, 0},
    {"FFF8", INSN_MODE_32, 0},
    {"8DC0", INSN_MODE_32, 0},
    {"FFD8", INSN_MODE_32, 0},
    /* 3: vector prefixes */
    {"C5F877", INSN_MODE_64, 3},
    {"66C5F877", INSN_MODE_64, 0},
    {"C5F877", INSN_MODE_16, 3},
    {"C500", INSN_MODE_32, 2}, /* LDS EAX,[EAX] */
    {"C500", INSN_MODE_64, 0}, /* truncated VEX */
    /* 4 and 5 */
    {"0FFFC0", INSN_MODE_64, 3},
    {"0FB9C0", INSN_MODE_64, 3},
    {"0FA7C0", INSN_MODE_64, 0},
    {"0FB8C0", INSN_MODE_64, 0},
    {"F30FB8C0", INSN_MODE_64, 4},
    /* 6: 15 bytes and 16 */
    {"666666666666666666666666660FA2", INSN_MODE_64, 15},
    {"66666666666666666666666666660FA2", INSN_MODE_64, 0},
    /* 7: REX that isn't last */
    {"4866B81122", INSN_MODE_64, 5},
    {"6648B81122334455667788", INSN_MODE_64, 11},
};

static void test_choices(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        uint8_t bytes[32];
        size_t count = strlen(known[i].bytes) / 2;

        for (size_t j = 0; j < count; j++) {
            char pair[3] = {known[i].bytes[2 * j], known[i].bytes[2 * j + 1], 0};
            bytes[j] = (uint8_t)strtoul(pair, NULL, 16);
        }
        unsigned length = insn_next_length(bytes, count, known[i].mode);
        if (length != known[i].length)
            printf("%s: length %u, should be %u\n", known[i].bytes, length, known[i].length);
        assert_int_equal(length, known[i].length);
    }
}

static void test_segment_overrides(void **state)
{
    static const uint8_t fs_then_ds[] = {0x64, 0x3E, 0x8B, 0x00};
    struct insn insn;

    (void)state;
    assert_int_equal(insn_decode(fs_then_ds, sizeof(fs_then_ds), INSN_MODE_64, &insn), INSN_OK);
    assert_int_equal(insn.segment, INSN_FS);
    assert_int_equal(insn_decode(fs_then_ds, sizeof(fs_then_ds), INSN_MODE_32, &insn), INSN_OK);
    assert_int_equal(insn.segment, INSN_DS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mode_16),           cmocka_unit_test(test_mode_32),
        cmocka_unit_test(test_mode_64_amd),       cmocka_unit_test(test_mode_64_intel),
        cmocka_unit_test(test_truncation),        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_segment_overrides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
