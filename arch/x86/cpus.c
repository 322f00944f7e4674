/*
 * How the further CPUs are told what to do, and how they are waited for. Contract: api/cpus.h; what is shared
 * with each is struct seat.
 */
#include "arch/x86/seats.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/machine.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/start_cpu.h"
#include "arch/x86/trap.h"
#include "lib/log.h"

#define WHERE_US 1000000u

extern char per_cpu_start[], per_cpu_end[];

struct seat seats[CPUS_MAX];
unsigned seats_count = 1;
uint64_t seats_pat;

unsigned cpus_count(void)
{
    return seats_count;
}

bool cpus_ready(unsigned id)
{
    return id < seats_count && __atomic_load_n(&seats[id].ready, __ATOMIC_ACQUIRE);
}

uint64_t seats_cycles_of(uint64_t us)
{
    return host_tsc_hz() / 1000000 * us;
}

bool seats_wait_for(const bool *flag, bool value, uint64_t us)
{
    for (uint64_t start = rdtsc(), most = seats_cycles_of(us);
         __atomic_load_n(flag, __ATOMIC_ACQUIRE) != value;) {
        uint64_t waited = rdtsc() - start;

        if (waited >= most)
            return false;
        cpu_set_timer(most - waited);
        cpu_wait();
    }
    return true;
}

static void wake_boot_cpu(void)
{
    host_lapic_send_interrupt(seats[0].apic_id, VECTOR_WAKE);
}

/* ---- on a further CPU ---- */

static bool wanted(const struct work *work)
{
    return __atomic_load_n(&work->wanted, __ATOMIC_ACQUIRE);
}

static void carry_out(struct work *work)
{
    if (!wanted(work))
        return;
    work->function(work->argument);
    __atomic_store_n(&work->wanted, false, __ATOMIC_RELEASE);
    wake_boot_cpu();
}

void cpus_serve(void)
{
    if (panic_elsewhere())
        machine_halt();
    carry_out(&seats[this_cpu()->id].call);
}

/* An interrupt that comes between the look at the seat and the HLT ends the HLT: they are off until then. */
_Noreturn void cpu_entered(void)
{
    unsigned id = seats_count - 1; /* no other is started before this one has answered */
    struct seat *seat = &seats[id];

    wrmsr(MSR_PAT, seats_pat);
    cpu_init_early();
    this_cpu()->id = id;
    host_lapic_init_here();
    __atomic_store_n(&seat->answered, true, __ATOMIC_RELEASE);
    wake_boot_cpu();
    for (;;) {
        carry_out(&seat->call);
        carry_out(&seat->job);
        if (!wanted(&seat->call) && !wanted(&seat->job))
            cpu_wait();
    }
}

/* ---- calls ---- */

/* Not something of this CPU's own, its stack among it: the other has another one at that address. */
static bool is_shared(const void *pointer)
{
    return (const char *)pointer < per_cpu_start || (const char *)pointer >= per_cpu_end;
}

static void give(struct seat *seat, struct work *work, void (*function)(void *), void *argument)
{
    ASSERT(is_shared(argument));
    work->function = function;
    work->argument = argument;
    __atomic_store_n(&work->wanted, true, __ATOMIC_RELEASE);
    host_lapic_send_interrupt(seat->apic_id, VECTOR_WAKE);
}

bool cpus_call(unsigned id, void (*function)(void *), void *argument)
{
    struct seat *seat = &seats[id];

    ASSERT(this_cpu()->id == 0);
    if (id == 0) {
        function(argument);
        return true;
    }
    if (wanted(&seat->call)) { /* an earlier one, which was given up */
        log_error("cpu%u does not come back", id);
        return false;
    }
    give(seat, &seat->call, function, argument);
    if (seats_wait_for(&seat->call.wanted, false, SEATS_PATIENCE_US))
        return true;
    log_error("cpu%u does not come back", id);
    return false;
}

void cpus_begin(unsigned id, void (*job)(void *), void *argument)
{
    give(&seats[id], &seats[id].job, job, argument);
}

void seats_await_job(unsigned id)
{
    if (!seats_wait_for(&seats[id].job.wanted, false, SEATS_PATIENCE_US))
        panic("cpu%u was started and does not come back", id);
}

bool cpus_busy(unsigned id)
{
    return wanted(&seats[id].job);
}

void cpus_wait(unsigned id)
{
    while (!seats_wait_for(&seats[id].job.wanted, false, SEATS_PATIENCE_US))
        log_warning("cpu%u is still at work", id);
}

void cpus_ask_where(unsigned id)
{
    struct seat *seat = &seats[id];

    __atomic_store_n(&seat->where.asked, true, __ATOMIC_RELEASE);
    host_lapic_send_nmi(seat->apic_id);
    for (uint64_t start = rdtsc(); rdtsc() - start < seats_cycles_of(WHERE_US);) {
        if (__atomic_load_n(&seat->where.told, __ATOMIC_ACQUIRE)) {
            backtrace_show_taken(seat->where.rips, seat->where.count);
            return;
        }
        cpu_relax();
    }
}

/* No logging here: this CPU may hold the log's lock. */
void cpus_tell_where(uint64_t rip, uint64_t rbp)
{
    struct seat *seat = &seats[this_cpu()->id];

    if (!__atomic_load_n(&seat->where.asked, __ATOMIC_ACQUIRE))
        return;
    seat->where.count = backtrace_take(rip, rbp, seat->where.rips);
    __atomic_store_n(&seat->where.told, true, __ATOMIC_RELEASE);
}

void cpus_stop_others(void)
{
    for (unsigned id = 0; id < seats_count && seats_count > 1; id++)
        if (id != this_cpu()->id && (id == 0 || seats[id].answered))
            host_lapic_send_nmi(seats[id].apic_id);
}
