/*
 * The run loop: pick a VM, arm, enter, account, handle the exit. From exit to entry nothing allocates, formats or takes a lock.
 *
 * Time moves only here and in the handlers' charges: after each exit the clock is advanced by what the guest consumed, which runs every deadline
 * on its own cycle. An exit for an instruction at which an interrupt is due is dropped: the interrupt comes first, as on hardware, and the
 * instruction is executed again after it.
 */
#include "hv/run.h"
#include "arch/x86/api/cpu.h"
#include "hv/console.h"
#include "hv/exits.h"
#include "hv/ledger.h"
#include "hv/perturb.h"
#include "hv/trace.h"
#include "hv/vm.h"
#include "lib/log.h"

/* A slice is stretched to a deadline that falls due within this share of it, so that it does not end just before one. */
#define STRETCH_SHARE 16u
/* The idle loop looks after the console this often. */
#define IDLE_POLLS_PER_SECOND 1000u

static struct vm *current;  /* whose state the CPU holds */
static unsigned next_index; /* round robin */
static unsigned account = LEDGER_SCHEDULE; /* what the time since the last booking is for */

static void hand_over(struct vm *to)
{
    if (current == to)
        return;
    trace(TRACE_VM_SWITCH, current ? current->id : UINT64_MAX, to->id);
    vcpu_switch(current ? &current->vcpu : NULL, &to->vcpu);
    current = to;
    trace_set_vm(to->id, &to->clock);
}

/* Delivers a pending external interrupt if the guest can take it now, else asks for a window. */
static void prepare_interrupt(struct vm *vm)
{
    struct vcpu *vcpu = &vm->vcpu;

    if (!vm->interrupt) {
        vcpu->window = false;
        return;
    }
    if (!vm_interruptible(vm)) {
        vcpu->window = true;
        return;
    }
    vm_charge(vm, vm->charges.cycles[CHARGE_EVENT]);
    vcpu->event = (struct vcpu_event){.valid = true, .vector = vm->ops->interrupt_ack(vm), .type = EVENT_EXTERNAL};
    vcpu->window = false;
    trace(TRACE_INJECT, vcpu->event.vector, 0);
}

static void take_landing(struct vm *vm, const struct exit *exit, uint64_t deadline, uint64_t distance)
{
    uint64_t gap = landing_take(&vm->landing, distance, exit->consumed, exit->timer && exit->aimed);

    if (gap) {
        vm_advance(vm, gap, &vm->sources.snapped);
        trace(TRACE_LANDING, deadline, gap);
    }
}

/* One entry and exit. `slice_end`: host TSC by which to be back. Returns the host TSC of the exit. */
static uint64_t step(struct vm *vm, uint64_t host_now, uint64_t slice_end)
{
    struct exit exit;
    struct run_limits limits;

    guest_clock_advance(&vm->clock, vm->clock.now); /* what handlers set in the past */
    prepare_interrupt(vm);
    uint64_t deadline = deadline_queue_next(&vm->clock.deadlines);
    limits.tsc = vm->clock.now + vm->tsc_bias;
    limits.distance = deadline == DEADLINE_NEVER ? UINT64_MAX : deadline - vm->clock.now;
    limits.lead = vm->landing.fixed ? 0 : landing_lead(&vm->landing, limits.distance);
    limits.host_limit = perturb_on ? perturb_limit(host_now, slice_end) : slice_end;
    limits.host_now = host_now;
    vcpu_run(&vm->vcpu, &limits, &exit);

    ledger_book_run(exit.entered, exit.left, exit.overhead, account);
    account = LEDGER_MONITOR + exit.kind;
    vm->exits[exit.kind]++;
    vm->ledger_cycles += exit.consumed;
    vm_advance(vm, exit.consumed, &vm->sources.consumed);
    trace_of(vm->id, vm->clock.now, TRACE_EXIT, exit.kind, vm->vcpu.rip);
    if (__builtin_expect(exit.timer || exit.consumed > limits.distance, 0))
        take_landing(vm, &exit, deadline, limits.distance);
    if (perturb_on)
        perturb_exit(vm);
    if (!(vm->interrupt && vm_interruptible(vm)))
        exit_handle(vm, &exit);
    return exit.left;
}

/* Whether the slice goes on at `now`; a deadline just ahead stretches it. */
static bool slice_goes_on(const struct vm *vm, uint64_t now, uint64_t slice_end, uint64_t stretch)
{
    if (now < slice_end)
        return !(perturb_on && perturb_ends_slice());
    uint64_t deadline = deadline_queue_next(&vm->clock.deadlines);

    return deadline - vm->clock.now < stretch && now - slice_end < stretch;
}

static void run_slice(struct vm *vm, uint64_t slice)
{
    uint64_t now = host_tsc();
    uint64_t slice_end = now + slice;
    uint64_t stretch = slice / STRETCH_SHARE;

    hand_over(vm);
    do {
        now = step(vm, now, now < slice_end ? slice_end : slice_end + stretch);
        if (vm->requests.reset || vm->requests.exit)
            if (!vm_act_on_requests(vm))
                break;
    } while (vm->state == VM_RUNNABLE && !output_full(&vm->output) && slice_goes_on(vm, now, slice_end, stretch));
}

/* Moves a halted VM's clock on and wakes it when an interrupt is pending. */
static void attend_halted(struct vm *vm, uint64_t now, bool coarse)
{
    guest_clock_advance(&vm->clock, vm->clock.now); /* input that is there comes first */
    while (!vm->interrupt) {
        uint64_t deadline = deadline_queue_next(&vm->clock.deadlines);
        uint64_t reached = deadline;

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
}

/* Host cycles until a halted VM has to be looked at. */
static uint64_t until_needed(const struct vm *vm, uint64_t now)
{
    uint64_t deadline = deadline_queue_next(&vm->clock.deadlines);

    if (vm->state != VM_HALTED || deadline == DEADLINE_NEVER || vm->policy.idle_skip)
        return UINT64_MAX;
    uint64_t due = deadline - vm->halt_guest + vm->halt_host;
    return due > now ? due - now : 0;
}

static void idle(void)
{
    uint64_t now = host_tsc();
    uint64_t wait = host_tsc_hz() / IDLE_POLLS_PER_SECOND;

    for (unsigned i = 0; i < vm_count; i++)
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

        if (vm->state == VM_RUNNABLE && !output_full(&vm->output)) {
            next_index = (next_index + i + 1) % vm_count;
            return vm;
        }
    }
    return NULL;
}

static bool all_ended(void)
{
    for (unsigned i = 0; i < vm_count; i++)
        if (vms[i]->state != VM_ENDED)
            return false;
    return true;
}

static unsigned highest_code(void)
{
    unsigned code = 0;

    for (unsigned i = 0; i < vm_count; i++)
        if (vms[i]->state == VM_ENDED)
            code = MAX(code, vms[i]->code);
    return code;
}

unsigned run_all(const struct run_settings *settings)
{
    while (!all_ended() && !console_quit()) {
        ledger_book(account, host_tsc());
        console_service();
        uint64_t now = host_tsc();
        ledger_book(LEDGER_CONSOLE, now);
        account = LEDGER_SCHEDULE;
        for (unsigned i = 0; i < vm_count; i++)
            if (vms[i]->state == VM_HALTED)
                attend_halted(vms[i], now, settings->coarse);
        struct vm *vm = pick();
        ledger_book(LEDGER_SCHEDULE, host_tsc());
        if (vm)
            run_slice(vm, settings->slice);
        else
            idle();
    }
    for (unsigned i = 0; i < vm_count && console_quit(); i++)
        vm_end(vms[i], 0, "quit by Ctrl-A x");
    console_flush();
    return highest_code();
}
