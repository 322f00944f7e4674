/* The checks that a CPU makes when CR0, CR4, EFER, PAT and others are written: pure, for any backend. */
#ifndef ARCH_X86_CONTROL_H
#define ARCH_X86_CONTROL_H

#include "lib/base.h"

struct control_state {
    uint64_t cr0, cr3, cr4, efer;
    bool long_code_segment; /* CS.L, whatever the mode */
    bool short_tss;         /* TR has a 16-bit TSS, on a CPU that lets none into long mode (Intel) */
};

/*
 * MOV CR0; false: #GP. *cr0 and *efer (LMA) get the new values. Reserved bits of the low half read as zero.
 * Source: APM vol. 2 "CR0 Register", "Activating Long Mode", "Leaving Long Mode"; SDM vol. 3 "Control
 * Registers", "Initializing IA-32e Mode".
 */
bool control_write_cr0(const struct control_state *now, uint64_t value, uint64_t *cr0, uint64_t *efer);

/* MOV CR4; `allowed`: the bits that this guest's CPU has. Source: APM vol. 2 "CR4 Register". */
bool control_write_cr4(const struct control_state *now, uint64_t value, uint64_t allowed);

/* WRMSR EFER; *efer gets the new value. `allowed`: the bits that a guest of this CPU has, LMA among them. LMA
 * is the CPU's; LME can't change while paging is on. Source: APM vol. 2 "Extended Feature Enable Register
 * (EFER)". */
bool control_write_efer(const struct control_state *now, uint64_t value, uint64_t allowed, uint64_t *efer);

bool control_pat_valid(uint64_t value);

static inline bool control_canonical(uint64_t value)
{
    return (uint64_t)((int64_t)(value << 16) >> 16) == value;
}

#endif
