/*
 * The ledger of this CPU: each of its cycles since boot, or since it began with its guests, is booked to
 * exactly one account. Two neighbouring accounts share one TSC reading, so the sum equals the elapsed TSC by
 * construction; ledger_exact() checks it all the same. The guests' accounts stand in their VMs
 * (vm->ledger_cycles).
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
    LEDGER_SWITCH,  /* the world switch itself: E + X */
    LEDGER_MONITOR, /* + exit kind: the work after that exit until the next entry */
    LEDGER_ACCOUNTS = LEDGER_MONITOR + EXIT_KINDS
};

struct ledger {
    uint64_t start; /* host TSC of the first booking */
    uint64_t last;  /* host TSC up to which all is booked */
    uint64_t cycles[LEDGER_ACCOUNTS];
};

extern struct ledger ledger;

void ledger_start(uint64_t now);

static inline void ledger_book_to(uint64_t *account, uint64_t now)
{
    *account += now - ledger.last;
    ledger.last = now;
}

static inline void ledger_book(enum ledger_account account, uint64_t now)
{
    ledger_book_to(&ledger.cycles[account], now);
}

/* A run of a guest: the time before it is `account`'s; of the run, the overhead is the switch's and the rest
 * the guest's own, which its VM keeps. */
static inline void ledger_book_run(const struct exit *exit, uint64_t *account)
{
    *account += exit->entered - ledger.last;
    ledger.cycles[LEDGER_SWITCH] += exit->overhead;
    ledger.last = exit->left;
}

uint64_t ledger_guests(void); /* all guests of this CPU together */
bool ledger_exact(void);
uint64_t ledger_monitor(void); /* all accounts but boot, idle and guests */
uint64_t ledger_running(void); /* all accounts but boot */
const char *ledger_account_name(unsigned account);

#endif
