/* Console keys; the contract is in keys.h. */
#include "hv/keys.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "hv/console.h"
#include "hv/ledger.h"
#include "hv/report.h"
#include "hv/run.h"
#include "hv/trace.h"
#include "hv/vm.h"
#include "hv/watchdog.h"

#define PREFIX 0x01 /* Ctrl-A */

static bool prefixed, quit;
static unsigned focus;

/* Which CPU acts: a guest's registers, clock and trace are its own CPU's, and so are a CPU's ledger and
 * counters.
 */
enum place { HERE, GUESTS_CPU, EACH_CPU };

struct key {
    char letter;
    enum place place;
    const char *help;
    void (*act)(void *focused); /* the VM that input goes to */
};

static void show_help(void *focused);

static void next_guest(void *focused)
{
    (void)focused;
    focus = (focus + 1) % vm_count;
    log_notice("input goes to %s", vms[focus]->name);
}

static void show_clocks(void *focused)
{
    (void)focused;
    for (unsigned i = 0; i < vm_count; i++) {
        const struct vm *v = vms[i];

        if (!vm_is_here(v))
            continue;
        log_notice("%s: clock %'llu = consumed %'llu + charged %'llu + snapped %'llu + idle %'llu: %s",
                   v->name, (unsigned long long)v->clock.now, (unsigned long long)vm_consumed(v),
                   (unsigned long long)v->sources.charged, (unsigned long long)v->sources.snapped,
                   (unsigned long long)v->sources.idle, vm_time_exact(v) ? "exact" : "NOT EXACT");
        log_notice("%s: %'llu timer events, %'llu landed, %'llu late (worst %llu), %'llu snapped", v->name,
                   (unsigned long long)v->clock.deadlines.fired, (unsigned long long)v->landing.landed,
                   (unsigned long long)v->landing.late, (unsigned long long)v->landing.worst_late,
                   (unsigned long long)v->landing.snaps);
    }
    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++)
        if (ledger.cycles[i])
            log_notice("ledger %-12s %'20llu", ledger_account_name(i), (unsigned long long)ledger.cycles[i]);
    log_notice("ledger %-12s %'20llu", "guests", (unsigned long long)ledger_guests());
    log_notice("ledger sum: %s; switch recalibrated %llu times", ledger_exact() ? "exact" : "NOT EXACT",
               (unsigned long long)vcpu_recalibrations());
    cpu_health_show(true);
}

static void show_registers(void *focused)
{
    struct vm *vm = focused;
    static const char *const names[REG_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                 "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    struct vcpu_control c;

    vcpu_gather(&vm->vcpu);
    vcpu_get_control(&vm->vcpu, &c);
    log_notice("%s: rip %04x:%016llx rflags %llx state %u", vm->name, c.segments[SEGMENT_CS].selector,
               (unsigned long long)*vm->vcpu.rip, (unsigned long long)*vm->vcpu.rflags, vm->state);
    for (unsigned i = 0; i < REG_COUNT; i += 4)
        log_notice("%-3s %016llx %-3s %016llx %-3s %016llx %-3s %016llx", names[i],
                   (unsigned long long)*vm->vcpu.gpr[i], names[i + 1],
                   (unsigned long long)*vm->vcpu.gpr[i + 1], names[i + 2],
                   (unsigned long long)*vm->vcpu.gpr[i + 2], names[i + 3],
                   (unsigned long long)*vm->vcpu.gpr[i + 3]);
    log_notice("cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx", (unsigned long long)c.cr0,
               (unsigned long long)c.cr2, (unsigned long long)c.cr3, (unsigned long long)c.cr4,
               (unsigned long long)c.efer);
}

static void show_trace(void *focused)
{
    (void)focused;
    trace_show(32);
}

static void show_report(void *focused)
{
    (void)focused;
    report_show();
}

static void raise_nmi(void *focused)
{
    struct vm *vm = focused;

    if (vm->state == VM_ENDED || vm->state == VM_KEPT) {
        log_notice("%s doesn't run any more", vm->name);
        return;
    }
    vm_raise_nmi(vm);
    log_notice("%s: NMI%s", vm->name, vm_nmi_waits(vm) ? "" : ", masked by bit 7 of port 70h as yet");
}

static void ask_quit(void *focused)
{
    (void)focused;
    __atomic_store_n(&quit, true, __ATOMIC_RELEASE);
}

static const struct key keys[] = {
    {'h', HERE, "this help", show_help},
    {'n', HERE, "input to the next guest", next_guest},
    {'t', EACH_CPU, "clocks and ledger", show_clocks},
    {'r', GUESTS_CPU, "registers of the guest in focus", show_registers},
    {'d', GUESTS_CPU, "last trace records", show_trace},
    {'i', GUESTS_CPU, "an NMI to the guest in focus", raise_nmi},
    {'m', HERE, "this machine, as a report to send", show_report},
    {'x', HERE, "quit Verge", ask_quit},
};

static void show_help(void *focused)
{
    (void)focused;
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        log_notice("Ctrl-A %c: %s", keys[i].letter, keys[i].help);
    log_notice("Ctrl-A Ctrl-A: one Ctrl-A to the guest");
}

static void act(const struct key *key, struct vm *vm)
{
    if (key->place == HERE)
        key->act(vm);
    else if (key->place == GUESTS_CPU)
        cpus_call(vm->cpu, key->act, vm);
    for (unsigned cpu = 0; cpu < cpus_count() && key->place == EACH_CPU; cpu++) {
        if (cpu && !run_has_guests(cpu))
            continue;
        if (cpu)
            log_notice("cpu%u:", cpu);
        cpus_call(cpu, key->act, vm);
        watchdog_look(host_tsc());
    }
}

void keys_input(uint8_t byte)
{
    struct vm *vm = vms[focus];

    if (!prefixed) {
        if (byte == PREFIX)
            prefixed = true;
        else
            input_put(&vm->input, byte);
        return;
    }
    prefixed = false;
    if (byte == PREFIX) {
        input_put(&vm->input, byte);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].letter == (char)byte)
            act(&keys[i], vm);
}

bool keys_quit(void)
{
    return __atomic_load_n(&quit, __ATOMIC_ACQUIRE);
}
