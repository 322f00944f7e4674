/*
 * The ledger: each host cycle since boot is booked to exactly one account. Two neighbouring accounts share one TSC reading, so the sum equals the
 * elapsed TSC by construction; ledger_exact() checks it all the same.
 */
#ifndef HV_LEDGER_H
#define HV_LEDGER_H

#include "arch/x86/api/vcpu.h"
#include "lib/base.h"

enum ledger_account {
    LEDGER_BOOT,
    LEDGER_SCHEDULE, /* choosing and changing VMs */
    LEDGER_CONSOLE,
    LEDGER_IDLE,
    LEDGER_SWITCH, /* the world switch itself: E + X */
    LEDGER_MONITOR, /* + exit kind: the work after that exit until the next entry */
    LEDGER_ACCOUNTS = LEDGER_MONITOR + EXIT_KINDS
};

struct ledger {
    uint64_t start; /* host TSC of the first booking */
    uint64_t last;  /* host TSC up to which all is booked */
    uint64_t cycles[LEDGER_ACCOUNTS];
    uint64_t guests; /* all guests together; each VM keeps its own share */
};

extern struct ledger ledger;

void ledger_start(uint64_t now);

static inline void ledger_book(unsigned account, uint64_t now)
{
    ledger.cycles[account] += now - ledger.last;
    ledger.last = now;
}

/* A stretch in the guest: of the time since the last reading, `overhead` is the switch's and the rest the guest's. */
static inline void ledger_book_run(uint64_t entered, uint64_t left, uint64_t overhead, unsigned before)
{
    ledger_book(before, entered);
    ledger.cycles[LEDGER_SWITCH] += overhead;
    ledger.guests += left - entered - overhead;
    ledger.last = left;
}

bool ledger_exact(void);
uint64_t ledger_monitor(void); /* all accounts but boot, idle and guests */
uint64_t ledger_running(void); /* all accounts but boot */
const char *ledger_account_name(unsigned account);

#endif
