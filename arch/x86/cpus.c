/*
 * Start of the further CPUs, and how they are told what to do. Contract: api/cpus.h. What they share with the
 * boot CPU is struct seat. Sources: Intel SDM vol. 3, "Multiple-Processor (MP)
 * Initialization"; AMD64 APM vol. 2 "Initialization and Processor State", "Multiple Processor
 * Initialization".
 */
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/machine.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/backtrace.h"
#include "arch/x86/host/acpi.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/paging.h"
#include "arch/x86/start_cpu.h"
#include "arch/x86/trap.h"
#include "lib/log.h"
#include "lib/string.h"

#define INIT_US    10000u
#define STARTUP_US 200u
#define ANSWER_US  500000u
#define CALL_US    10000000u
#define WHERE_US   1000000u
#define TSC_ROUNDS 16u

struct work {
    void (*function)(void *);
    void *argument;
    bool wanted; /* set by the boot CPU, cleared by the other when it is done: then the rest is the boot CPU's
                  */
};

struct seat {
    uint32_t apic_id;
    bool answered; /* it runs */
    bool ready;    /* for guests */
    struct work call, job;
    struct {
        bool asked, told;
        unsigned count;
        uint64_t rips[BACKTRACE_MOST];
    } where;
} __attribute__((aligned(64)));

extern char boot_pml4[], per_cpu_start[], per_cpu_end[];

static struct seat seats[CPUS_MAX];
static unsigned count = 1;
static uint64_t boot_pat;

unsigned cpus_count(void)
{
    return count;
}

bool cpus_ready(unsigned id)
{
    return id < count && __atomic_load_n(&seats[id].ready, __ATOMIC_ACQUIRE);
}

static uint64_t cycles_of(uint64_t us)
{
    return host_tsc_hz() / 1000000 * us;
}

/*
 * Sleeps until *flag is `value`, by a CPU that then sends VECTOR_WAKE; false: not within that time. Never by
 * polling: an emulator that runs one CPU at a time would count that as the other's time, too.
 */
static bool wait_for(const bool *flag, bool value, uint64_t us)
{
    for (uint64_t start = rdtsc(), most = cycles_of(us); __atomic_load_n(flag, __ATOMIC_ACQUIRE) != value;) {
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
    unsigned id = count - 1; /* no other is started before this one has answered */
    struct seat *seat = &seats[id];

    wrmsr(MSR_PAT, boot_pat);
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
    if (wait_for(&seat->call.wanted, false, CALL_US))
        return true;
    log_error("cpu%u does not come back", id);
    return false;
}

void cpus_begin(unsigned id, void (*job)(void *), void *argument)
{
    give(&seats[id], &seats[id].job, job, argument);
}

bool cpus_busy(unsigned id)
{
    return wanted(&seats[id].job);
}

void cpus_wait(unsigned id)
{
    while (!wait_for(&seats[id].job.wanted, false, CALL_US))
        ;
}

void cpus_ask_where(unsigned id)
{
    struct seat *seat = &seats[id];

    __atomic_store_n(&seat->where.asked, true, __ATOMIC_RELEASE);
    host_lapic_send_nmi(seat->apic_id);
    for (uint64_t start = rdtsc(); rdtsc() - start < cycles_of(WHERE_US);) {
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
    for (unsigned id = 0; id < count && count > 1; id++)
        if (id != this_cpu()->id && (id == 0 || seats[id].answered))
            host_lapic_send_nmi(seats[id].apic_id);
}

/* ---- start ---- */

/* The code is written once: who comes late may be executing it. */
static struct start_page *write_page(uint64_t page)
{
    char *code = phys_to_virt(page);
    struct start_page *start;

    memcpy(code, start_cpu_code, (size_t)(start_cpu_end - start_cpu_code));
    start = (struct start_page *)(code + (start_cpu_page - start_cpu_code));
    start->boot_tables = paging_of_image(boot_pml4);
    start->to_32.offset += (uint32_t)page;
    start->to_64.offset += (uint32_t)page;
    start->gdt_base += (uint32_t)page;
    return start;
}

/* Nobody may come any more. False: somebody has. */
static bool withdraw(struct start_page *start, uint32_t apic_id)
{
    return __atomic_compare_exchange_n(&start->expected, &apic_id, START_NOBODY, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* False: it doesn't answer, and may not any more. One that has come to the page, but no farther, might yet:
 * what the page says is its own for good, and nothing can be trusted. */
static bool start_one(struct seat *seat, struct start_page *start, uint64_t page)
{
    start->tables = paging_for_further_cpu();
    __atomic_store_n(&start->expected, seat->apic_id, __ATOMIC_RELEASE);
    host_lapic_send_init(seat->apic_id);
    wait_for(&seat->answered, true, INIT_US); /* it can't yet */
    host_lapic_send_startup(seat->apic_id, (uint8_t)(page / PAGE_SIZE));
    if (wait_for(&seat->answered, true, STARTUP_US))
        return true;
    host_lapic_send_startup(seat->apic_id, (uint8_t)(page / PAGE_SIZE));
    if (wait_for(&seat->answered, true, ANSWER_US))
        return true;
    if (!withdraw(start, seat->apic_id)) {
        if (!wait_for(&seat->answered, true, CALL_US))
            panic("APIC ID %u has begun to start and goes no farther", seat->apic_id);
        return true;
    }
    host_lapic_send_init(seat->apic_id); /* should it come yet: back to where it waits for a start */
    return false;
}

/* ---- do the TSCs agree? ---- */

static struct {
    uint64_t asked, answer; /* TSC readings; 0: not yet */
} tsc_exchange;

struct tsc_offset {
    int64_t ahead;   /* of the boot CPU's */
    uint64_t within; /* give or take */
};

static void await_job(unsigned id)
{
    if (!wait_for(&seats[id].job.wanted, false, CALL_US))
        panic("cpu%u was started and does not come back", id);
}

/* Until it isn't 0. */
static uint64_t await_reading(const uint64_t *reading)
{
    uint64_t start = rdtsc(), value;

    while (!(value = __atomic_load_n(reading, __ATOMIC_ACQUIRE))) {
        if (rdtsc() - start > cycles_of(CALL_US))
            panic("a CPU that was started does not come back");
        cpu_relax();
    }
    return value;
}

static void answer_with_tsc(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < TSC_ROUNDS; i++) {
        await_reading(&tsc_exchange.asked);
        tsc_exchange.asked = 0;
        __atomic_store_n(&tsc_exchange.answer, rdtsc_ordered(), __ATOMIC_RELEASE);
    }
}

/* Its reading lies between two of ours: the round that took least says most. */
static struct tsc_offset compare_tsc(unsigned id)
{
    struct tsc_offset offset = {.within = UINT64_MAX};

    cpus_begin(id, answer_with_tsc, NULL);
    for (unsigned i = 0; i < TSC_ROUNDS; i++) {
        uint64_t before = rdtsc_ordered();

        __atomic_store_n(&tsc_exchange.asked, before, __ATOMIC_RELEASE);
        uint64_t answer = await_reading(&tsc_exchange.answer), after = rdtsc_ordered();
        uint64_t half = (after - before + 1) / 2;
        tsc_exchange.answer = 0;
        if (half < offset.within)
            offset = (struct tsc_offset){(int64_t)(answer - before - half), half};
    }
    await_job(id);
    return offset;
}

static void show_tsc(unsigned id, const struct tsc_offset *offset)
{
    uint64_t off = (uint64_t)(offset->ahead < 0 ? -offset->ahead : offset->ahead);

    if (off <= offset->within)
        log_info("cpu%u: its TSC agrees with cpu0's within %'llu cycles", id,
                 (unsigned long long)offset->within);
    else
        log_warning("cpu%u: its TSC is %'llu cycles %s cpu0's (within %'llu): times in the log of what it "
                    "does are off by as much; guests' clocks are not",
                    id, (unsigned long long)off, offset->ahead < 0 ? "behind" : "ahead of",
                    (unsigned long long)offset->within);
}

/* Both run at one rate, the one that was measured: a while later the offset is what it was. */
static bool same_rate(unsigned id, const struct tsc_offset *first)
{
    struct tsc_offset now = compare_tsc(id);
    int64_t drift = now.ahead - first->ahead;
    uint64_t most = now.within + first->within;

    if (drift <= (int64_t)most && -drift <= (int64_t)most)
        return true;
    log_warning("cpu%u: its TSC drifts from cpu0's: guests' clocks would be wrong on it", id);
    return false;
}

static void make_ready(void *argument)
{
    struct seat *seat = argument;

    __atomic_store_n(&seat->ready, cpu_join(), __ATOMIC_RELEASE);
}

static void start_and_check(unsigned id, struct start_page *start, uint64_t page)
{
    struct seat *seat = &seats[id];

    if (!host_lapic_reaches(seat->apic_id)) {
        log_warning("cpu%u: APIC ID %u is out of xAPIC mode's reach: not used", id, seat->apic_id);
        return;
    }
    if (!start_one(seat, start, page)) {
        log_warning("cpu%u: APIC ID %u does not answer: not used", id, seat->apic_id);
        return;
    }
    struct tsc_offset offset = compare_tsc(id);
    show_tsc(id, &offset);
    cpus_begin(id, make_ready, seat);
    await_job(id);
    if (seat->ready && !same_rate(id, &offset)) {
        log_warning("cpu%u can't run guests", id);
        seat->ready = false;
    }
}

void cpus_start(void)
{
    const struct acpi_info *acpi = host_acpi();
    uint64_t page = phys_low_page();
    struct start_page *start = page ? write_page(page) : NULL;

    seats[0] = (struct seat){.apic_id = host_lapic_id(), .ready = true, .answered = true};
    boot_pat = rdmsr(MSR_PAT);
    for (unsigned i = 0; i < acpi->cpu_count; i++) {
        if (!acpi->cpus[i].enabled || acpi->cpus[i].apic_id == seats[0].apic_id)
            continue;
        if (!start) {
            log_warning("no memory is free below 512 KB: the other CPUs can't be started");
            return;
        }
        if (count == CPUS_MAX) {
            log_warning("more than %u CPUs: the rest is not used", CPUS_MAX);
            return;
        }
        unsigned id = count++;
        seats[id].apic_id = acpi->cpus[i].apic_id;
        start_and_check(id, start, page);
    }
}
