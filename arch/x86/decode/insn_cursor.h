/*
 * The decoder's place in the byte stream, and what its three parts hand to each other: prefixes
 * (insn_prefix.c), opcode and immediates (insn_decode.c), ModRM (insn_modrm.c). Internal to arch/x86/decode.
 */
#ifndef ARCH_X86_DECODE_INSN_CURSOR_H
#define ARCH_X86_DECODE_INSN_CURSOR_H

#include "arch/x86/decode/insn.h"

/* REX.WRXB, also as VEX, EVEX and XOP carry them (there inverted). */
enum { EXTEND_B = 1, EXTEND_X = 2, EXTEND_R = 4, EXTEND_W = 8 };

struct insn_cursor {
    const uint8_t *bytes;
    unsigned position;
    unsigned limit; /* bytes that may be read: available, at most 15 */
    bool overrun;   /* something wanted a byte past the limit; zeros were delivered instead */
    uint8_t extend; /* EXTEND_* */
};

static inline uint8_t insn_cursor_next(struct insn_cursor *cursor)
{
    if (cursor->position >= cursor->limit) {
        cursor->overrun = true;
        return 0;
    }
    return cursor->bytes[cursor->position++];
}

/* The next byte without taking it. */
static inline uint8_t insn_cursor_peek(struct insn_cursor *cursor)
{
    if (cursor->position >= cursor->limit) {
        cursor->overrun = true;
        return 0;
    }
    return cursor->bytes[cursor->position];
}

/* A little-endian number of 0, 1, 2, 4 or 8 bytes, zero-extended. */
static inline uint64_t insn_cursor_number(struct insn_cursor *cursor, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)insn_cursor_next(cursor) << (8 * i);
    return value;
}

static inline int64_t insn_sign_extend(uint64_t value, unsigned size)
{
    if (size == 0 || size >= 8)
        return (int64_t)value;
    unsigned shift = 64 - 8 * size;
    return (int64_t)(value << shift) >> shift;
}

/* Takes legacy and REX prefixes: fills insn->prefix and cursor->extend. */
void insn_take_prefixes(struct insn_cursor *cursor, struct insn *insn);

/*
 * Takes the rest of a VEX, EVEX or XOP prefix whose first byte (C4, C5, 62, 8F) has been taken, then the
 * opcode: fills encoding, map, opcode and cursor->extend. False: that prefix is undefined here.
 */
bool insn_take_vector_prefix(struct insn_cursor *cursor, struct insn *insn, uint8_t first);

/* Is this C4, C5, 62 or 8F (already taken) such a prefix, or the old instruction? Looks at the next byte. */
bool insn_is_vector_prefix(struct insn_cursor *cursor, const struct insn *insn, uint8_t first);

/* Takes ModRM, SIB and displacement. `register_only`: mod is ignored (MOV to and from control and debug
 * registers). */
void insn_take_modrm(struct insn_cursor *cursor, struct insn *insn, bool register_only);

#endif
