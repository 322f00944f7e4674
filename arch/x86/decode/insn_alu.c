/*
 * Results and status flags. Contract: insn_alu.h; undefined flags: insn_exec.h, choice 1.
 */
#include "arch/x86/decode/insn_alu.h"
#include "arch/x86/decode/insn_operand.h"

static uint64_t replace(uint64_t rflags, uint64_t mask, uint64_t flags)
{
    return (rflags & ~mask) | (flags & mask);
}

/* SF, ZF and PF of a result. */
static uint64_t result_flags(unsigned size, uint64_t result)
{
    unsigned low = (unsigned)(result & 0xFF);
    uint64_t flags = 0;

    low ^= low >> 4;
    low ^= low >> 2;
    low ^= low >> 1;
    if (!(low & 1))
        flags |= INSN_FLAG_PF;
    if (result == 0)
        flags |= INSN_FLAG_ZF;
    if (result >> (8 * size - 1) & 1)
        flags |= INSN_FLAG_SF;
    return flags;
}

static uint64_t add(unsigned size, uint64_t left, uint64_t right, unsigned carry, uint64_t *rflags)
{
    uint64_t result = (left + right + carry) & size_mask(size);
    uint64_t flags = result_flags(size, result);

    if (result < left || (carry != 0 && result == left))
        flags |= INSN_FLAG_CF;
    if (((left ^ result) & (right ^ result)) >> (8 * size - 1) & 1)
        flags |= INSN_FLAG_OF;
    flags |= (left ^ right ^ result) & INSN_FLAG_AF;
    *rflags = replace(*rflags, INSN_FLAGS_STATUS, flags);
    return result;
}

static uint64_t subtract(unsigned size, uint64_t left, uint64_t right, unsigned borrow, uint64_t *rflags)
{
    uint64_t result = (left - right - borrow) & size_mask(size);
    uint64_t flags = result_flags(size, result);

    if (left < right || (borrow != 0 && left == right))
        flags |= INSN_FLAG_CF;
    if (((left ^ right) & (left ^ result)) >> (8 * size - 1) & 1)
        flags |= INSN_FLAG_OF;
    flags |= (left ^ right ^ result) & INSN_FLAG_AF;
    *rflags = replace(*rflags, INSN_FLAGS_STATUS, flags);
    return result;
}

static uint64_t logic(unsigned size, uint64_t result, uint64_t *rflags)
{
    *rflags = replace(*rflags, INSN_FLAGS_STATUS, result_flags(size, result));
    return result;
}

uint64_t alu_binary(enum alu_operation operation, unsigned size, uint64_t left, uint64_t right,
                    uint64_t *rflags)
{
    unsigned carry = *rflags & INSN_FLAG_CF ? 1 : 0;

    left &= size_mask(size);
    right &= size_mask(size);
    switch (operation) {
    case ALU_ADD:
        return add(size, left, right, 0, rflags);
    case ALU_ADC:
        return add(size, left, right, carry, rflags);
    case ALU_SUB:
    case ALU_CMP:
        return subtract(size, left, right, 0, rflags);
    case ALU_SBB:
        return subtract(size, left, right, carry, rflags);
    case ALU_OR:
        return logic(size, left | right, rflags);
    case ALU_XOR:
        return logic(size, left ^ right, rflags);
    default:
        return logic(size, left & right, rflags);
    }
}

uint64_t alu_increment(unsigned size, uint64_t value, uint64_t *rflags)
{
    uint64_t flags = *rflags;
    uint64_t result = add(size, value & size_mask(size), 1, 0, &flags);

    *rflags = replace(*rflags, INSN_FLAGS_STATUS & ~INSN_FLAG_CF, flags);
    return result;
}

uint64_t alu_decrement(unsigned size, uint64_t value, uint64_t *rflags)
{
    uint64_t flags = *rflags;
    uint64_t result = subtract(size, value & size_mask(size), 1, 0, &flags);

    *rflags = replace(*rflags, INSN_FLAGS_STATUS & ~INSN_FLAG_CF, flags);
    return result;
}

uint64_t alu_negate(unsigned size, uint64_t value, uint64_t *rflags)
{
    return subtract(size, 0, value & size_mask(size), 0, rflags);
}

uint64_t alu_bit(enum alu_bit_operation operation, uint64_t value, unsigned bit, uint64_t *rflags)
{
    uint64_t mask = BIT64(bit & 63);

    *rflags = replace(*rflags, INSN_FLAG_CF, value & mask ? INSN_FLAG_CF : 0);
    switch (operation) {
    case ALU_BTS:
        return value | mask;
    case ALU_BTR:
        return value & ~mask;
    case ALU_BTC:
        return value ^ mask;
    default:
        return value;
    }
}

bool alu_condition(unsigned code, uint64_t rflags)
{
    bool less = !(rflags & INSN_FLAG_SF) != !(rflags & INSN_FLAG_OF);
    bool holds;

    switch (code >> 1 & 7) {
    case 0:
        holds = (rflags & INSN_FLAG_OF) != 0;
        break;
    case 1:
        holds = (rflags & INSN_FLAG_CF) != 0;
        break;
    case 2:
        holds = (rflags & INSN_FLAG_ZF) != 0;
        break;
    case 3:
        holds = (rflags & (INSN_FLAG_CF | INSN_FLAG_ZF)) != 0;
        break;
    case 4:
        holds = (rflags & INSN_FLAG_SF) != 0;
        break;
    case 5:
        holds = (rflags & INSN_FLAG_PF) != 0;
        break;
    case 6:
        holds = less;
        break;
    default:
        holds = less || (rflags & INSN_FLAG_ZF);
        break;
    }
    return holds != (code & 1);
}
