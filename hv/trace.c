/* The trace ring of this CPU; the contract is in devapi/trace.h. */
#include "hv/trace.h"
#include "arch/x86/api/per_cpu.h"
#include "lib/fmt.h"
#include "lib/log.h"

PER_CPU struct trace_record trace_records[TRACE_RECORDS];
PER_CPU uint64_t trace_next;

static PER_CPU const struct guest_clock *current_clock;
static PER_CPU unsigned current_vm;

static const char *const names[TRACE_EVENTS] = {
    [TRACE_NONE] = "-",          [TRACE_ENTRY] = "entry",       [TRACE_EXIT] = "exit",
    [TRACE_LANDING] = "landing", [TRACE_INJECT] = "inject",     [TRACE_IRQ] = "irq",
    [TRACE_PORT] = "port",       [TRACE_DEADLINE] = "deadline", [TRACE_VM_SWITCH] = "vm-switch",
    [TRACE_NOTE] = "note",
};

void trace_set_vm(unsigned vm, const struct guest_clock *clock)
{
    current_vm = vm;
    current_clock = clock;
}

void trace(enum trace_event event, uint64_t a, uint64_t b)
{
    trace_of(current_vm, current_clock ? guest_clock_now(current_clock) : 0, event, a, b);
}

void trace_show(unsigned most)
{
    uint64_t count = MIN(trace_next, (uint64_t)MIN(most, TRACE_RECORDS));

    for (uint64_t i = trace_next - count; i < trace_next; i++) {
        const struct trace_record *r = &trace_records[i % TRACE_RECORDS];

        log_error("trace vm%u %llu %s %llx %llx", r->vm, (unsigned long long)r->guest_cycles,
                  r->event < TRACE_EVENTS ? names[r->event] : "?", (unsigned long long)r->a,
                  (unsigned long long)r->b);
    }
}
