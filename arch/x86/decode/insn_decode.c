/*
 * The instruction decoder's main line: prefixes, opcode and map, operand and address size, ModRM, immediates.
 * Contract, sources and choices: insn.h.
 */
#include "arch/x86/decode/insn_cursor.h"
#include "arch/x86/decode/insn_tables.h"
#include "lib/string.h"

static void set_address_size(struct insn *insn)
{
    bool override = insn->prefix.address_size;

    if (insn_mode_is_64(insn->mode))
        insn->address_size = override ? 4 : 8;
    else
        insn->address_size = (insn->mode == INSN_MODE_16) != override ? 2 : 4;
}

static void set_operand_size(struct insn *insn, unsigned attributes, bool wide)
{
    bool override = insn->prefix.operand_size;
    bool is_64 = insn_mode_is_64(insn->mode);

    if (attributes & OP_MOV_CR)
        insn->operand_size = is_64 ? 8 : 4;
    else if (insn->encoding != INSN_LEGACY)
        insn->operand_size = wide ? 8 : 4;
    else if (!is_64)
        insn->operand_size = (insn->mode == INSN_MODE_16) != override ? 2 : 4;
    else if (wide)
        insn->operand_size = 8;
    else if (override && !((attributes & OP_BRANCH) && insn->mode == INSN_MODE_64_INTEL))
        insn->operand_size = 2;
    else
        insn->operand_size = attributes & (OP_DEFAULT_64 | OP_BRANCH) ? 8 : 4;
}

/* The attributes of a VEX, EVEX or XOP opcode: only its immediate differs. */
static unsigned vector_attributes(const struct insn *insn)
{
    uint8_t opcode = insn->opcode;

    switch (insn->map) {
    case INSN_MAP_0F:
        if (insn->encoding == INSN_VEX && opcode == 0x77) /* VZEROUPPER, VZEROALL */
            return 0;
        if ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xC2 || (opcode >= 0xC4 && opcode <= 0xC6))
            return OP_MODRM | OP_BYTE;
        return OP_MODRM;
    case INSN_MAP_0F3A:
    case 8:
        return OP_MODRM | OP_BYTE;
    case 10:
        return OP_MODRM | OP_FULL; /* XOP map 10: always four bytes */
    default:
        return OP_MODRM;
    }
}

/* A legacy opcode whose first byte is `first`. */
static unsigned take_legacy_opcode(struct insn_cursor *cursor, struct insn *insn, uint8_t first)
{
    insn->opcode = first;
    if (first != 0x0F)
        return insn_primary_table[first];

    insn->map = INSN_MAP_0F;
    insn->opcode = insn_cursor_next(cursor);
    if (insn->opcode == 0x38) {
        insn->map = INSN_MAP_0F38;
        insn->opcode = insn_cursor_next(cursor);
        return insn_0f38_defined(insn->opcode) ? OP_MODRM : OP_UNDEFINED;
    }
    if (insn->opcode == 0x3A) {
        insn->map = INSN_MAP_0F3A;
        insn->opcode = insn_cursor_next(cursor);
        return insn_0f3a_defined(insn->opcode) ? OP_MODRM | OP_BYTE : OP_UNDEFINED;
    }
    return insn_0f_table[insn->opcode];
}

/* MOV r/m,imm (reg 0), and XABORT and XBEGIN in the place of C6 F8 and C7 F8. */
static unsigned group_11(const struct insn *insn)
{
    bool is_byte = insn->opcode == 0xC6;

    if (insn->modrm != 0xF8 && (insn->modrm >> 3 & 7) != 0)
        return OP_UNDEFINED;
    return is_byte ? OP_BYTE : OP_FULL; /* 66h counts for XBEGIN on Intel too, unlike other branches */
}

static unsigned group_5(const struct insn *insn)
{
    switch (insn->modrm >> 3 & 7) {
    case 0:
    case 1:
        return 0;
    case 2:
    case 4:
        return OP_BRANCH;
    case 3:
    case 5:
        return OP_MEMORY;
    case 6:
        return OP_DEFAULT_64;
    default:
        return OP_UNDEFINED;
    }
}

/* What the ModRM byte and the prefixes add to an OP_GROUP opcode's attributes. */
static unsigned insn_group(const struct insn *insn)
{
    unsigned reg = insn->modrm >> 3 & 7;

    if (insn->map == INSN_MAP_0F) {
        if (insn->opcode == 0xB8) /* POPCNT */
            return insn->prefix.repeat == 0xF3 ? 0 : OP_UNDEFINED;
        /* 0F 78: VMREAD, or with 66 or F2 EXTRQ and INSERTQ with two immediate bytes */
        bool two_bytes =
            insn->prefix.repeat == 0xF2 || (insn->prefix.repeat == 0 && insn->prefix.operand_size);
        return two_bytes ? OP_WORD : 0;
    }
    switch (insn->opcode) {
    case 0x8F:
        return reg == 0 ? 0 : OP_UNDEFINED;
    case 0xC6:
    case 0xC7:
        return group_11(insn);
    case 0xF6:
        return reg <= 1 ? OP_BYTE : 0;
    case 0xF7:
        return reg <= 1 ? OP_FULL : 0;
    case 0xFE:
        return reg <= 1 ? 0 : OP_UNDEFINED;
    default:
        return group_5(insn);
    }
}

static void take_immediates(struct insn_cursor *cursor, struct insn *insn, unsigned attributes)
{
    unsigned full = MIN(insn->operand_size, 4);

    if (insn->encoding == INSN_XOP)
        full = 4;
    if (attributes & OP_MOFFS) {
        insn->displacement_size = insn->address_size;
        insn->displacement = (int64_t)insn_cursor_number(cursor, insn->address_size);
        return;
    }
    if (attributes & OP_FAR)
        insn->immediate_size = (uint8_t)full;
    else if (attributes & OP_WORD)
        insn->immediate_size = insn->map == INSN_MAP_0F ? 1 : 2;
    else if (attributes & OP_BYTE)
        insn->immediate_size = 1;
    else if (attributes & OP_FULL)
        insn->immediate_size = (uint8_t)full;
    else if (attributes & OP_WIDE)
        insn->immediate_size = insn->operand_size;
    insn->immediate =
        insn_sign_extend(insn_cursor_number(cursor, insn->immediate_size), insn->immediate_size);

    if (attributes & OP_FAR)
        insn->immediate2 = (uint16_t)insn_cursor_number(cursor, 2);
    else if ((attributes & OP_WORD) && ((attributes & OP_BYTE) || insn->map == INSN_MAP_0F))
        insn->immediate2 = insn_cursor_next(cursor);
}

/* After the prefixes: everything up to the end. False: undefined, unless the cursor overran. */
static bool take_instruction(struct insn_cursor *cursor, struct insn *insn)
{
    uint8_t first = insn_cursor_next(cursor);
    unsigned attributes;

    if (insn_is_vector_prefix(cursor, insn, first)) {
        if (!insn_take_vector_prefix(cursor, insn, first))
            return false;
        attributes = vector_attributes(insn);
    } else {
        attributes = take_legacy_opcode(cursor, insn, first);
    }
    if (cursor->overrun)
        return false;
    if ((attributes & OP_UNDEFINED) || ((attributes & OP_NOT_64) && insn_mode_is_64(insn->mode)))
        return false;

    if (attributes & OP_MODRM)
        insn_take_modrm(cursor, insn, (attributes & OP_MOV_CR) != 0);
    if (attributes & OP_GROUP)
        attributes |= insn_group(insn);
    if (!cursor->overrun && ((attributes & OP_UNDEFINED) || ((attributes & OP_MEMORY) && !insn->has_memory)))
        return false;

    set_operand_size(insn, attributes, (cursor->extend & EXTEND_W) != 0);
    take_immediates(cursor, insn, attributes);
    if (insn->map == INSN_MAP_0F && insn->encoding == INSN_LEGACY && insn->opcode == 0x0F) {
        insn->map = INSN_MAP_3DNOW;
        insn->opcode = (uint8_t)insn->immediate;
    }
    return !cursor->overrun;
}

enum insn_decode_status insn_decode(const uint8_t *bytes, size_t available, enum insn_mode mode,
                                    struct insn *out)
{
    struct insn_cursor cursor = {
        .bytes = bytes,
        .limit = available < INSN_MAX_LENGTH ? (unsigned)available : INSN_MAX_LENGTH,
    };

    memset(out, 0, sizeof(*out));
    out->mode = (uint8_t)mode;
    out->base = INSN_NO_GPR;
    out->index = INSN_NO_GPR;
    out->scale = 1;
    insn_take_prefixes(&cursor, out);
    set_address_size(out);
    out->segment = INSN_DS;
    bool complete = take_instruction(&cursor, out);

    if (cursor.overrun)
        return cursor.limit < INSN_MAX_LENGTH ? INSN_TRUNCATED : INSN_INVALID;
    if (!complete)
        return INSN_INVALID;
    if (out->prefix.segment != INSN_SEGMENT_NONE)
        out->segment = out->prefix.segment;
    out->length = (uint8_t)cursor.position;
    return INSN_OK;
}

unsigned insn_next_length(const uint8_t *bytes, size_t available, enum insn_mode mode)
{
    struct insn insn;

    return insn_decode(bytes, available, mode, &insn) == INSN_OK ? insn.length : 0;
}
