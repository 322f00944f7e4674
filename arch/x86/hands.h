/*
 * Registers that neither VMRUN nor a VM entry switches: x87, SSE and what XSAVE keeps, XCR0, DR0 to DR3 and
 * TSC_AUX. The monitor uses none of them, so they change hands when the CPU changes VM, never per exit.
 */
#ifndef ARCH_X86_HANDS_H
#define ARCH_X86_HANDS_H

#include "lib/base.h"

struct hands {
    uint64_t debug_registers[4];
    uint64_t xcr0, tsc_aux;
    void *extended_state; /* XSAVE or FXSAVE image */
};

/* Switches on what the CPU has of these, once per CPU. */
void hands_enable(void);

/* Memory for the registers of one vCPU. Allocates. */
void hands_create(struct hands *hands);

/* The values of a reset. */
void hands_reset(struct hands *hands);

/* From the CPU; into it. */
void hands_save(struct hands *hands);
void hands_load(const struct hands *hands);

/* What branch predictors learnt from one guest does not steer the next one (APM vol. 2 "IBPB"; SDM vol. 4
 * "IA32_PRED_CMD"). */
void hands_forget_branches(void);

/* XSETBV of the vCPU whose registers the CPU holds; false: #GP. */
bool hands_set_xcr0(struct hands *hands, uint64_t value);

uint64_t hands_read_tsc_aux(void);
void hands_write_tsc_aux(uint64_t value);

#endif
