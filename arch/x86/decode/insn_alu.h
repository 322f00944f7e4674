/*
 * The arithmetic of the executor: results and status flags, pure. Operands and results are zero-extended
 * values of `size` bytes (1, 2, 4, 8); *rflags has its status bits replaced as the instruction defines, its
 * others kept. Internal to arch/x86/decode. Source: AMD APM vol. 3, "General-Purpose Instruction Reference";
 * vol. 1, "Flags Register".
 */
#ifndef ARCH_X86_DECODE_INSN_ALU_H
#define ARCH_X86_DECODE_INSN_ALU_H

#include "lib/base.h"

/* In the order of opcode bits 5:3 and of group 1; TEST behind them. */
enum alu_operation { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST };

/* In the order of group 8 (ModRM.reg 4 to 7). */
enum alu_bit_operation { ALU_BT, ALU_BTS, ALU_BTR, ALU_BTC };

/* CMP returns the difference, TEST the conjunction. */
uint64_t alu_binary(enum alu_operation operation, unsigned size, uint64_t left, uint64_t right,
                    uint64_t *rflags);

uint64_t alu_increment(unsigned size, uint64_t value, uint64_t *rflags); /* CF is kept */
uint64_t alu_decrement(unsigned size, uint64_t value, uint64_t *rflags);
uint64_t alu_negate(unsigned size, uint64_t value, uint64_t *rflags);

/* `bit`: below 8 * size. */
uint64_t alu_bit(enum alu_bit_operation operation, uint64_t value, unsigned bit, uint64_t *rflags);

/* Condition code 0 to 15, as in Jcc, SETcc and CMOVcc. */
bool alu_condition(unsigned code, uint64_t rflags);

#endif
