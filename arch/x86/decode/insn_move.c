/*
 * Loads and stores: MOV and its extending, byte-swapping and conditional relatives. No flags. Sources and
 * choices: insn_exec.h.
 */
#include "arch/x86/decode/insn_cursor.h"
#include "arch/x86/decode/insn_handlers.h"

bool exec_load(struct exec *exec, unsigned size)
{
    struct operand operand;
    uint64_t value;

    if (!exec_operand(exec, size, false, &operand) || !exec_operand_read(exec, &operand, INSN_READ, &value))
        return false;
    exec_write_gpr(exec, exec->insn->reg, size, value);
    return true;
}

bool exec_store(struct exec *exec, unsigned size, uint64_t value)
{
    struct operand operand;

    return exec_operand(exec, size, true, &operand) && exec_operand_write(exec, &operand, value);
}

bool exec_load_extended(struct exec *exec, unsigned from_size, bool is_signed)
{
    struct operand operand;
    uint64_t value;

    if (!exec_operand(exec, from_size, false, &operand) ||
        !exec_operand_read(exec, &operand, INSN_READ, &value))
        return false;
    if (is_signed)
        value = (uint64_t)insn_sign_extend(value, from_size);
    exec_write_gpr(exec, exec->insn->reg, exec->insn->operand_size, value);
    return true;
}

/* A0 to A3: between AL or rAX and an address that stands in the instruction. */
bool exec_moffs(struct exec *exec)
{
    const struct insn *insn = exec->insn;
    struct operand operand = {.size = insn->opcode & 1 ? insn->operand_size : 1};
    bool is_store = (insn->opcode & 2) != 0;
    uint64_t value;

    if (!exec_linear(exec, insn->segment, (uint64_t)insn->displacement, operand.size, is_store,
                     &operand.linear))
        return false;
    if (is_store)
        return exec_operand_write(exec, &operand, exec_read_gpr(exec, INSN_RAX, operand.size));
    if (!exec_operand_read(exec, &operand, INSN_READ, &value))
        return false;
    exec_write_gpr(exec, INSN_RAX, operand.size, value);
    return true;
}

static uint64_t swap_bytes(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

/* 0F 38 F0 loads, F1 stores. */
bool exec_movbe(struct exec *exec)
{
    const struct insn *insn = exec->insn;
    unsigned size = insn->operand_size;
    struct operand operand;
    uint64_t value;

    if (insn->opcode == 0xF1)
        return exec_store(exec, size, swap_bytes(exec_read_gpr(exec, insn->reg, size), size));
    if (!exec_operand(exec, size, false, &operand) || !exec_operand_read(exec, &operand, INSN_READ, &value))
        return false;
    exec_write_gpr(exec, insn->reg, size, swap_bytes(value, size));
    return true;
}

bool exec_cmov(struct exec *exec)
{
    const struct insn *insn = exec->insn;
    unsigned size = insn->operand_size;
    struct operand operand;
    uint64_t value;

    if (!exec_operand(exec, size, false, &operand) || !exec_operand_read(exec, &operand, INSN_READ, &value))
        return false;
    if (!alu_condition(insn->opcode & 15, exec->regs->rflags))
        value = exec_read_gpr(exec, insn->reg, size);
    exec_write_gpr(exec, insn->reg, size, value);
    return true;
}

/* Four bytes, or eight with REX.W; the place behind 66, F2 and F3 is undefined. */
bool exec_movnti(struct exec *exec)
{
    const struct insn *insn = exec->insn;
    unsigned size = insn->operand_size == 8 ? 8 : 4;

    if (insn->prefix.repeat != 0 || insn->prefix.operand_size)
        return exec_fault(exec, INSN_VECTOR_UD);
    return exec_store(exec, size, exec_read_gpr(exec, insn->reg, size));
}
