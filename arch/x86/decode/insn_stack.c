/*
 * PUSH and POP with a memory operand, and the register forms for a stack that lies in a trapped page. The
 * operand size is 16, 32 or 64 bits, the stack's address size that of SS (64 bits in 64-bit mode). Source:
 * AMD APM vol. 3, "PUSH" and "POP"; vol. 1, "Stack Operation".
 */
#include "arch/x86/decode/insn_handlers.h"

static unsigned stack_address_size(const struct exec *exec)
{
    if (insn_mode_is_64(exec->insn->mode))
        return 8;
    return exec->regs->segments[INSN_SS].attributes & INSN_SEGMENT_BIG ? 4 : 2;
}

/* RSP moved by `change`: with a 16-bit stack only SP moves. */
static uint64_t moved_rsp(const struct exec *exec, uint64_t change)
{
    uint64_t rsp = exec->regs->gpr[INSN_RSP];
    unsigned size = stack_address_size(exec);
    uint64_t moved = (rsp + change) & size_mask(size);

    return size == 2 ? (rsp & ~UINT64_C(0xFFFF)) | moved : moved;
}

static bool stack_slot(struct exec *exec, uint64_t rsp, bool is_write, struct operand *slot)
{
    slot->size = exec->insn->operand_size;
    return exec_linear(exec, INSN_SS, rsp & size_mask(stack_address_size(exec)), slot->size, is_write,
                       &slot->linear);
}

bool exec_push(struct exec *exec, uint64_t value)
{
    uint64_t rsp = moved_rsp(exec, (uint64_t)0 - exec->insn->operand_size);
    struct operand slot;

    if (!stack_slot(exec, rsp, true, &slot) || !exec_operand_write(exec, &slot, value))
        return false;
    exec->regs->gpr[INSN_RSP] = rsp;
    return true;
}

bool exec_push_memory(struct exec *exec)
{
    uint64_t rsp = moved_rsp(exec, (uint64_t)0 - exec->insn->operand_size);
    struct operand source, slot;
    uint64_t value = 0;

    if (!exec_operand(exec, exec->insn->operand_size, false, &source) ||
        !stack_slot(exec, rsp, true, &slot) || !exec_operand_read(exec, &slot, INSN_PROBE_WRITE, &value) ||
        !exec_operand_read(exec, &source, INSN_READ, &value) || !exec_operand_write(exec, &slot, value))
        return false;
    exec->regs->gpr[INSN_RSP] = rsp;
    return true;
}

bool exec_pop_register(struct exec *exec, unsigned number)
{
    struct operand slot;
    uint64_t value;

    if (!stack_slot(exec, exec->regs->gpr[INSN_RSP], false, &slot) ||
        !exec_operand_read(exec, &slot, INSN_READ, &value))
        return false;
    exec->regs->gpr[INSN_RSP] = moved_rsp(exec, exec->insn->operand_size);
    exec_write_gpr(exec, number, exec->insn->operand_size, value);
    return true;
}

/* An RSP in the address of the operand counts as already incremented. */
bool exec_pop_memory(struct exec *exec)
{
    const struct insn *insn = exec->insn;
    uint64_t rsp = moved_rsp(exec, insn->operand_size);
    struct operand slot, destination = {.size = insn->operand_size};
    uint64_t value = 0;

    if (!stack_slot(exec, exec->regs->gpr[INSN_RSP], false, &slot) ||
        !exec_linear(exec, insn->segment, exec_effective_address(exec, rsp), destination.size, true,
                     &destination.linear) ||
        !exec_operand_read(exec, &destination, INSN_PROBE_WRITE, &value) ||
        !exec_operand_read(exec, &slot, INSN_READ, &value) || !exec_operand_write(exec, &destination, value))
        return false;
    exec->regs->gpr[INSN_RSP] = rsp;
    return true;
}
