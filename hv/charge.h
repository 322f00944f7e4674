/*
 * What an instruction that the monitor carries out costs the guest, in one table. `hw`: about what a PC's
 * hardware takes, in time, converted once to cycles; or N cycles for each. Never zero for an instruction, so
 * polling loops move on. A delivered event costs what the table says under hw and nothing under N
 * (docs/decisions/0002-event-charge.md).
 */
#ifndef HV_CHARGE_H
#define HV_CHARGE_H

#include "lib/base.h"

enum charge {
    CHARGE_PORT, /* each access; REP INS and OUTS: each iteration */
    CHARGE_MMIO,
    CHARGE_CPUID,
    CHARGE_MSR,
    CHARGE_HLT,
    CHARGE_OTHER, /* any other instruction completed by the monitor */
    CHARGE_EVENT, /* delivery of an interrupt */
    CHARGES
};

struct charges {
    uint64_t cycles[CHARGES]; /* guest cycles */
};

/* each: 0 for hw, else that many cycles. */
void charges_init(struct charges *charges, uint64_t hz, uint64_t each);

/* The name and nanoseconds of a row under hw, for documentation and tests. */
const char *charge_name(enum charge charge);
uint64_t charge_ns(enum charge charge);

#endif
