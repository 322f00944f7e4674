/* The figures of a world switch: what the calibration measured, and what becomes of them. Contract:
 * backend.h. */
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/backend.h"
#include "arch/x86/host/oneshot.h"

PER_CPU struct switch_figures figures;
PER_CPU struct preemption_timer preemption_timer;
static PER_CPU uint64_t recalibrations;

void figures_account(struct exit *exit, enum exit_class class, int64_t entry_cost, bool inject, bool telling)
{
    int64_t overhead = entry_cost + figures.exit[class];
    uint64_t run_total = exit->left - exit->entered;

    if ((int64_t)run_total < overhead) {
        if (telling) {
            figures.exit[class] = MIN(figures.exit[class], (int64_t)run_total - figures.entry[inject]);
            recalibrations++;
        }
        overhead = (int64_t)run_total;
    }
    exit->overhead = (uint64_t)overhead;
    exit->consumed = run_total - (uint64_t)overhead;
}

static PER_CPU struct switch_costs public_costs;

const struct switch_costs *vcpu_switch_costs(void)
{
    public_costs = (struct switch_costs){.entry = (uint64_t)figures.entry[0],
                                         .entry_inject = (uint64_t)figures.entry[1],
                                         .exit_instruction = (uint64_t)figures.exit[CLASS_INSTRUCTION],
                                         .instruction = (uint64_t)MAX(figures.no_op, INT64_C(1)),
                                         .spread = figures.spread,
                                         .timer_ticks_per_second = host_oneshot.ticks_hz};
    return &public_costs;
}

uint64_t vcpu_recalibrations(void)
{
    return recalibrations;
}
