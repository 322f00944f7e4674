/*
 * ModRM, SIB and displacement: which register or which memory operand.
 * Sources: AMD APM vol. 3, "ModRM and SIB Bytes", "RIP-Relative Addressing"; Intel SDM vol. 2,
 * "Addressing-Mode Encoding of ModR/M and SIB Bytes".
 */
#include "arch/x86/decode/insn_cursor.h"

/* 16-bit addressing: base and index for each ModRM.rm. */
static const uint8_t base_16[8] = {INSN_RBX, INSN_RBX, INSN_RBP, INSN_RBP,
                                   INSN_RSI, INSN_RDI, INSN_RBP, INSN_RBX};
static const uint8_t index_16[8] = {INSN_RSI,    INSN_RDI,    INSN_RSI,    INSN_RDI,
                                    INSN_NO_GPR, INSN_NO_GPR, INSN_NO_GPR, INSN_NO_GPR};

static void take_address_16(struct insn *insn, unsigned mod, unsigned rm)
{
    insn->base = base_16[rm];
    insn->index = index_16[rm];
    insn->displacement_size = (uint8_t)mod; /* none, 1 or 2 bytes */
    if (mod == 0 && rm == 6) {
        insn->base = INSN_NO_GPR;
        insn->displacement_size = 2;
    }
}

static void take_sib(struct insn_cursor *cursor, struct insn *insn, unsigned mod)
{
    uint8_t sib = insn_cursor_next(cursor);
    unsigned index = (sib >> 3 & 7) | (cursor->extend & EXTEND_X ? 8 : 0);
    unsigned base = sib & 7;

    insn->sib = sib;
    insn->scale = (uint8_t)(1 << (sib >> 6));
    insn->index = index == INSN_RSP ? INSN_NO_GPR : (uint8_t)index;
    if (base == INSN_RBP && mod == 0) {
        insn->base = INSN_NO_GPR;
        insn->displacement_size = 4;
    } else {
        insn->base = (uint8_t)(base | (cursor->extend & EXTEND_B ? 8 : 0));
    }
}

static void take_address_32_64(struct insn_cursor *cursor, struct insn *insn, unsigned mod, unsigned rm)
{
    static const uint8_t displacement_sizes[3] = {0, 1, 4};

    insn->displacement_size = displacement_sizes[mod];
    if (rm == INSN_RSP) {
        take_sib(cursor, insn, mod);
    } else if (rm == INSN_RBP && mod == 0) {
        insn->displacement_size = 4;
        insn->rip_relative = insn_mode_is_64(insn->mode);
    } else {
        insn->base = (uint8_t)(rm | (cursor->extend & EXTEND_B ? 8 : 0));
    }
}

void insn_take_modrm(struct insn_cursor *cursor, struct insn *insn, bool register_only)
{
    uint8_t modrm = insn_cursor_next(cursor);
    unsigned mod = modrm >> 6;
    unsigned rm = modrm & 7;

    insn->has_modrm = true;
    insn->modrm = modrm;
    insn->reg = (uint8_t)((modrm >> 3 & 7) | (cursor->extend & EXTEND_R ? 8 : 0));
    insn->rm = (uint8_t)(rm | (cursor->extend & EXTEND_B ? 8 : 0));
    if (mod == 3 || register_only)
        return;

    insn->has_memory = true;
    if (insn->address_size == 2)
        take_address_16(insn, mod, rm);
    else
        take_address_32_64(cursor, insn, mod, rm);
    if (insn->base == INSN_RSP || insn->base == INSN_RBP)
        insn->segment = INSN_SS;
    insn->displacement =
        insn_sign_extend(insn_cursor_number(cursor, insn->displacement_size), insn->displacement_size);
}
