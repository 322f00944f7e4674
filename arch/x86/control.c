/* Checks of control registers; the contract is in control.h. */
#include "arch/x86/control.h"
#include "arch/x86/asm.h"

#define CR0_DEFINED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

bool control_write_cr0(const struct control_state *now, uint64_t value, uint64_t *cr0, uint64_t *efer)
{
    bool paging = value & CR0_PG, was_paging = now->cr0 & CR0_PG;
    uint64_t new_efer = now->efer;

    if (value >> 32 || (paging && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
        return false;
    if (paging && !was_paging && now->efer & EFER_LME) {
        if (!(now->cr4 & CR4_PAE) || now->long_code_segment || now->short_tss)
            return false;
        new_efer |= EFER_LMA;
    }
    if (!paging && was_paging) {
        if ((now->efer & EFER_LMA && now->long_code_segment) || now->cr4 & CR4_PCIDE)
            return false;
        new_efer &= ~EFER_LMA;
    }
    *cr0 = (value & CR0_DEFINED) | CR0_ET;
    *efer = new_efer;
    return true;
}

bool control_write_cr4(const struct control_state *now, uint64_t value, uint64_t allowed)
{
    bool long_mode = now->efer & EFER_LMA;

    if (value & ~allowed || (long_mode && !(value & CR4_PAE)))
        return false;
    return !(value & ~now->cr4 & CR4_PCIDE && (!long_mode || now->cr3 & 0xFFF));
}

bool control_write_efer(const struct control_state *now, uint64_t value, uint64_t allowed, uint64_t *efer)
{
    if (value & ~allowed)
        return false;
    if ((value ^ now->efer) & EFER_LME && now->cr0 & CR0_PG)
        return false;
    *efer = (value & ~EFER_LMA) | (now->efer & EFER_LMA);
    return true;
}

bool control_pat_valid(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t type = (uint8_t)(value >> i * 8);

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}
