/*
 * The x86 instruction decoder: where an instruction ends, and what its prefixes, ModRM, displacement and
 * immediate say. Pure: bytes in, struct out; no state, no allocation, at most 15 bytes read. Used for the
 * instructions that the monitor carries out when the CPU doesn't save the next RIP, and in front of
 * insn_execute() and insn_string_io() (insn_exec.h).
 *
 * Sources: AMD APM vol. 3, "Instruction Encoding" and "Opcode and Operand Encodings"; Intel SDM vol. 2,
 * "Instruction Format" and "Opcode Map". Checked against Zydis (tests/unit/test_decode_length.c).
 *
 * What is defined and what isn't, by choice (test_decode_length.c: choices):
 *  1. Opcode slots that no CPU defines (per map), and slots that are invalid in the mode, are INSN_INVALID.
 *  2. Where only some ModRM, mandatory-prefix, LOCK or CR-number forms of an opcode are undefined the
 *     length is nevertheless well defined: such a form decodes INSN_OK with it. Exceptions, because the
 *     executor relies on them: POP r/m, MOV r/m,imm (8F, C6, C7), groups 4 and 5 (FE, FF), LEA, BOUND, LES
 *     and LDS with a register.
 *  3. VEX, EVEX and XOP opcodes are not checked one by one, only the prefix's own rules (map number, fixed
 *     bits, no 66/F2/F3/LOCK/REX before). Real and virtual-8086 mode don't know these prefixes;
 *     INSN_MODE_16 decodes them as 16-bit protected mode does.
 *  4. UD0 (0F FF) takes a ModRM byte, as both manuals describe it now. UD0, UD1 and UD2 are INSN_OK.
 *  5. VIA's PadLock (0F A6, 0F A7), Knights Corner's MVEX and VEX map 0, and JMPE (0F B8 without F3) are
 *     INSN_INVALID.
 *  6. More than 15 bytes: INSN_INVALID (hardware: #GP(0), where an undefined opcode has #UD).
 *  7. A REX prefix counts only directly before the opcode; of F2 and F3 the last counts; in 64-bit mode ES,
 *     CS, SS and DS overrides do nothing, also to an FS or GS override before them.
 */
#ifndef ARCH_X86_DECODE_INSN_H
#define ARCH_X86_DECODE_INSN_H

#include "lib/base.h"

#define INSN_MAX_LENGTH 15

/*
 * 16 and 32: the D bit of the code segment outside 64-bit mode. In 64-bit mode AMD CPUs let 66h make a near
 * branch's operand 16 bits wide (and its displacement 2 bytes long); Intel CPUs ignore it there: INSN_MODE_64
 * is AMD's view, INSN_MODE_64_INTEL Intel's.
 */
enum insn_mode { INSN_MODE_16, INSN_MODE_32, INSN_MODE_64, INSN_MODE_64_INTEL };

enum insn_decode_status {
    INSN_OK,
    INSN_TRUNCATED, /* a prefix of some instruction, longer than `available`: fetch more (or raise that
                       fetch's #PF) */
    INSN_INVALID,   /* undefined in this mode (#UD), or longer than 15 bytes (#GP) */
};

enum insn_encoding { INSN_LEGACY, INSN_VEX, INSN_EVEX, INSN_XOP };

/* INSN_MAP_n is the VEX, EVEX or XOP map number too (1 to 3, 5 and 6, 8 to 10). */
enum insn_map {
    INSN_MAP_PRIMARY = 0,
    INSN_MAP_0F = 1,
    INSN_MAP_0F38 = 2,
    INSN_MAP_0F3A = 3,
    INSN_MAP_3DNOW = 15
};

/* Hardware's numbers. INSN_SEGMENT_NONE: no override. */
enum insn_segment_name { INSN_ES, INSN_CS, INSN_SS, INSN_DS, INSN_FS, INSN_GS, INSN_SEGMENT_NONE };

enum insn_gpr {
    INSN_RAX,
    INSN_RCX,
    INSN_RDX,
    INSN_RBX,
    INSN_RSP,
    INSN_RBP,
    INSN_RSI,
    INSN_RDI,
    INSN_NO_GPR = 0xff
};

struct insn_prefixes {
    uint8_t count;     /* legacy and REX prefix bytes; not VEX, EVEX, XOP or opcode escapes */
    bool lock;         /* F0 */
    bool operand_size; /* 66 */
    bool address_size; /* 67 */
    uint8_t repeat;    /* 0, 0xF2 or 0xF3 */
    uint8_t rex;       /* 0, or 0x40 to 0x4F */
    uint8_t segment;   /* enum insn_segment_name: the override that counts */
};

struct insn {
    uint8_t length;   /* 1 to 15 */
    uint8_t mode;     /* enum insn_mode */
    uint8_t encoding; /* enum insn_encoding */
    uint8_t map;      /* enum insn_map */
    uint8_t opcode;   /* last opcode byte; for 3DNow! the suffix */
    struct insn_prefixes prefix;
    uint8_t operand_size; /* 2, 4 or 8: what 66h, REX.W and the opcode make of it; byte forms are the user's
                             business */
    uint8_t address_size; /* 2, 4 or 8 */

    bool has_modrm;
    bool has_memory; /* a ModRM memory operand: mod is not 3 */
    bool rip_relative;
    uint8_t modrm; /* the raw bytes */
    uint8_t sib;
    uint8_t reg;     /* 0 to 15: ModRM.reg with REX.R */
    uint8_t rm;      /* 0 to 15: ModRM.rm with REX.B; a register when !has_memory */
    uint8_t base;    /* of the memory operand: a GPR or INSN_NO_GPR */
    uint8_t index;   /* a GPR or INSN_NO_GPR (VSIB: not filled as a vector) */
    uint8_t scale;   /* 1, 2, 4 or 8 */
    uint8_t segment; /* enum insn_segment_name: of the memory operand, with the override; DS for moffs and
                        string sources */

    uint8_t displacement_size; /* bytes: 0, 1, 2, 4; 8 with a 64-bit moffs */
    uint8_t immediate_size;    /* bytes of the first immediate: 0, 1, 2, 4, 8 */
    int64_t displacement;      /* sign-extended (EVEX disp8 not scaled); a moffs address zero-extended */
    int64_t immediate;         /* sign-extended; far pointers: the offset; ENTER: the frame size */
    uint16_t
        immediate2; /* far pointers: the selector; ENTER: the level; EXTRQ and INSERTQ: the second byte */
};

/*
 * Decodes the instruction at bytes[0]. `available` bytes may be read (more than 15 are not looked at). On
 * INSN_OK *out is filled; else its content is undefined.
 */
enum insn_decode_status insn_decode(const uint8_t *bytes, size_t available, enum insn_mode mode,
                                    struct insn *out);

/* The instruction's length, 1 to 15; 0 when it is truncated or invalid. */
unsigned insn_next_length(const uint8_t *bytes, size_t available, enum insn_mode mode);

/* 64-bit mode in either vendor's view. */
static inline bool insn_mode_is_64(unsigned mode)
{
    return mode >= INSN_MODE_64;
}

#endif
