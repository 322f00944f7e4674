/*
 * Start of the further CPUs, and how they are told what to do. Contract: api/cpus.h. What they share with the
 * boot CPU is struct seat; each field has one writer. Sources: Intel SDM vol. 3, "Multiple-Processor (MP)
 * Initialization"; AMD64 APM vol. 2 "Initialization and Processor State", "Multiple Processor
 * Initialization".
 */
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
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
#define TSC_ROUNDS 16u

struct work {
    void (*function)(void *);
    void *argument;
    bool wanted; /* set by the boot CPU, cleared by the other when it is done */
};

struct seat {
    uint32_t apic_id;
    bool answered; /* it runs */
    bool ready;    /* for guests */
    bool asked_where;
    struct work call, job;
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
    carry_out(&seats[this_cpu()->id].call);
}

/* An interrupt that comes between the look at the seat and the HLT ends the HLT: they are off until then. */
_Noreturn void cpu_entered(void)
{
    unsigned id = count - 1;
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

    if (id == this_cpu()->id) {
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

void cpus_ask_where(unsigned id)
{
    __atomic_store_n(&seats[id].asked_where, true, __ATOMIC_RELEASE);
    host_lapic_send_nmi(seats[id].apic_id);
}

bool cpus_asked_where(void)
{
    return __atomic_load_n(&seats[this_cpu()->id].asked_where, __ATOMIC_ACQUIRE);
}

void cpus_stop_others(void)
{
    for (unsigned id = 0; id < count && count > 1; id++)
        if (id != this_cpu()->id && (id == 0 || seats[id].answered))
            host_lapic_send_nmi(seats[id].apic_id);
}

/* ---- start ---- */

static struct start_page *prepare_page(uint64_t page, uint32_t apic_id)
{
    char *code = phys_to_virt(page);
    struct start_page *start;

    memcpy(code, start_cpu_code, (size_t)(start_cpu_end - start_cpu_code));
    start = (struct start_page *)(code + (start_cpu_page - start_cpu_code));
    start->boot_tables = paging_of_image(boot_pml4);
    start->tables = paging_for_further_cpu();
    start->to_32.offset += (uint32_t)page;
    start->to_64.offset += (uint32_t)page;
    start->gdt_base += (uint32_t)page;
    __atomic_store_n(&start->expected, apic_id, __ATOMIC_RELEASE);
    return start;
}

/* Nobody comes any more, or whoever has come meanwhile is waited for. */
static bool give_up(struct start_page *start, const struct seat *seat)
{
    uint32_t expected = seat->apic_id;

    return __atomic_compare_exchange_n(&start->expected, &expected, START_NOBODY, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE) ||
           !wait_for(&seat->answered, true, ANSWER_US);
}

static bool start_one(struct seat *seat, uint64_t page)
{
    struct start_page *start = prepare_page(page, seat->apic_id);

    host_lapic_send_init(seat->apic_id);
    wait_for(&seat->answered, true, INIT_US); /* it can't yet */
    host_lapic_send_startup(seat->apic_id, (uint8_t)(page / PAGE_SIZE));
    if (wait_for(&seat->answered, true, STARTUP_US))
        return true;
    host_lapic_send_startup(seat->apic_id, (uint8_t)(page / PAGE_SIZE));
    return wait_for(&seat->answered, true, ANSWER_US) || !give_up(start, seat);
}

/* ---- do the TSCs agree? ---- */

static struct {
    uint64_t asked, answer; /* TSC readings; 0: not yet */
} tsc_exchange;

static void answer_with_tsc(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < TSC_ROUNDS; i++) {
        while (!__atomic_load_n(&tsc_exchange.asked, __ATOMIC_ACQUIRE))
            cpu_relax();
        tsc_exchange.asked = 0;
        __atomic_store_n(&tsc_exchange.answer, rdtsc_ordered(), __ATOMIC_RELEASE);
    }
}

/* Its reading lies between two of ours: the round that took least says most. */
static void compare_tsc(unsigned id)
{
    uint64_t least = UINT64_MAX;
    int64_t ahead = 0;

    cpus_begin(id, answer_with_tsc, NULL);
    for (unsigned i = 0; i < TSC_ROUNDS; i++) {
        uint64_t before = rdtsc_ordered(), answer;

        __atomic_store_n(&tsc_exchange.asked, before, __ATOMIC_RELEASE);
        while (!(answer = __atomic_load_n(&tsc_exchange.answer, __ATOMIC_ACQUIRE)))
            cpu_relax();
        uint64_t after = rdtsc_ordered();
        tsc_exchange.answer = 0;
        if (after - before < least) {
            least = after - before;
            ahead = (int64_t)(answer - before - least / 2);
        }
    }
    while (cpus_busy(id))
        cpu_relax();
    uint64_t off = (uint64_t)(ahead < 0 ? -ahead : ahead);
    if (off <= least / 2)
        log_info("cpu%u: its TSC agrees with cpu0's within %'llu cycles", id,
                 (unsigned long long)(least / 2));
    else
        log_warning(
            "cpu%u: its TSC is %'llu cycles %s cpu0's (within %'llu): times in the log of what it does "
            "are off by as much; guests' clocks are not",
            id, (unsigned long long)off, ahead < 0 ? "behind" : "ahead of", (unsigned long long)(least / 2));
}

static void make_ready(void *argument)
{
    struct seat *seat = argument;

    __atomic_store_n(&seat->ready, cpu_join(), __ATOMIC_RELEASE);
}

static void start_and_check(unsigned id, uint64_t page)
{
    struct seat *seat = &seats[id];

    if (!host_lapic_reaches(seat->apic_id)) {
        log_warning("cpu%u: APIC ID %u is out of xAPIC mode's reach: not used", id, seat->apic_id);
        return;
    }
    if (!start_one(seat, page)) {
        log_warning("cpu%u: APIC ID %u does not answer: not used", id, seat->apic_id);
        return;
    }
    compare_tsc(id);
    cpus_call(id, make_ready, seat);
}

void cpus_start(void)
{
    const struct acpi_info *acpi = host_acpi();
    uint64_t page = phys_low_page();

    seats[0] = (struct seat){.apic_id = host_lapic_id(), .ready = true, .answered = true};
    boot_pat = rdmsr(MSR_PAT);
    for (unsigned i = 0; i < acpi->cpu_count; i++) {
        if (!acpi->cpus[i].enabled || acpi->cpus[i].apic_id == seats[0].apic_id)
            continue;
        if (!page) {
            log_warning("no memory is free below 640 KB: the other CPUs can't be started");
            return;
        }
        if (count == CPUS_MAX) {
            log_warning("more than %u CPUs: the rest is not used", CPUS_MAX);
            return;
        }
        unsigned id = count++;
        seats[id].apic_id = acpi->cpus[i].apic_id;
        start_and_check(id, page);
    }
}
