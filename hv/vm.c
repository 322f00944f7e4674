/* The parts of a VM that belong to this layer; the contract is in vm.h. */
#include "hv/vm.h"
#include "arch/x86/api/cpu.h"
#include "hv/console.h"
#include "hv/guest_trace.h"
#include "hv/ledger.h"
#include "hv/perturb.h"
#include "hv/show.h"
#include "hv/watchdog.h"
#include "lib/fmt.h"
#include "lib/log.h"
#include "lib/string.h"

struct vm *vms[VMS_MAX];
unsigned vm_count;

static size_t deliver_input(void *opaque, const uint8_t *data, size_t length)
{
    struct vm *vm = opaque;

    return vm->ops->receive(vm, data, length);
}

void vm_init(struct vm *vm, const char *name, unsigned id, uint64_t hz, const struct vm_ops *ops,
             void *machine)
{
    fmt_snprintf(vm->name, sizeof vm->name, "%s", name);
    vm->id = id;
    vm->ops = ops;
    vm->machine = machine;
    guest_clock_init(&vm->clock, hz);
    input_init(&vm->input, &vm->clock, deliver_input, vm);
    bus_init(&vm->ports, BUS_PORTS);
    bus_init(&vm->mmio, BUS_MMIO);
    guest_mem_init(&vm->memory);
    vm_set_interrupt(vm, false);
}

void vm_set_interrupt(struct vm *vm, bool level)
{
    vm->interrupt = level;
    vm->attention = level || vm->nmi || perturb_on;
}

void vm_raise_nmi(struct vm *vm)
{
    vm->nmi = vm->attention = true;
}

void vm_nmi_delivered(struct vm *vm)
{
    vm->nmi = false;
    vm_set_interrupt(vm, vm->interrupt);
}

bool vm_reset(struct vm *vm)
{
    vm->consumed_before += vm_consumed(vm);
    vm->sources = (struct time_sources){0};
    vm->clock.now = 0;
    vm->tsc_bias = 0;
    vm->nmi = false;
    vm_set_interrupt(vm, false);
    vm->requests = (struct vm_requests){0};
    fetch_forget(&vm->fetch);
    input_reset(&vm->input);
    vcpu_reset(&vm->vcpu);
    vm->state = VM_RUNNABLE;
    return vm->ops->reset(vm);
}

bool vm_time_exact(const struct vm *vm)
{
    return vm->consumed_before + vm_consumed(vm) == vm->ledger_cycles;
}

void vm_request_exit(struct vm *vm, unsigned code)
{
    vm->requests.exit = true;
    vm->slice_end = 0;
    vm->requests.code = code;
}

void vm_request_reset(struct vm *vm, const char *why)
{
    vm->requests.reset = true;
    vm->slice_end = 0;
    fmt_snprintf(vm->requests.why, sizeof vm->requests.why, "%s", why);
}

/* A share in per cent, as "12.3". */
static void format_share(char *text, size_t size, uint64_t part, uint64_t whole)
{
    uint64_t per_mille = whole / 1000 ? part / (whole / 1000) : 0;

    fmt_snprintf(text, size, "%llu.%llu", (unsigned long long)(per_mille / 10),
                 (unsigned long long)(per_mille % 10));
}

static void show_closing_line(struct vm *vm)
{
    uint64_t ms = vm->clock.now / (vm->clock.hz / 1000);
    char share[24];

    format_share(share, sizeof share, ledger_monitor(), ledger_running());
    log_error("%s: code %u; guest %llu.%03llu s; monitor %s %%; %'llu timer events, %'llu late; ledger %s",
              vm->name, vm->code, (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000), share,
              (unsigned long long)vm->clock.deadlines.fired, (unsigned long long)vm->landing.late,
              ledger_exact() && vm_time_exact(vm) ? "exact" : "NOT EXACT");
}

void vm_end(struct vm *vm, unsigned code, const char *why)
{
    if (vm->state == VM_ENDED)
        return;
    vm->slice_end = 0;
    vm->code = code;
    vm->end_reason = why;
    vm->requests = (struct vm_requests){.close = true};
    __atomic_store_n(&vm->state, VM_ENDED, __ATOMIC_RELEASE);
    guest_trace_end(vm); /* which writes its end by the state */
}

static void close_vm(struct vm *vm)
{
    console_let_finish(vm);
    if (vm->code > VERDICT_LARGEST || vm->end_reason[0])
        log_info("%s: ended: %s", vm->name, vm->end_reason[0] ? vm->end_reason : "verdict");
    show_closing_line(vm);
    show_exits(vm);
}

void vm_crash(struct vm *vm, const char *why)
{
    if (vm->policy.reset_on_crash) {
        vm_request_reset(vm, why);
    } else if (vm->policy.keep_on_crash) {
        vm->state = VM_KEPT;
        vm->slice_end = 0;
        log_info("%s: crashed: %s; kept at rip %llx (Ctrl-A r: registers, Ctrl-A x: quit)", vm->name, why,
                 (unsigned long long)*vm->vcpu.rip);
    } else {
        vm_end(vm, VERDICT_CRASH, why);
    }
}

static void restart(struct vm *vm)
{
    if (vm->policy.resets_left != UINT64_MAX)
        vm->policy.resets_left--;
    vm->restarts++;
    guest_trace_end(vm);
    watchdog_rest(); /* all of its RAM is cleared */
    log_info("%s: reset: %s; restart %llu", vm->name, vm->reset_reason, (unsigned long long)vm->restarts);
    if (!vm_reset(vm))
        vm_end(vm, VERDICT_CRASH, "could not be restarted");
}

static void act_on_exit(struct vm *vm, unsigned code)
{
    if (code > VERDICT_LARGEST)
        log_warning("%s: guest's exit code %u is above %u, taken as %u", vm->name, code, VERDICT_LARGEST,
                    VERDICT_LARGEST);
    vm_end(vm, MIN(code, (unsigned)VERDICT_LARGEST), "");
}

static void act_on_reset(struct vm *vm)
{
    memcpy(vm->reset_reason, vm->requests.why, sizeof vm->reset_reason);
    vm->requests = (struct vm_requests){0};
    if (vm->policy.machine_reset) {
        vm_end(vm, VERDICT_RESET, "reset, and onreset=machine");
        console_machine_reset();
    } else if (vm->policy.restart_on_reset && vm->policy.resets_left) {
        restart(vm);
    } else {
        vm_end(vm, VERDICT_RESET, vm->reset_reason);
    }
}

void vm_act_on_requests(struct vm *vm)
{
    if (vm->requests.exit)
        act_on_exit(vm, vm->requests.code);
    else if (vm->requests.reset)
        act_on_reset(vm);
    if (!vm->requests.close)
        return;
    vm->requests.close = false;
    close_vm(vm);
}
