/* A VM's accounts and screen, as log lines. Contract: show.h. */
#include "hv/show.h"
#include "hv/console.h"
#include "hv/ledger.h"
#include "lib/log.h"
#include "lib/string.h"

static void show_marks(const struct vm *vm)
{
    unsigned first = vm->marks.count > MARKS_MAX ? vm->marks.count - MARKS_MAX : 0;

    for (unsigned i = first; i < vm->marks.count; i++) {
        const struct mark *mark = &vm->marks.marks[i % MARKS_MAX];

        log_debug("%s: mark %02x tsc %llu", vm->name, mark->code, (unsigned long long)mark->host_tsc);
    }
}

/* How the clock came to stand where it stands, and the whole ledger: key=value, for tests. */
static void show_accounts(const struct vm *vm)
{
    const struct time_sources *s = &vm->sources;

    log_debug("%s: time clock=%llu consumed=%llu charged=%llu snapped=%llu idle=%llu ledger=%llu", vm->name,
              (unsigned long long)vm->clock.now, (unsigned long long)vm_consumed(vm),
              (unsigned long long)s->charged, (unsigned long long)s->snapped, (unsigned long long)s->idle,
              (unsigned long long)vm->ledger_cycles);
    log_debug("%s: landings fired=%llu landed=%llu late=%llu worst_late=%llu snaps=%llu recalibrated=%llu",
              vm->name, (unsigned long long)vm->clock.deadlines.fired, (unsigned long long)vm->landing.landed,
              (unsigned long long)vm->landing.late, (unsigned long long)vm->landing.worst_late,
              (unsigned long long)vm->landing.snaps, (unsigned long long)vcpu_recalibrations());
    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++)
        if (ledger.cycles[i])
            log_debug("%s: account %s=%llu", vm->name, ledger_account_name(i),
                      (unsigned long long)ledger.cycles[i]);
    log_debug("%s: account guests=%llu of elapsed=%llu", vm->name, (unsigned long long)ledger_guests(),
              (unsigned long long)(ledger.last - ledger.start));
}

void show_exits(const struct vm *vm)
{
    show_accounts(vm);
    for (unsigned kind = 0; kind < EXIT_KINDS; kind++)
        if (vm->exits[kind])
            log_debug("%s: exits %s %'llu", vm->name, exit_kind_name((enum exit_kind)kind),
                      (unsigned long long)vm->exits[kind]);
    show_marks(vm);
}

void show_screen(struct vm *vm)
{
    static char screen[8192];
    char *line = screen;

    if (!vm->ops->screen(vm, screen, sizeof screen))
        return;
    log_notice("screen %s begin", vm->name);
    while (*line) {
        char *end = strchr(line, '\n');

        if (end)
            *end = 0;
        log_notice("%s", line);
        if (!end)
            break;
        line = end + 1;
    }
    log_notice("screen %s end", vm->name);
}
