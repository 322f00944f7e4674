/*
 * Carries out one decoded instruction of a guest over a register file and a memory callback: what hit a
 * trapped page (MMIO), and INS and OUTS. Pure: no state of its own, no hardware, no allocation. The run loop
 * calls it after an exit, with the bytes that it fetched itself.
 *
 * Covered: MOV (r/m, immediate, moffs), MOVZX, MOVSX, MOVSXD, MOVNTI, MOVBE, CMOVcc, SETcc, ADD OR ADC SBB
 * AND SUB XOR CMP TEST, INC DEC NOT NEG, BT BTS BTR BTC, XCHG, XADD, CMPXCHG, PUSH and POP (r/m, register,
 * immediate), MOVS STOS LODS CMPS SCAS with REP. Byte to quadword, all addressing forms, 16-, 32- and 64-bit
 * mode. Left out, INSN_UNSUPPORTED: shifts and rotates, MUL, DIV, CMPXCHG8B and 16B, x87, MMX, SSE, AVX,
 * segment register loads, far and near branches through memory.
 *
 * Contract. Either INSN_DONE (one REP iteration or more: INSN_CONTINUE), or nothing has changed: no register,
 * no flag, and no memory or device either, because every access that can fault is probed before the first one
 * with an effect (a fault behind completed iterations: those stand, as on hardware; the callback must keep
 * what its probes promise). RIP is never moved; insn->length says how far the run loop has to. LOCK is
 * accepted where the CPU accepts it and is #UD elsewhere; atomic against other CPUs it is not. Alignment
 * (#AC) is the callback's affair.
 *
 * Choices where manuals differ or are silent (tests/unit/test_decode_exec.c and test_decode_checks.c; 3 and 4
 * also tried on an EPYC):
 *  1. AF after AND, OR, XOR and TEST is 0; BT and its kin change CF alone.
 *  2. CMPXCHG that fails writes the old value back (a locked CPU does), and takes the write permission
 *     first.
 *  3. CMPXCHG, 32 bits, that succeeds leaves the upper half of RAX alone; one that fails clears it.
 *  4. CMOVcc always reads, and with a 32-bit operand always clears the upper half.
 *  5. REP with a count of 0 does nothing at all; F2 on MOVS, STOS, LODS, INS and OUTS is REP like F3.
 *  6. MOVSXD with a 16-bit operand reads two bytes.
 *  7. SMAP, SMEP, protection keys and all else of paging are the callback's affair.
 *
 * Sources: AMD APM vol. 3, "General-Purpose Instruction Reference"; vol. 1, "Memory Organization"; vol. 2,
 * "Segmented Virtual Memory" and "Exceptions and Interrupts".
 */
#ifndef ARCH_X86_DECODE_INSN_EXEC_H
#define ARCH_X86_DECODE_INSN_EXEC_H

#include "arch/x86/decode/insn.h"

/* RFLAGS, as the manuals name them. */
enum {
    INSN_FLAG_CF = 1 << 0,
    INSN_FLAG_PF = 1 << 2,
    INSN_FLAG_AF = 1 << 4,
    INSN_FLAG_ZF = 1 << 6,
    INSN_FLAG_SF = 1 << 7,
    INSN_FLAG_DF = 1 << 10,
    INSN_FLAG_OF = 1 << 11,
    INSN_FLAGS_STATUS =
        INSN_FLAG_CF | INSN_FLAG_PF | INSN_FLAG_AF | INSN_FLAG_ZF | INSN_FLAG_SF | INSN_FLAG_OF,
};

enum { INSN_VECTOR_UD = 6, INSN_VECTOR_SS = 12, INSN_VECTOR_GP = 13, INSN_VECTOR_PF = 14 };

/* `attributes` as AMD's VMCB packs them: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11. P clear: a
 * null segment. */
struct insn_segment {
    uint64_t base;
    uint32_t limit; /* in bytes, the last one that is in (expand-down: the last one that isn't) */
    uint16_t attributes;
};

enum {
    INSN_SEGMENT_WRITABLE = 1 << 1,    /* data; of code: readable */
    INSN_SEGMENT_EXPAND_DOWN = 1 << 2, /* data */
    INSN_SEGMENT_CODE = 1 << 3,
    INSN_SEGMENT_PRESENT = 1 << 7,
    INSN_SEGMENT_BIG = 1 << 10,
};

struct insn_regs {
    uint64_t gpr[16]; /* enum insn_gpr */
    uint64_t rip;     /* of the instruction; never changed */
    uint64_t rflags;
    struct insn_segment
        segments[6];     /* enum insn_segment_name; in 64-bit mode only FS and GS bases are used */
    bool protected_mode; /* CR0.PE and not virtual-8086: segment types count, and faults push an error code */
    bool la57;           /* 57-bit linear addresses (CR4.LA57) */
};

struct insn_fault {
    uint8_t vector;
    bool has_error_code;
    uint32_t error_code;
    uint64_t cr2; /* #PF only */
};

enum insn_access {
    INSN_READ,
    INSN_READ_MODIFY, /* a read that a write to the same place follows: check for that write too */
    INSN_WRITE,
    INSN_PROBE_READ, /* would it work? No value, no effect (Accessed and Dirty bits may be set) */
    INSN_PROBE_WRITE,
};

/*
 * One access of 1, 2, 4 or 8 bytes at a linear address, segment and canonical checks done. It translates,
 * splits at page ends (addresses wrap at 2^32 outside 64-bit mode) and finds RAM or device; *value is
 * zero-extended. False: *fault is filled, nothing was accessed.
 */
typedef bool insn_memory_access(void *opaque, enum insn_access access, uint64_t linear, unsigned size,
                                uint64_t *value, struct insn_fault *fault);

/* One port access of 1, 2 or 4 bytes; cannot fail: permission (IOPL, I/O map) was checked by the CPU before
 * its exit. */
typedef void insn_port_access(void *opaque, bool is_in, uint16_t port, unsigned size, uint32_t *value);

struct insn_bus {
    insn_memory_access *memory;
    insn_port_access *port; /* insn_string_io() only */
    void *opaque;
};

enum insn_status {
    INSN_DONE,        /* complete: advance RIP by insn->length */
    INSN_CONTINUE,    /* a REP has iterations left: RIP stays; take interrupts, then come again */
    INSN_FAULT,       /* inject result->fault, RIP stays */
    INSN_UNSUPPORTED, /* not an instruction that this module carries out */
};

struct insn_result {
    enum insn_status status;
    unsigned iterations; /* string instructions: completed by this call */
    struct insn_fault fault;
};

/* REP iterations per call: 1 to max_iterations, as many as it takes. Not for INS and OUTS. */
void insn_execute(struct insn_regs *regs, const struct insn *insn, const struct insn_bus *bus,
                  unsigned max_iterations, struct insn_result *result);

/* INS or OUTS, at most one iteration. INSN_UNSUPPORTED for any other instruction. */
void insn_string_io(struct insn_regs *regs, const struct insn *insn, const struct insn_bus *bus,
                    struct insn_result *result);

/* The decoder's mode for a guest: EFER.LMA and the attributes of CS (L, D). Use INSN_MODE_64_INTEL for
 * INSN_MODE_64 on Intel. */
static inline enum insn_mode insn_mode_of(bool long_mode_active, uint16_t cs_attributes)
{
    if (long_mode_active && (cs_attributes & 1 << 9))
        return INSN_MODE_64;
    return cs_attributes & INSN_SEGMENT_BIG ? INSN_MODE_32 : INSN_MODE_16;
}

#endif
