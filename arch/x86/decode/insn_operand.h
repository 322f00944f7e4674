/*
 * Operands of the instruction being carried out: general registers, effective and linear addresses with their
 * segment checks, and memory through the caller's bus. Internal to arch/x86/decode.
 */
#ifndef ARCH_X86_DECODE_INSN_OPERAND_H
#define ARCH_X86_DECODE_INSN_OPERAND_H

#include "arch/x86/decode/insn_exec.h"

/* The one instruction in progress. Its helpers return false after they have filled result->status and fault.
 */
struct exec {
    struct insn_regs *regs;
    const struct insn *insn;
    const struct insn_bus *bus;
    struct insn_result *result;
};

/* The low `size` bytes set (1, 2, 4 or 8). */
static inline uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

/* A register as byte forms number them: without REX, 4 to 7 are AH, CH, DH, BH. */
uint64_t exec_read_gpr(const struct exec *exec, unsigned number, unsigned size);
/* 32-bit writes clear the upper half, narrower ones leave the rest. */
void exec_write_gpr(struct exec *exec, unsigned number, unsigned size, uint64_t value);

bool exec_fault(struct exec *exec, unsigned vector);
bool exec_unsupported(struct exec *exec);

/* The offset that ModRM (or moffs) names, cut to the address size. `rsp` is what RSP counts as (POP: already
 * incremented). */
uint64_t exec_effective_address(const struct exec *exec, uint64_t rsp);

/* Segment checks for `size` bytes at an offset, then the linear address. `segment`: enum insn_segment_name.
 */
bool exec_linear(struct exec *exec, unsigned segment, uint64_t offset, unsigned size, bool is_write,
                 uint64_t *linear);

bool exec_memory(struct exec *exec, enum insn_access access, uint64_t linear, unsigned size, uint64_t *value);

/* A memory operand between its read and its write. */
struct operand {
    unsigned size;
    uint64_t linear;
};

/* Resolves the ModRM memory operand, with all segment checks. */
bool exec_operand(struct exec *exec, unsigned size, bool is_write, struct operand *operand);
/* `access`: INSN_READ, INSN_READ_MODIFY or INSN_PROBE_WRITE (value may be NULL). */
bool exec_operand_read(struct exec *exec, const struct operand *operand, enum insn_access access,
                       uint64_t *value);
bool exec_operand_write(struct exec *exec, const struct operand *operand, uint64_t value);

#endif
