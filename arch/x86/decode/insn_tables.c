/*
 * The opcode tables: one word per opcode of the primary and the 0F map, one bit per opcode of the 0F38 and
 * 0F3A maps. Prefix bytes and map escapes never reach these tables and stand as undefined (XX). Sources:
 * insn_tables.h.
 */
#include "arch/x86/decode/insn_tables.h"

/* clang-format off */
enum {
    __ = 0,                                   /* opcode byte only */
    XX = OP_UNDEFINED,
    N6 = OP_NOT_64,
    D6 = OP_DEFAULT_64,
    MM = OP_MODRM,
    Mb = OP_MODRM | OP_BYTE,
    Mz = OP_MODRM | OP_FULL,
    Md = OP_MODRM | OP_DEFAULT_64,
    Mm = OP_MODRM | OP_MEMORY,                /* LEA */
    Mn = OP_MODRM | OP_MEMORY | OP_NOT_64,    /* BOUND, LES, LDS */
    NM = OP_MODRM | OP_NOT_64 | OP_BYTE,      /* 82 */
    GG = OP_MODRM | OP_GROUP,
    GD = OP_MODRM | OP_GROUP | OP_DEFAULT_64,
    CR = OP_MODRM | OP_MOV_CR | OP_DEFAULT_64,
    Ib = OP_BYTE,
    Iz = OP_FULL,
    Iv = OP_WIDE,
    Nb = OP_BYTE | OP_NOT_64,                 /* AAM, AAD */
    Db = OP_BYTE | OP_DEFAULT_64,             /* PUSH imm8 */
    Dz = OP_FULL | OP_DEFAULT_64,             /* PUSH imm */
    EN = OP_WORD | OP_BYTE | OP_DEFAULT_64,   /* ENTER */
    RW = OP_WORD,                             /* RETF imm16 */
    RN = OP_WORD | OP_BRANCH,                 /* RET imm16 */
    BR = OP_BRANCH,                           /* RET */
    Jb = OP_BYTE | OP_BRANCH,
    Jz = OP_FULL | OP_BRANCH,
    Ap = OP_FAR | OP_NOT_64,
    Ob = OP_MOFFS,
};

const uint16_t insn_primary_table[256] = {
    /*        0   1   2   3   4   5   6   7   8   9   A   B   C   D   E   F */
    /* 0 */ MM, MM, MM, MM, Ib, Iz, N6, N6, MM, MM, MM, MM, Ib, Iz, N6, XX,
    /* 1 */ MM, MM, MM, MM, Ib, Iz, N6, N6, MM, MM, MM, MM, Ib, Iz, N6, N6,
    /* 2 */ MM, MM, MM, MM, Ib, Iz, XX, N6, MM, MM, MM, MM, Ib, Iz, XX, N6,
    /* 3 */ MM, MM, MM, MM, Ib, Iz, XX, N6, MM, MM, MM, MM, Ib, Iz, XX, N6,
    /* 4 */ __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, __,
    /* 5 */ D6, D6, D6, D6, D6, D6, D6, D6, D6, D6, D6, D6, D6, D6, D6, D6,
    /* 6 */ N6, N6, Mn, MM, XX, XX, XX, XX, Dz, Mz, Db, Mb, __, __, __, __,
    /* 7 */ Jb, Jb, Jb, Jb, Jb, Jb, Jb, Jb, Jb, Jb, Jb, Jb, Jb, Jb, Jb, Jb,
    /* 8 */ Mb, Mz, NM, Mb, MM, MM, MM, MM, MM, MM, MM, MM, MM, Mm, MM, GD,
    /* 9 */ __, __, __, __, __, __, __, __, __, __, Ap, __, D6, D6, __, __,
    /* A */ Ob, Ob, Ob, Ob, __, __, __, __, Ib, Iz, __, __, __, __, __, __,
    /* B */ Ib, Ib, Ib, Ib, Ib, Ib, Ib, Ib, Iv, Iv, Iv, Iv, Iv, Iv, Iv, Iv,
    /* C */ Mb, Mb, RN, BR, Mn, Mn, GG, GG, EN, D6, RW, __, __, Ib, N6, __,
    /* D */ MM, MM, MM, MM, Nb, Nb, N6, __, MM, MM, MM, MM, MM, MM, MM, MM,
    /* E */ Jb, Jb, Jb, Jb, Ib, Ib, Ib, Ib, Jz, Jz, Ap, Jb, __, __, __, __,
    /* F */ XX, __, XX, XX, __, __, GG, GG, __, __, __, __, __, __, GG, GG,
};

const uint16_t insn_0f_table[256] = {
    /*        0   1   2   3   4   5   6   7   8   9   A   B   C   D   E   F */
    /* 0 */ MM, MM, MM, MM, XX, __, __, __, __, __, XX, __, XX, MM, __, Mb,
    /* 1 */ MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM,
    /* 2 */ CR, CR, CR, CR, XX, XX, XX, XX, MM, MM, MM, MM, MM, MM, MM, MM,
    /* 3 */ __, __, __, __, __, __, XX, __, XX, XX, XX, XX, XX, XX, XX, XX,
    /* 4 */ MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM,
    /* 5 */ MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM,
    /* 6 */ MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM,
    /* 7 */ Mb, Mb, Mb, Mb, MM, MM, MM, __, GG, MM, XX, XX, MM, MM, MM, MM,
    /* 8 */ Jz, Jz, Jz, Jz, Jz, Jz, Jz, Jz, Jz, Jz, Jz, Jz, Jz, Jz, Jz, Jz,
    /* 9 */ MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM,
    /* A */ D6, D6, __, MM, Mb, MM, XX, XX, D6, D6, __, MM, Mb, MM, MM, MM,
    /* B */ MM, MM, Mm, MM, Mm, Mm, MM, MM, GG, MM, Mb, MM, MM, MM, MM, MM,
    /* C */ MM, MM, Mb, MM, Mb, Mb, Mb, MM, __, __, __, __, __, __, __, __,
    /* D */ MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM,
    /* E */ MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM,
    /* F */ MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM, MM,
};

/* One word per row of 16 opcodes: bit n is opcode xn. */
static const uint16_t map_0f38[16] = {
    /* 0 */ 0x0FFF, /* 1 */ 0x70B1, /* 2 */ 0x0F3F, /* 3 */ 0xFFBF, /* 4 */ 0x0003, /* 5 */ 0, /* 6 */ 0, /* 7 */ 0,
    /* 8 */ 0x0007, /* 9 */ 0, /* A */ 0, /* B */ 0, /* C */ 0xBF00, /* D */ 0xF900, /* E */ 0, /* F */ 0x1F63,
};
static const uint16_t map_0f3a[16] = {
    /* 0 */ 0xFF00, /* 1 */ 0x00F0, /* 2 */ 0x0007, /* 3 */ 0, /* 4 */ 0x0017, /* 5 */ 0, /* 6 */ 0x000F, /* 7 */ 0,
    /* 8 */ 0, /* 9 */ 0, /* A */ 0, /* B */ 0, /* C */ 0xD000, /* D */ 0x8000, /* E */ 0, /* F */ 0x0001,
};
/* clang-format on */

bool insn_0f38_defined(uint8_t opcode)
{
    return (map_0f38[opcode >> 4] >> (opcode & 15) & 1) != 0;
}

bool insn_0f3a_defined(uint8_t opcode)
{
    return (map_0f3a[opcode >> 4] >> (opcode & 15) & 1) != 0;
}
