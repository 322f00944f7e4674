/*
 * INS and OUTS, one iteration at a time: the run loop charges each and lets interrupts in between. The memory
 * side is checked, and for INS probed, before the port is touched, so a fault never costs the guest a byte.
 * IOPL and the I/O permission map were checked by the CPU. Source: AMD APM vol. 3, "INS", "OUTS", "Repeat
 * Prefixes". Contract: insn_exec.h.
 */
#include "arch/x86/decode/insn_handlers.h"

static bool ins(struct exec *exec, uint16_t port, unsigned size)
{
    struct operand destination = {.size = size};
    uint64_t unused = 0;
    uint32_t value = 0;

    if (!exec_linear(exec, INSN_ES, string_register(exec, INSN_RDI), size, true, &destination.linear) ||
        !exec_operand_read(exec, &destination, INSN_PROBE_WRITE, &unused))
        return false;
    exec->bus->port(exec->bus->opaque, true, port, size, &value);
    if (!exec_operand_write(exec, &destination, value))
        return false;
    string_advance(exec, INSN_RDI, size);
    return true;
}

static bool outs(struct exec *exec, uint16_t port, unsigned size)
{
    struct operand source = {.size = size};
    uint64_t value;

    if (!exec_linear(exec, exec->insn->segment, string_register(exec, INSN_RSI), size, false,
                     &source.linear) ||
        !exec_operand_read(exec, &source, INSN_READ, &value))
        return false;
    uint32_t narrow = (uint32_t)value;
    exec->bus->port(exec->bus->opaque, false, port, size, &narrow);
    string_advance(exec, INSN_RSI, size);
    return true;
}

void insn_string_io(struct insn_regs *regs, const struct insn *insn, const struct insn_bus *bus,
                    struct insn_result *result)
{
    struct exec exec = {.regs = regs, .insn = insn, .bus = bus, .result = result};
    uint16_t port = (uint16_t)regs->gpr[INSN_RDX];
    unsigned size = insn->opcode & 1 ? MIN(insn->operand_size, 4) : 1; /* REX.W does nothing here */
    bool repeats = insn->prefix.repeat != 0;

    *result = (struct insn_result){.status = INSN_DONE};
    if (insn->encoding != INSN_LEGACY || insn->map != INSN_MAP_PRIMARY || (insn->opcode & 0xFC) != 0x6C) {
        exec_unsupported(&exec);
        return;
    }
    if (insn->prefix.lock) {
        exec_fault(&exec, INSN_VECTOR_UD);
        return;
    }
    uint64_t count = string_register(&exec, INSN_RCX);
    if (repeats && count == 0)
        return;
    if (!(insn->opcode & 2 ? outs(&exec, port, size) : ins(&exec, port, size)))
        return;
    result->iterations = 1;
    if (repeats) {
        exec_write_gpr(&exec, INSN_RCX, insn->address_size, --count);
        result->status = count == 0 ? INSN_DONE : INSN_CONTINUE;
    }
}
