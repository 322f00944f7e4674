/* The ledger; the contract is in ledger.h. */
#include "hv/ledger.h"
#include "arch/x86/api/per_cpu.h"
#include "hv/vm.h"

PER_CPU struct ledger ledger;

void ledger_start(uint64_t now)
{
    ledger.start = ledger.last = now;
}

uint64_t ledger_guests(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < vm_count; i++)
        if (vm_is_here(vms[i]))
            sum += vms[i]->ledger_cycles;
    return sum;
}

bool ledger_exact(void)
{
    uint64_t sum = ledger_guests();

    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++)
        sum += ledger.cycles[i];
    return sum == ledger.last - ledger.start;
}

uint64_t ledger_monitor(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++)
        if (i != LEDGER_BOOT && i != LEDGER_IDLE)
            sum += ledger.cycles[i];
    return sum;
}

uint64_t ledger_running(void)
{
    return ledger.last - ledger.start - ledger.cycles[LEDGER_BOOT];
}

const char *ledger_account_name(unsigned account)
{
    static const char *const names[LEDGER_MONITOR] = {"boot", "schedule", "console", "idle", "switch"};

    if (account < LEDGER_MONITOR)
        return names[account];
    return exit_kind_name((enum exit_kind)(account - LEDGER_MONITOR));
}
