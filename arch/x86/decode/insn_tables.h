/*
 * What the decoder has to know of each opcode: does a ModRM byte follow, which immediates, and what the
 * operand size does. One 16-bit word per opcode. Internal to arch/x86/decode. Sources: AMD APM vol. 3,
 * "Opcode and Operand Encodings"; Intel SDM vol. 2, "Opcode Map".
 */
#ifndef ARCH_X86_DECODE_INSN_TABLES_H
#define ARCH_X86_DECODE_INSN_TABLES_H

#include "lib/base.h"

enum {
    OP_MODRM = 1 << 0,
    OP_UNDEFINED = 1 << 1,
    OP_NOT_64 = 1 << 2,     /* undefined in 64-bit mode */
    OP_DEFAULT_64 = 1 << 3, /* 64-bit operand without REX.W in 64-bit mode; 66h makes it 16 */
    OP_BRANCH = 1 << 4,     /* near branch: as above, and Intel ignores 66h */
    OP_MEMORY = 1 << 5,     /* ModRM must name memory */
    OP_BYTE = 1 << 6,       /* one-byte immediate */
    OP_WORD = 1 << 7,       /* two-byte immediate (before OP_BYTE's: ENTER) */
    OP_FULL = 1 << 8,       /* immediate of the operand size, at most 4 bytes */
    OP_WIDE = 1 << 9,       /* immediate of the operand size, up to 8 bytes */
    OP_MOFFS = 1 << 10,     /* address of the address size */
    OP_FAR = 1 << 11,       /* offset of the operand size, then a selector */
    OP_GROUP = 1 << 12,     /* ModRM.reg and more decide: see insn_group() */
    OP_MOV_CR = 1 << 13,    /* ModRM.mod is ignored: always a register */
};

extern const uint16_t insn_primary_table[256];
extern const uint16_t insn_0f_table[256];

/* 0F38 and 0F3A: every opcode has ModRM (and 0F3A an immediate byte); these say which exist. */
bool insn_0f38_defined(uint8_t opcode);
bool insn_0f3a_defined(uint8_t opcode);

#endif
