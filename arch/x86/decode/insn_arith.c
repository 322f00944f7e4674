/*
 * Instructions that read memory, compute, and mostly write it back: the ALU group, increments, bit tests,
 * exchanges. Registers and flags change only behind the last memory access. Sources and choices: insn_exec.h.
 */
#include "arch/x86/decode/insn_handlers.h"

bool exec_binary_to_memory(struct exec *exec, enum alu_operation operation, unsigned size, uint64_t value)
{
    bool writes = operation != ALU_CMP && operation != ALU_TEST;
    uint64_t flags = exec->regs->rflags;
    struct operand operand;
    uint64_t old;

    if (!exec_operand(exec, size, writes, &operand) ||
        !exec_operand_read(exec, &operand, writes ? INSN_READ_MODIFY : INSN_READ, &old))
        return false;
    uint64_t result = alu_binary(operation, size, old, value, &flags);
    if (writes && !exec_operand_write(exec, &operand, result))
        return false;
    exec->regs->rflags = flags;
    return true;
}

bool exec_binary_to_register(struct exec *exec, enum alu_operation operation, unsigned size)
{
    struct operand operand;
    uint64_t value;

    if (!exec_operand(exec, size, false, &operand) || !exec_operand_read(exec, &operand, INSN_READ, &value))
        return false;
    uint64_t left = exec_read_gpr(exec, exec->insn->reg, size);
    uint64_t result = alu_binary(operation, size, left, value, &exec->regs->rflags);
    if (operation != ALU_CMP)
        exec_write_gpr(exec, exec->insn->reg, size, result);
    return true;
}

static bool exec_not_neg(struct exec *exec, unsigned size, bool is_neg)
{
    uint64_t flags = exec->regs->rflags;
    struct operand operand;
    uint64_t value;

    if (!exec_operand(exec, size, true, &operand) ||
        !exec_operand_read(exec, &operand, INSN_READ_MODIFY, &value))
        return false;
    uint64_t result = is_neg ? alu_negate(size, value, &flags) : ~value;
    if (!exec_operand_write(exec, &operand, result))
        return false;
    exec->regs->rflags = flags;
    return true;
}

bool exec_group_3(struct exec *exec, unsigned size)
{
    unsigned member = exec->insn->modrm >> 3 & 7;

    if (member <= 1)
        return exec_binary_to_memory(exec, ALU_TEST, size, (uint64_t)exec->insn->immediate);
    if (member <= 3)
        return exec_not_neg(exec, size, member == 3);
    return exec_unsupported(exec);
}

bool exec_inc_dec(struct exec *exec, unsigned size)
{
    bool is_dec = (exec->insn->modrm >> 3 & 7) == 1;
    uint64_t flags = exec->regs->rflags;
    struct operand operand;
    uint64_t value;

    if (!exec_operand(exec, size, true, &operand) ||
        !exec_operand_read(exec, &operand, INSN_READ_MODIFY, &value))
        return false;
    uint64_t result = is_dec ? alu_decrement(size, value, &flags) : alu_increment(size, value, &flags);
    if (!exec_operand_write(exec, &operand, result))
        return false;
    exec->regs->rflags = flags;
    return true;
}

static bool bit_at(struct exec *exec, uint64_t offset, unsigned bit, enum alu_bit_operation operation)
{
    struct operand operand = {.size = exec->insn->operand_size};
    bool writes = operation != ALU_BT;
    uint64_t flags = exec->regs->rflags;
    uint64_t value;

    if (!exec_linear(exec, exec->insn->segment, offset, operand.size, writes, &operand.linear) ||
        !exec_operand_read(exec, &operand, writes ? INSN_READ_MODIFY : INSN_READ, &value))
        return false;
    uint64_t result = alu_bit(operation, value, bit, &flags);
    if (writes && !exec_operand_write(exec, &operand, result))
        return false;
    exec->regs->rflags = flags;
    return true;
}

/* A bit string: the register's sign-extended bit number moves the address by whole operands. */
bool exec_bit_register(struct exec *exec)
{
    const struct insn *insn = exec->insn;
    unsigned size = insn->operand_size;
    unsigned bits = 8 * size;
    int shift = size == 8 ? 6 : size == 4 ? 5 : 4;
    uint64_t raw = exec_read_gpr(exec, insn->reg, size);
    int64_t number = (int64_t)(raw << (64 - bits)) >> (64 - bits);
    uint64_t offset = exec_effective_address(exec, exec->regs->gpr[INSN_RSP]);

    offset = (offset + (uint64_t)(number >> shift) * size) & size_mask(insn->address_size);
    return bit_at(exec, offset, (unsigned)raw & (bits - 1), (enum alu_bit_operation)(insn->opcode >> 3 & 3));
}

bool exec_bit_immediate(struct exec *exec)
{
    const struct insn *insn = exec->insn;
    unsigned member = insn->modrm >> 3 & 7;

    if (member < 4)
        return exec_fault(exec, INSN_VECTOR_UD);
    return bit_at(exec, exec_effective_address(exec, exec->regs->gpr[INSN_RSP]),
                  (unsigned)insn->immediate & (8u * insn->operand_size - 1),
                  (enum alu_bit_operation)(member & 3));
}

bool exec_xchg(struct exec *exec, unsigned size)
{
    struct operand operand;
    uint64_t old;

    if (!exec_operand(exec, size, true, &operand) ||
        !exec_operand_read(exec, &operand, INSN_READ_MODIFY, &old) ||
        !exec_operand_write(exec, &operand, exec_read_gpr(exec, exec->insn->reg, size)))
        return false;
    exec_write_gpr(exec, exec->insn->reg, size, old);
    return true;
}

bool exec_xadd(struct exec *exec, unsigned size)
{
    uint64_t flags = exec->regs->rflags;
    struct operand operand;
    uint64_t old;

    if (!exec_operand(exec, size, true, &operand) ||
        !exec_operand_read(exec, &operand, INSN_READ_MODIFY, &old))
        return false;
    uint64_t sum = alu_binary(ALU_ADD, size, old, exec_read_gpr(exec, exec->insn->reg, size), &flags);
    if (!exec_operand_write(exec, &operand, sum))
        return false;
    exec_write_gpr(exec, exec->insn->reg, size, old);
    exec->regs->rflags = flags;
    return true;
}

bool exec_cmpxchg(struct exec *exec, unsigned size)
{
    uint64_t flags = exec->regs->rflags;
    struct operand operand;
    uint64_t old;

    if (!exec_operand(exec, size, true, &operand) ||
        !exec_operand_read(exec, &operand, INSN_READ_MODIFY, &old))
        return false;
    alu_binary(ALU_CMP, size, exec_read_gpr(exec, INSN_RAX, size), old, &flags);
    bool equal = (flags & INSN_FLAG_ZF) != 0;
    if (!exec_operand_write(exec, &operand, equal ? exec_read_gpr(exec, exec->insn->reg, size) : old))
        return false;
    if (!equal)
        exec_write_gpr(exec, INSN_RAX, size, old);
    exec->regs->rflags = flags;
    return true;
}
