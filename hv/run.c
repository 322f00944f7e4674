/*
 * The run loop, one on each CPU that has guests: look after the console, wake halted VMs whose time has come,
 * give the next runnable one a slice (slice.c), or sleep.
 *
 * A halted guest's time moves here: by the host's clock, or at once to its next deadline (idle=skip).
 */
#include "hv/run.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/per_cpu.h"
#include "hv/console.h"
#include "hv/exits.h"
#include "hv/guest_trace.h"
#include "hv/ledger.h"
#include "hv/perturb.h"
#include "hv/slice.h"
#include "hv/vm.h"
#include "hv/watchdog.h"

/* Deadlines that idle=skip passes over before others have their turn. */
#define SKIP_MOST 1000u
/* The idle loop looks after the console this often. */
#define IDLE_POLLS_PER_SECOND 1000u

static PER_CPU unsigned next_index; /* round robin */

/* Moves a halted VM's clock on and wakes it when an interrupt is pending. */
static void attend_halted(struct vm *vm, uint64_t now, bool coarse)
{
    guest_clock_advance(&vm->clock, vm->clock.now); /* input that is there comes first */
    for (unsigned passed = 0; !vm->interrupt && !vm_takes_nmi(vm); passed++) {
        uint64_t deadline = deadline_queue_next(&vm->clock.deadlines);
        uint64_t reached = deadline;

        if (passed == SKIP_MOST)
            return; /* the guest chose them: others, and the console, come in between */

        if (!vm->policy.idle_skip && coarse)
            reached = vm->halt_guest + (now - vm->halt_host);
        else if (!vm->policy.idle_skip)
            reached = MIN(deadline, vm->halt_guest + (now - vm->halt_host));
        else if (deadline == DEADLINE_NEVER)
            return;
        if (reached <= vm->clock.now && reached != deadline)
            return;
        vm_advance(vm, reached - vm->clock.now, &vm->sources.idle);
        if (reached != deadline)
            return;
    }
    vm->state = VM_RUNNABLE;
    guest_trace_wake(vm);
}

/* Host cycles until a halted VM has to be looked at. */
static uint64_t until_needed(const struct vm *vm, uint64_t now)
{
    uint64_t deadline = deadline_queue_next(&vm->clock.deadlines);

    if (vm->state != VM_HALTED || deadline == DEADLINE_NEVER)
        return UINT64_MAX;
    if (vm->policy.idle_skip)
        return 0;
    uint64_t due = deadline - vm->halt_guest + vm->halt_host;
    return due > now ? due - now : 0;
}

static void idle(void)
{
    uint64_t now = host_tsc();
    uint64_t wait = host_tsc_hz() / IDLE_POLLS_PER_SECOND;

    for (unsigned i = 0; i < vm_count; i++)
        if (vm_is_here(vms[i]))
            wait = MIN(wait, until_needed(vms[i], now));
    if (wait) {
        cpu_set_timer(wait);
        cpu_wait();
    }
    ledger_book(LEDGER_IDLE, host_tsc());
}

static struct vm *pick(void)
{
    for (unsigned i = 0; i < vm_count; i++) {
        struct vm *vm = vms[(next_index + i) % vm_count];

        if (vm_is_here(vm) && vm->state == VM_RUNNABLE && !output_full(&vm->output)) {
            next_index = (next_index + i + 1) % vm_count;
            return vm;
        }
    }
    return NULL;
}

bool run_has_guests(unsigned cpu)
{
    for (unsigned i = 0; i < vm_count; i++)
        if (vms[i]->cpu == cpu)
            return true;
    return false;
}

static bool on_boot_cpu(void)
{
    return this_cpu()->id == 0;
}

/* Some other CPU is in its run loop. */
static bool others_run(void)
{
    for (unsigned cpu = 1; cpu < cpus_count(); cpu++)
        if (run_has_guests(cpu) && cpus_busy(cpu))
            return true;
    return false;
}

static bool guests_left(void)
{
    for (unsigned i = 0; i < vm_count; i++)
        if (vm_is_here(vms[i]) && vms[i]->state != VM_ENDED)
            return true;
    return on_boot_cpu() && others_run();
}

static unsigned highest_code(void)
{
    unsigned code = 0;

    for (unsigned i = 0; i < vm_count; i++)
        if (vm_has_ended(vms[i]))
            code = MAX(code, vms[i]->code);
    return code;
}

/* Everything of this CPU that goes on between two slices; its VMs' input is there when it returns. */
static void attend(const struct run_settings *settings)
{
    if (on_boot_cpu())
        console_service();
    else
        cpus_serve();
    uint64_t now = host_tsc();
    ledger_book(LEDGER_CONSOLE, now);
    watchdog_turn(now);
    for (unsigned i = 0; i < vm_count; i++) {
        if (!vm_is_here(vms[i]))
            continue;
        input_look(&vms[i]->input);
        if (vms[i]->state == VM_HALTED)
            attend_halted(vms[i], now, settings->periodic_hz != 0);
    }
}

static void quit(struct vm *vm)
{
    vm_end(vm, 0, "quit by Ctrl-A x");
    vm_act_on_requests(vm);
    watchdog_look(host_tsc());
}

/* This CPU's run loop. */
static void run_here(const struct run_settings *settings)
{
    if (settings->periodic_hz)
        cpu_start_periodic_timer(settings->periodic_hz);
    ledger_book(LEDGER_SCHEDULE, host_tsc());
    while (guests_left() && !console_quit() && !console_wants_machine_reset()) {
        attend(settings);
        struct vm *vm = pick();
        ledger_book(LEDGER_SCHEDULE, host_tsc());
        if (vm)
            slice_run(vm, settings->slice);
        else
            idle();
    }
    for (unsigned i = 0; i < vm_count && console_quit(); i++)
        if (vm_is_here(vms[i]))
            quit(vms[i]);
}

static void run_on_further_cpu(void *argument)
{
    const struct run_settings *settings = argument;

    ledger_start(host_tsc());
    perturb_init(settings->perturb_seed);
    run_here(settings);
    watchdog_rest();
}

unsigned run_all(const struct run_settings *settings)
{
    for (unsigned cpu = 1; cpu < cpus_count(); cpu++)
        if (run_has_guests(cpu))
            cpus_begin(cpu, run_on_further_cpu, (void *)settings);
    run_here(settings);
    while (others_run()) { /* after a quit, or for a reset: they end at their next turn */
        console_service();
        watchdog_look(host_tsc());
    }
    watchdog_rest();
    console_flush();
    return highest_code();
}
