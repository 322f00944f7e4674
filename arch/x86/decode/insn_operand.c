/*
 * Operands of the instruction being carried out: registers, addresses, segment checks, memory. Contract:
 * insn_operand.h. Sources: AMD APM vol. 1, "Effective Addresses"; vol. 2, "Limit Checks", "Type Checks",
 * "Canonical Address Form".
 */
#include "arch/x86/decode/insn_operand.h"

bool exec_fault(struct exec *exec, unsigned vector)
{
    exec->result->status = INSN_FAULT;
    exec->result->fault = (struct insn_fault){
        .vector = (uint8_t)vector,
        .has_error_code = vector != INSN_VECTOR_UD && exec->regs->protected_mode,
    };
    return false;
}

bool exec_unsupported(struct exec *exec)
{
    exec->result->status = INSN_UNSUPPORTED;
    return false;
}

/* AH, CH, DH and BH: byte registers 4 to 7 in the absence of any REX. */
static bool is_high_byte(const struct exec *exec, unsigned number, unsigned size)
{
    return size == 1 && number >= 4 && number < 8 && exec->insn->prefix.rex == 0;
}

uint64_t exec_read_gpr(const struct exec *exec, unsigned number, unsigned size)
{
    const uint64_t *gpr = exec->regs->gpr;

    if (is_high_byte(exec, number, size))
        return gpr[number - 4] >> 8 & 0xFF;
    return gpr[number & 15] & size_mask(size);
}

void exec_write_gpr(struct exec *exec, unsigned number, unsigned size, uint64_t value)
{
    uint64_t *gpr = exec->regs->gpr;
    uint64_t mask = size == 4 ? UINT64_MAX : size_mask(size);

    value &= size_mask(size);
    if (is_high_byte(exec, number, size))
        gpr[number - 4] = (gpr[number - 4] & ~UINT64_C(0xFF00)) | value << 8;
    else
        gpr[number & 15] = (gpr[number & 15] & ~mask) | value;
}

uint64_t exec_effective_address(const struct exec *exec, uint64_t rsp)
{
    const struct insn *insn = exec->insn;
    const uint64_t *gpr = exec->regs->gpr;
    uint64_t address = (uint64_t)insn->displacement;

    if (insn->rip_relative)
        address += exec->regs->rip + insn->length;
    if (insn->base != INSN_NO_GPR)
        address += insn->base == INSN_RSP ? rsp : gpr[insn->base & 15];
    if (insn->index != INSN_NO_GPR)
        address += gpr[insn->index & 15] * insn->scale;
    return address & size_mask(insn->address_size);
}

static bool is_canonical(const struct exec *exec, uint64_t linear)
{
    unsigned shift = exec->regs->la57 ? 64 - 57 : 64 - 48;

    return (uint64_t)((int64_t)(linear << shift) >> shift) == linear;
}

/* May the segment be used this way at all? Real and virtual-8086 mode don't look. */
static bool is_type_allowed(const struct exec *exec, const struct insn_segment *segment, bool is_write)
{
    unsigned attributes = segment->attributes;

    if (!exec->regs->protected_mode)
        return true;
    if (!(attributes & INSN_SEGMENT_PRESENT))
        return false;
    if (attributes & INSN_SEGMENT_CODE)
        return !is_write && (attributes & INSN_SEGMENT_WRITABLE);
    return !is_write || (attributes & INSN_SEGMENT_WRITABLE);
}

static bool is_in_limit(const struct exec *exec, const struct insn_segment *segment, uint64_t offset,
                        unsigned size)
{
    unsigned attributes = segment->attributes;
    bool expands_down = exec->regs->protected_mode && !(attributes & INSN_SEGMENT_CODE) &&
                        (attributes & INSN_SEGMENT_EXPAND_DOWN);
    uint64_t last = offset + size - 1;

    if (!expands_down)
        return last <= segment->limit;
    return offset > segment->limit && last <= (attributes & INSN_SEGMENT_BIG ? UINT32_MAX : UINT16_MAX);
}

bool exec_linear(struct exec *exec, unsigned segment, uint64_t offset, unsigned size, bool is_write,
                 uint64_t *linear)
{
    const struct insn_segment *descriptor = &exec->regs->segments[segment];
    unsigned vector = segment == INSN_SS ? INSN_VECTOR_SS : INSN_VECTOR_GP;

    if (insn_mode_is_64(exec->insn->mode)) {
        *linear = offset + (segment == INSN_FS || segment == INSN_GS ? descriptor->base : 0);
        if (!is_canonical(exec, *linear) || !is_canonical(exec, *linear + size - 1))
            return exec_fault(exec, vector);
        return true;
    }
    if (!is_type_allowed(exec, descriptor, is_write))
        return exec_fault(exec, INSN_VECTOR_GP);
    if (!is_in_limit(exec, descriptor, offset, size))
        return exec_fault(exec, vector);
    *linear = (descriptor->base + offset) & UINT32_MAX;
    return true;
}

bool exec_memory(struct exec *exec, enum insn_access access, uint64_t linear, unsigned size, uint64_t *value)
{
    struct insn_fault fault = {0};

    if (exec->bus->memory(exec->bus->opaque, access, linear, size, value, &fault)) {
        if (access == INSN_READ || access == INSN_READ_MODIFY)
            *value &= size_mask(size);
        return true;
    }
    exec->result->status = INSN_FAULT;
    exec->result->fault = fault;
    return false;
}

bool exec_operand(struct exec *exec, unsigned size, bool is_write, struct operand *operand)
{
    uint64_t offset = exec_effective_address(exec, exec->regs->gpr[INSN_RSP]);

    operand->size = size;
    return exec_linear(exec, exec->insn->segment, offset, size, is_write, &operand->linear);
}

bool exec_operand_read(struct exec *exec, const struct operand *operand, enum insn_access access,
                       uint64_t *value)
{
    return exec_memory(exec, access, operand->linear, operand->size, value);
}

bool exec_operand_write(struct exec *exec, const struct operand *operand, uint64_t value)
{
    value &= size_mask(operand->size);
    return exec_memory(exec, INSN_WRITE, operand->linear, operand->size, &value);
}
