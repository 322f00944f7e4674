/*
 * The executor's dispatch: which handler carries out which opcode. Only forms that touch memory reach a
 * handler; all else is INSN_UNSUPPORTED. Contract, sources and choices: insn_exec.h.
 */
#include "arch/x86/decode/insn_handlers.h"

/* Does LOCK go with this instruction (its operand being memory)? */
static bool is_lockable(const struct insn *insn)
{
    unsigned member = insn->modrm >> 3 & 7;
    uint8_t opcode = insn->opcode;

    if (insn->map == INSN_MAP_0F) {
        switch (opcode) {
        case 0xAB:
        case 0xB0:
        case 0xB1:
        case 0xB3:
        case 0xBB:
        case 0xC0:
        case 0xC1:
        case 0xC7: /* CMPXCHG8B, refused further on */
            return true;
        case 0xBA:
            return member >= 5;
        default:
            return false;
        }
    }
    if (insn->map != INSN_MAP_PRIMARY)
        return false;
    if (opcode < 0x38)
        return (opcode & 7) <= 1; /* to memory, but not CMP */
    if (opcode >= 0x80 && opcode <= 0x83)
        return member != ALU_CMP;
    if (opcode == 0xF6 || opcode == 0xF7)
        return member == 2 || member == 3;
    if (opcode == 0xFE || opcode == 0xFF)
        return member <= 1;
    return opcode == 0x86 || opcode == 0x87;
}

/* 00 to 3F but for the accumulator forms: op r/m,r (0, 1) and op r,r/m (2, 3). */
static bool exec_alu_row(struct exec *exec, unsigned size)
{
    enum alu_operation operation = (enum alu_operation)(exec->insn->opcode >> 3);

    switch (exec->insn->opcode & 7) {
    case 0:
    case 1:
        return exec_binary_to_memory(exec, operation, size, exec_read_gpr(exec, exec->insn->reg, size));
    case 2:
    case 3:
        return exec_binary_to_register(exec, operation, size);
    default:
        return exec_unsupported(exec);
    }
}

static bool exec_group_5(struct exec *exec)
{
    unsigned member = exec->insn->modrm >> 3 & 7;

    if (member <= 1)
        return exec_inc_dec(exec, exec->insn->operand_size);
    return member == 6 ? exec_push_memory(exec) : exec_unsupported(exec);
}

/* Primary-map instructions with a ModRM memory operand. */
static bool exec_primary_modrm(struct exec *exec)
{
    const struct insn *insn = exec->insn;
    unsigned size = insn->opcode & 1 ? insn->operand_size : 1;

    if (insn->opcode < 0x40)
        return exec_alu_row(exec, size);
    switch (insn->opcode) {
    case 0x63: /* ARPL outside 64-bit mode */
        return insn_mode_is_64(insn->mode) ? exec_load_extended(exec, MIN(insn->operand_size, 4), true)
                                           : exec_unsupported(exec);
    case 0x80:
    case 0x81:
    case 0x82:
    case 0x83:
        return exec_binary_to_memory(exec, (enum alu_operation)(insn->modrm >> 3 & 7), size,
                                     (uint64_t)insn->immediate);
    case 0x84:
    case 0x85:
        return exec_binary_to_memory(exec, ALU_TEST, size, exec_read_gpr(exec, insn->reg, size));
    case 0x86:
    case 0x87:
        return exec_xchg(exec, size);
    case 0x88:
    case 0x89:
        return exec_store(exec, size, exec_read_gpr(exec, insn->reg, size));
    case 0x8A:
    case 0x8B:
        return exec_load(exec, size);
    case 0x8F:
        return exec_pop_memory(exec);
    case 0xC6:
    case 0xC7:
        return exec_store(exec, size, (uint64_t)insn->immediate);
    case 0xF6:
    case 0xF7:
        return exec_group_3(exec, size);
    case 0xFE:
        return exec_inc_dec(exec, 1);
    case 0xFF:
        return exec_group_5(exec);
    default:
        return exec_unsupported(exec);
    }
}

/* Primary-map instructions whose memory operand is implied. */
static bool exec_primary_implied(struct exec *exec, unsigned max_iterations)
{
    const struct insn *insn = exec->insn;
    unsigned number = (insn->opcode & 7) | (insn->prefix.rex & 1 ? 8u : 0);

    switch (insn->opcode) {
    case 0x68:
    case 0x6A:
        return exec_push(exec, (uint64_t)insn->immediate);
    case 0xA0:
    case 0xA1:
    case 0xA2:
    case 0xA3:
        return exec_moffs(exec);
    case 0xA4:
    case 0xA5:
    case 0xA6:
    case 0xA7:
    case 0xAA:
    case 0xAB:
    case 0xAC:
    case 0xAD:
    case 0xAE:
    case 0xAF:
        return exec_string(exec, max_iterations);
    default:
        break;
    }
    if ((insn->opcode & 0xF8) == 0x50)
        return exec_push(exec, exec_read_gpr(exec, number, insn->operand_size));
    if ((insn->opcode & 0xF8) == 0x58)
        return exec_pop_register(exec, number);
    return exec_unsupported(exec);
}

static bool exec_0f(struct exec *exec)
{
    const struct insn *insn = exec->insn;
    unsigned size = insn->opcode & 1 ? insn->operand_size : 1;

    if ((insn->opcode & 0xF0) == 0x40)
        return exec_cmov(exec);
    if ((insn->opcode & 0xF0) == 0x90)
        return exec_store(exec, 1, alu_condition(insn->opcode & 15, exec->regs->rflags));
    switch (insn->opcode) {
    case 0xA3:
    case 0xAB:
    case 0xB3:
    case 0xBB:
        return exec_bit_register(exec);
    case 0xBA:
        return exec_bit_immediate(exec);
    case 0xB0:
    case 0xB1:
        return exec_cmpxchg(exec, size);
    case 0xB6:
    case 0xB7:
        return exec_load_extended(exec, insn->opcode & 1 ? 2 : 1, false);
    case 0xBE:
    case 0xBF:
        return exec_load_extended(exec, insn->opcode & 1 ? 2 : 1, true);
    case 0xC0:
    case 0xC1:
        return exec_xadd(exec, size);
    case 0xC3:
        return exec_movnti(exec);
    default:
        return exec_unsupported(exec);
    }
}

void insn_execute(struct insn_regs *regs, const struct insn *insn, const struct insn_bus *bus,
                  unsigned max_iterations, struct insn_result *result)
{
    struct exec exec = {.regs = regs, .insn = insn, .bus = bus, .result = result};
    bool is_movbe = insn->map == INSN_MAP_0F38 && (insn->opcode & 0xFE) == 0xF0 && insn->prefix.repeat == 0;

    *result = (struct insn_result){.status = INSN_DONE};
    if (insn->encoding != INSN_LEGACY || (insn->has_modrm && !insn->has_memory))
        exec_unsupported(&exec);
    else if (insn->prefix.lock && !is_lockable(insn))
        exec_fault(&exec, INSN_VECTOR_UD);
    else if (insn->map == INSN_MAP_PRIMARY && insn->has_modrm)
        exec_primary_modrm(&exec);
    else if (insn->map == INSN_MAP_PRIMARY)
        exec_primary_implied(&exec, max_iterations);
    else if (insn->map == INSN_MAP_0F && insn->has_modrm)
        exec_0f(&exec);
    else if (is_movbe)
        exec_movbe(&exec);
    else
        exec_unsupported(&exec);
}
