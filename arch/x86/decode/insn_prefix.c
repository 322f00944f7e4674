/*
 * Instruction prefixes: legacy, REX, and the multi-byte VEX, EVEX and XOP ones.
 * Sources: AMD APM vol. 3, "Instruction Prefixes", "VEX and XOP Prefixes"; Intel SDM vol. 2, "Intel AVX-512
 * Encoding".
 */
#include "arch/x86/decode/insn_cursor.h"

static bool take_legacy_prefix(struct insn_prefixes *prefix, uint8_t byte, bool is_64)
{
    switch (byte) {
    case 0xF0:
        prefix->lock = true;
        return true;
    case 0xF2:
    case 0xF3:
        prefix->repeat = byte;
        return true;
    case 0x66:
        prefix->operand_size = true;
        return true;
    case 0x67:
        prefix->address_size = true;
        return true;
    case 0x26:
    case 0x2E:
    case 0x36:
    case 0x3E:
        if (!is_64)
            prefix->segment = (uint8_t)(INSN_ES + ((byte >> 3) & 3));
        return true;
    case 0x64:
    case 0x65:
        prefix->segment = (uint8_t)(INSN_FS + (byte & 1));
        return true;
    default:
        return false;
    }
}

void insn_take_prefixes(struct insn_cursor *cursor, struct insn *insn)
{
    struct insn_prefixes *prefix = &insn->prefix;
    bool is_64 = insn_mode_is_64(insn->mode);

    prefix->segment = INSN_SEGMENT_NONE;
    while (cursor->position < cursor->limit) {
        uint8_t byte = cursor->bytes[cursor->position];

        if (is_64 && (byte & 0xF0) == 0x40)
            prefix->rex = byte;
        else if (take_legacy_prefix(prefix, byte, is_64))
            prefix->rex = 0; /* a REX that isn't last does nothing */
        else
            break;
        cursor->position++;
    }
    prefix->count = (uint8_t)cursor->position;
    cursor->extend = prefix->rex & 0x0F;
}

bool insn_is_vector_prefix(struct insn_cursor *cursor, const struct insn *insn, uint8_t first)
{
    switch (first) {
    case 0x8F:
        return (insn_cursor_peek(cursor) & 0x1F) >= 8; /* below that it is POP r/m */
    case 0x62:
    case 0xC4:
    case 0xC5:
        return insn_mode_is_64(insn->mode) ||
               insn_cursor_peek(cursor) >= 0xC0; /* BOUND, LES and LDS take memory only */
    default:
        return false;
    }
}

/* VEX and XOP of three bytes: byte 1 is ~R ~X ~B and the map, byte 2 is W ~vvvv L pp. */
static bool take_three_bytes(struct insn_cursor *cursor, struct insn *insn, bool is_xop)
{
    uint8_t byte1 = insn_cursor_next(cursor);
    uint8_t byte2 = insn_cursor_next(cursor);

    cursor->extend = (uint8_t)((~byte1 >> 5 & 7) | (byte2 >> 7 ? EXTEND_W : 0));
    insn->map = byte1 & 0x1F;
    insn->encoding = is_xop ? INSN_XOP : INSN_VEX;
    return cursor->overrun || (is_xop ? insn->map >= 8 && insn->map <= 10 : insn->map >= 1 && insn->map <= 3);
}

/* P0 is ~R ~X ~B ~R' 0 and the map, P1 is W ~vvvv 1 pp, P2 is z L'L b ~V' aaa. */
static bool take_evex(struct insn_cursor *cursor, struct insn *insn)
{
    uint8_t p0 = insn_cursor_next(cursor);
    uint8_t p1 = insn_cursor_next(cursor);

    insn_cursor_next(cursor);
    cursor->extend = (uint8_t)((~p0 >> 5 & 7) | (p1 >> 7 ? EXTEND_W : 0));
    insn->map = p0 & 7;
    insn->encoding = INSN_EVEX;
    if (cursor->overrun)
        return true;
    return (p0 & 0x08) == 0 && (p1 & 0x04) != 0 && insn->map != 0 && insn->map != 4 && insn->map != 7;
}

bool insn_take_vector_prefix(struct insn_cursor *cursor, struct insn *insn, uint8_t first)
{
    const struct insn_prefixes *prefix = &insn->prefix;
    bool defined = true;

    if (prefix->lock || prefix->operand_size || prefix->repeat != 0 || prefix->rex != 0)
        return false;
    if (first == 0xC5) {
        cursor->extend = insn_cursor_next(cursor) >> 7 ? 0 : EXTEND_R;
        insn->map = INSN_MAP_0F;
        insn->encoding = INSN_VEX;
    } else if (first == 0x62) {
        defined = take_evex(cursor, insn);
    } else {
        defined = take_three_bytes(cursor, insn, first == 0x8F);
    }
    if (!insn_mode_is_64(insn->mode))
        cursor->extend = 0; /* only eight registers, and W doesn't widen general registers */
    insn->opcode = insn_cursor_next(cursor);
    return defined;
}
