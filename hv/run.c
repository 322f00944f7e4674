/*
 * The run loop, one on each CPU that has guests: pick a VM, arm, enter, account, handle the exit. From exit
 * to entry nothing allocates, formats or takes a lock.
 *
 * Time moves only here and in the handlers' charges: after each exit the clock is advanced by what the guest
 * consumed, which runs every deadline on its own cycle. An exit for an instruction at which an interrupt is
 * due is dropped: the interrupt comes first, as on hardware, and the instruction is executed again after it.
 */
#include "hv/run.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/per_cpu.h"
#include "hv/console.h"
#include "hv/exits.h"
#include "hv/guest_trace.h"
#include "hv/ledger.h"
#include "hv/perturb.h"
#include "hv/trace.h"
#include "hv/vm.h"
#include "hv/watchdog.h"
#include "lib/log.h"

/* A slice is stretched to a deadline that falls due within this share of it, so that it does not end just
 * before one. */
#define STRETCH_SHARE 16u
/* Deadlines that idle=skip passes over before others have their turn. */
#define SKIP_MOST 1000u
/* The idle loop looks after the console this often. */
#define IDLE_POLLS_PER_SECOND 1000u

static PER_CPU struct vm *current;  /* whose state the CPU holds */
static PER_CPU unsigned next_index; /* round robin */
static PER_CPU uint64_t *account;   /* whose the time since the last booking is */

static void hand_over(struct vm *to)
{
    if (current == to)
        return;
    trace(TRACE_VM_SWITCH, current ? current->id : UINT64_MAX, to->id);
    vcpu_switch(current ? &current->vcpu : NULL, &to->vcpu);
    current = to;
    trace_set_vm(to->id, &to->clock);
}

/*
 * Delivers a pending external interrupt if the guest can take it now, else asks for a window. A window that
 * is wanted no longer stays until the guest comes out of it (handle_window()).
 */
static void offer_interrupt(struct vm *vm)
{
    bool deliver = vm_interruptible(vm);

    if (!vm->interrupt)
        return;
    vcpu_want_window(&vm->vcpu, !deliver);
    if (!deliver)
        return;
    vm_charge(vm, CHARGE_EVENT);
    vcpu_inject(&vm->vcpu, (struct vcpu_event){.vector = vm->ops->interrupt_ack(vm), .type = EVENT_EXTERNAL});
    trace(TRACE_INJECT, vm->vcpu.event.vector, 0);
    guest_trace_irq(vm, vm->vcpu.event.vector);
}

static void offer_nmi(struct vm *vm)
{
    bool waits = vm_nmi_waits(vm), deliver = vm_takes_nmi(vm);

    if (vm->vcpu.nmi_window || waits)
        vcpu_want_nmi_window(&vm->vcpu, waits && !deliver);
    if (!deliver)
        return;
    vm_charge(vm, CHARGE_EVENT);
    vm_nmi_delivered(vm);
    vcpu_inject(&vm->vcpu, (struct vcpu_event){.vector = VECTOR_NMI, .type = EVENT_NMI});
    trace(TRACE_INJECT, VECTOR_NMI, 0);
    guest_trace_irq(vm, VECTOR_NMI);
}

static void take_landing(struct vm *vm, uint64_t distance)
{
    const struct exit *exit = &vm->vcpu.exit;
    bool timer = exit->kind == EXIT_HOST_INTERRUPT && exit->timer;

    if (!timer && exit->consumed <= distance)
        return;
    uint64_t gap = landing_take(&vm->landing, distance, exit->consumed, timer && exit->aimed);
    vm->vcpu.lead = landing_lead(&vm->landing, UINT64_MAX);
    if (gap) {
        vm_advance(vm, gap, &vm->sources.snapped);
        trace(TRACE_LANDING, vm->clock.now, gap);
    }
}

/* perturb=: burns time, and may end the next run early, or the slice now. */
static void disturb(struct vm *vm)
{
    perturb_exit(vm);
    vcpu_limit(&vm->vcpu, perturb_limit(vm->vcpu.exit.left, MAX(vm->slice_end, vm->vcpu.exit.left)));
    if (perturb_ends_slice())
        vm->slice_end = 0;
}

/* An interrupt or an NMI is taken before what exited; but what the CPU itself has already begun, a trap, a
 * triple fault, comes before them (APM vol. 2 "Priorities"). */
static bool comes_first(struct vm *vm)
{
    enum exit_kind kind = vm->vcpu.exit.kind;

    if (kind == EXIT_EXCEPTION || kind == EXIT_SHUTDOWN || kind == EXIT_INVALID)
        return false;
    return (vm->interrupt && vm_interruptible(vm)) || vm_takes_nmi(vm);
}

/* Moves the clock over an exit at which something is due or disturbed. False: an interrupt comes before the
 * instruction. */
static __attribute__((noinline)) bool clock_exit(struct vm *vm)
{
    const struct exit *exit = &vm->vcpu.exit;
    uint64_t distance = deadline_queue_next(&vm->clock.deadlines) - vm->clock.now; /* as at the entry */

    guest_clock_advance(&vm->clock, vm->clock.now + exit->consumed);
    take_landing(vm, distance);
    if (perturb_on)
        disturb(vm);
    if (comes_first(vm))
        return false;
    vm_advance(vm, vm->exit_charges[exit->kind], &vm->sources.charged);
    return true;
}

/* HLT, completed. */
static void halt(struct vm *vm)
{
    if (vm->vcpu.event.valid)
        return; /* stepped over */
    if (vm_takes_nmi(vm))
        return;
    if (!(*vm->vcpu.rflags & RFLAGS_IF) || !(vm->interrupt || vm->ops->can_interrupt(vm))) {
        vm_end(vm, vm->policy.halt_ok ? 0 : VERDICT_DEAD_HALT,
               "halted with interrupts off or all masked, and nothing can wake it");
        return;
    }
    if (!vm->interrupt) {
        vm->state = VM_HALTED;
        vm->slice_end = 0;
        vm->halt_host = vm->vcpu.exit.left;
        vm->halt_guest = vm->clock.now;
    }
}

/* Completes what the handler left to complete, when there is more to it than to move RIP. */
static __attribute__((noinline)) void complete_otherwise(struct vm *vm, enum handled handled)
{
    if (handled == HANDLED_RESUME)
        return;
    unsigned length = vm->vcpu.exit.length ? vm->vcpu.exit.length : fetch_instruction_length(vm);

    if (!length)
        return; /* its bytes are gone (another vCPU, or a page the guest unmapped without a flush); executed
                   again, it faults by itself */
    vm_complete_instruction(vm, length);
    if (handled == HANDLED_HALT)
        halt(vm);
}

/* What handlers set in the past, and an interrupt that waits. Returns the distance to the next deadline. */
static __attribute__((noinline)) uint64_t prepare(struct vm *vm)
{
    guest_clock_advance(&vm->clock, vm->clock.now);
    offer_nmi(vm);
    offer_interrupt(vm);
    return deadline_queue_next(&vm->clock.deadlines) - vm->clock.now;
}

/* What the CPU says of an instruction's length, and what the decoder does. */
static bool lengths_agree(struct vm *vm)
{
    unsigned decoded = fetch_instruction_length(vm);

    return !decoded || decoded == vm->vcpu.exit.length; /* 0: its bytes are gone */
}

/* One entry and exit of the current VM: the path that nearly all time of the monitor goes into. False: the
 * slice has ended. */
static inline bool step(void)
{
    struct vm *vm = current;
    uint64_t distance = deadline_queue_next(&vm->clock.deadlines) - vm->clock.now;

    if (__builtin_expect(deadline_queue_next(&vm->clock.deadlines) <= vm->clock.now || vm->attention, 0))
        distance = prepare(vm);
    vcpu_run(&vm->vcpu, vm->clock.now + vm->tsc_bias, distance);

    vm = current; /* no register outlives a run */
    const struct exit *exit = &vm->vcpu.exit;
    enum exit_kind kind = exit->kind;
    uint64_t consumed = exit->consumed;
    uint64_t now = vm->clock.now + consumed;
    uint64_t charge = vm->exit_charges[kind];

    ledger_book_run(exit, account);
    account = ledger.cycles + LEDGER_MONITOR + kind;
    vm->ledger_cycles += consumed;
    vm->exits[kind]++;
    trace_of(vm->id, now, TRACE_EXIT, kind, *vm->vcpu.rip);
    if (__builtin_expect(now + charge < deadline_queue_next(&vm->clock.deadlines) &&
                             kind != EXIT_HOST_INTERRUPT && !vm->attention,
                         1)) {
        vm->clock.now = now + charge;
        vm->sources.charged += charge;
    } else if (!clock_exit(vm)) {
        return exit->left < vm->slice_end;
    }
    CHECK(!exit->length || lengths_agree(vm));
    guest_trace_exit(vm);
    enum handled handled = exit_handlers[kind](vm);
    guest_trace_handled(vm);
    if (__builtin_expect(handled == HANDLED_SKIP && exit->length, 1))
        vm_complete_instruction(vm, exit->length);
    else
        complete_otherwise(vm, handled);
    return exit->left < vm->slice_end;
}

/* The slice has ended at `end`, or before by somebody's wish. True: a deadline just ahead stretches it. */
static __attribute__((noinline)) bool stretches(struct vm *vm, uint64_t end, uint64_t stretch)
{
    uint64_t ahead = deadline_queue_next(&vm->clock.deadlines) - vm->clock.now;

    vcpu_limit(&vm->vcpu, end + stretch);
    return vm->slice_end && ahead < stretch && vm->vcpu.exit.left < end + stretch;
}

static __attribute__((noinline)) void run_slice(struct vm *vm, uint64_t slice)
{
    uint64_t now = host_tsc();

    hand_over(vm);
    vm->slice_end = vm->requests.reset || vm->requests.exit ? 0 : now + slice;
    vm->vcpu.exit.left = now;
    vm->vcpu.lead = landing_lead(&vm->landing, UINT64_MAX);
    vcpu_limit(&vm->vcpu, now + slice);
    vcpu_hold_host();
    while (step() || stretches(vm, now + slice, slice / STRETCH_SHARE))
        ;
    vcpu_release_host();
    vm_act_on_requests(vm);
}

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
    ledger_book_to(account, host_tsc());
    if (on_boot_cpu())
        console_service();
    else
        cpus_serve();
    uint64_t now = host_tsc();
    ledger_book(LEDGER_CONSOLE, now);
    account = &ledger.cycles[LEDGER_SCHEDULE];
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
    account = &ledger.cycles[LEDGER_SCHEDULE];
    if (settings->periodic_hz)
        cpu_start_periodic_timer(settings->periodic_hz);
    while (guests_left() && !console_quit() && !console_wants_machine_reset()) {
        attend(settings);
        struct vm *vm = pick();
        ledger_book(LEDGER_SCHEDULE, host_tsc());
        if (vm)
            run_slice(vm, settings->slice);
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
