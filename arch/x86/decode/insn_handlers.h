/*
 * The executor's families of instructions. Each handler carries out exec->insn and returns true, or returns
 * false with result->status and fault filled and nothing changed. `size`: 1 for byte forms, else the operand
 * size. Internal to arch/x86/decode.
 */
#ifndef ARCH_X86_DECODE_INSN_HANDLERS_H
#define ARCH_X86_DECODE_INSN_HANDLERS_H

#include "arch/x86/decode/insn_alu.h"
#include "arch/x86/decode/insn_operand.h"

/* insn_arith.c: read, compute, write */
bool exec_binary_to_memory(struct exec *exec, enum alu_operation operation, unsigned size, uint64_t value);
bool exec_binary_to_register(struct exec *exec, enum alu_operation operation, unsigned size);
bool exec_group_3(struct exec *exec, unsigned size); /* F6, F7: TEST, NOT, NEG */
bool exec_inc_dec(struct exec *exec, unsigned size); /* FE, FF /0 and /1 */
bool exec_bit_register(struct exec *exec);           /* BT, BTS, BTR, BTC r/m,r */
bool exec_bit_immediate(struct exec *exec);          /* 0F BA */
bool exec_xchg(struct exec *exec, unsigned size);
bool exec_xadd(struct exec *exec, unsigned size);
bool exec_cmpxchg(struct exec *exec, unsigned size);

/* insn_move.c: loads and stores */
bool exec_load(struct exec *exec, unsigned size);
bool exec_store(struct exec *exec, unsigned size, uint64_t value);
bool exec_load_extended(struct exec *exec, unsigned from_size, bool is_signed);
bool exec_moffs(struct exec *exec);
bool exec_movbe(struct exec *exec);
bool exec_cmov(struct exec *exec);
bool exec_movnti(struct exec *exec);

/* insn_stack.c */
bool exec_push(struct exec *exec, uint64_t value);
bool exec_push_memory(struct exec *exec);
bool exec_pop_register(struct exec *exec, unsigned number);
bool exec_pop_memory(struct exec *exec);

/* insn_string.c */
bool exec_string(struct exec *exec, unsigned max_iterations);

/* rSI, rDI or rCX as the address size sees it; and moving an index register one element on, by DF. */
static inline uint64_t string_register(const struct exec *exec, unsigned number)
{
    return exec_read_gpr(exec, number, exec->insn->address_size);
}
static inline void string_advance(struct exec *exec, unsigned number, unsigned size)
{
    uint64_t step = exec->regs->rflags & INSN_FLAG_DF ? (uint64_t)0 - size : size;

    exec_write_gpr(exec, number, exec->insn->address_size, string_register(exec, number) + step);
}

#endif
