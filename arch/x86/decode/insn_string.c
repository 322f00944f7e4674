/*
 * MOVS, CMPS, STOS, LODS and SCAS, with and without REP. An iteration is a unit: registers and flags move
 * only when all its memory accesses are done. Source: AMD APM vol. 3, "Repeat Prefixes", "MOVS", "CMPS",
 * "STOS", "LODS", "SCAS". Choices: insn_exec.h.
 */
#include "arch/x86/decode/insn_handlers.h"

/* Resolves DS:rSI (or an override) or ES:rDI. */
static bool string_operand(struct exec *exec, unsigned number, unsigned size, bool is_write,
                           struct operand *operand)
{
    unsigned segment = number == INSN_RDI ? INSN_ES : exec->insn->segment;

    operand->size = size;
    return exec_linear(exec, segment, string_register(exec, number), size, is_write, &operand->linear);
}

static bool movs(struct exec *exec, unsigned size)
{
    struct operand source, destination;
    uint64_t value = 0;

    if (!string_operand(exec, INSN_RSI, size, false, &source) ||
        !string_operand(exec, INSN_RDI, size, true, &destination) ||
        !exec_operand_read(exec, &destination, INSN_PROBE_WRITE, &value) ||
        !exec_operand_read(exec, &source, INSN_READ, &value) ||
        !exec_operand_write(exec, &destination, value))
        return false;
    string_advance(exec, INSN_RSI, size);
    string_advance(exec, INSN_RDI, size);
    return true;
}

static bool cmps(struct exec *exec, unsigned size)
{
    struct operand left, right;
    uint64_t left_value, right_value = 0;

    if (!string_operand(exec, INSN_RSI, size, false, &left) ||
        !string_operand(exec, INSN_RDI, size, false, &right) ||
        !exec_operand_read(exec, &right, INSN_PROBE_READ, &right_value) ||
        !exec_operand_read(exec, &left, INSN_READ, &left_value) ||
        !exec_operand_read(exec, &right, INSN_READ, &right_value))
        return false;
    alu_binary(ALU_CMP, size, left_value, right_value, &exec->regs->rflags);
    string_advance(exec, INSN_RSI, size);
    string_advance(exec, INSN_RDI, size);
    return true;
}

static bool stos(struct exec *exec, unsigned size)
{
    struct operand destination;

    if (!string_operand(exec, INSN_RDI, size, true, &destination) ||
        !exec_operand_write(exec, &destination, exec_read_gpr(exec, INSN_RAX, size)))
        return false;
    string_advance(exec, INSN_RDI, size);
    return true;
}

static bool lods(struct exec *exec, unsigned size)
{
    struct operand source;
    uint64_t value;

    if (!string_operand(exec, INSN_RSI, size, false, &source) ||
        !exec_operand_read(exec, &source, INSN_READ, &value))
        return false;
    exec_write_gpr(exec, INSN_RAX, size, value);
    string_advance(exec, INSN_RSI, size);
    return true;
}

static bool scas(struct exec *exec, unsigned size)
{
    struct operand right;
    uint64_t value;

    if (!string_operand(exec, INSN_RDI, size, false, &right) ||
        !exec_operand_read(exec, &right, INSN_READ, &value))
        return false;
    alu_binary(ALU_CMP, size, exec_read_gpr(exec, INSN_RAX, size), value, &exec->regs->rflags);
    string_advance(exec, INSN_RDI, size);
    return true;
}

static bool iterate(struct exec *exec)
{
    unsigned size = exec->insn->opcode & 1 ? exec->insn->operand_size : 1;

    switch (exec->insn->opcode & 0xFE) {
    case 0xA4:
        return movs(exec, size);
    case 0xA6:
        return cmps(exec, size);
    case 0xAA:
        return stos(exec, size);
    case 0xAC:
        return lods(exec, size);
    default:
        return scas(exec, size);
    }
}

/* Does the comparison just made end REPE (F3) or REPNE (F2)? */
static bool comparison_ends(const struct exec *exec)
{
    uint8_t kind = exec->insn->opcode & 0xFE;
    bool is_zero = (exec->regs->rflags & INSN_FLAG_ZF) != 0;

    if (kind != 0xA6 && kind != 0xAE)
        return false;
    return is_zero != (exec->insn->prefix.repeat == 0xF3);
}

bool exec_string(struct exec *exec, unsigned max_iterations)
{
    bool repeats = exec->insn->prefix.repeat != 0;
    unsigned address_size = exec->insn->address_size;

    if (!repeats) {
        exec->result->iterations = iterate(exec) ? 1 : 0;
        return exec->result->iterations == 1;
    }
    uint64_t count = string_register(exec, INSN_RCX);
    if (count == 0)
        return true;
    do {
        if (!iterate(exec))
            return false;
        exec->result->iterations++;
        exec_write_gpr(exec, INSN_RCX, address_size, --count);
        if (count == 0 || comparison_ends(exec))
            return true;
    } while (exec->result->iterations < max_iterations);
    exec->result->status = INSN_CONTINUE;
    return true;
}
