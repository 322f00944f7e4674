/*
 * A slice of a VM: arm, enter, account, handle the exit, and again, until its time is up. From exit to entry
 * nothing allocates, formats or takes a lock.
 *
 * A running guest's time moves only here and in the handlers' charges: after each exit the clock is advanced
 * by what the guest consumed, which runs every deadline on its own cycle. An exit for an instruction at which
 * an interrupt is due is dropped: the interrupt comes first, as on hardware, and the instruction is executed
 * again after it.
 */
#include "hv/slice.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/per_cpu.h"
#include "hv/exits.h"
#include "hv/guest_trace.h"
#include "hv/ledger.h"
#include "hv/perturb.h"
#include "hv/trace.h"
#include "hv/vm.h"

/* A slice is stretched to a deadline that falls due within this share of it, so that it does not end just
 * before one. */
#define STRETCH_SHARE 16u

static PER_CPU struct vm *current; /* whose state the CPU holds */
static PER_CPU uint64_t *account;  /* whose the time since the last booking is */

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

void slice_run(struct vm *vm, uint64_t slice)
{
    uint64_t now = host_tsc();

    account = &ledger.cycles[LEDGER_SCHEDULE];
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
    ledger_book_to(account, host_tsc());
}
