/*
 * Start of the further CPUs, one after the other. Contract: api/cpus.h, cpus_start(). Sources: Intel SDM
 * vol. 3, "Multiple-Processor (MP) Initialization"; AMD64 APM vol. 2 "Initialization and Processor State",
 * "Multiple Processor Initialization".
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/compare_tsc.h"
#include "arch/x86/host/acpi.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/paging.h"
#include "arch/x86/seats.h"
#include "arch/x86/start_cpu.h"
#include "lib/log.h"
#include "lib/string.h"

#define INIT_US    10000u
#define STARTUP_US 200u
#define ANSWER_US  500000u

extern char boot_pml4[];

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
    seats_wait_for(&seat->answered, true, INIT_US); /* it can't yet */
    host_lapic_send_startup(seat->apic_id, (uint8_t)(page / PAGE_SIZE));
    if (seats_wait_for(&seat->answered, true, STARTUP_US))
        return true;
    host_lapic_send_startup(seat->apic_id, (uint8_t)(page / PAGE_SIZE));
    if (seats_wait_for(&seat->answered, true, ANSWER_US))
        return true;
    if (!withdraw(start, seat->apic_id)) {
        if (!seats_wait_for(&seat->answered, true, SEATS_PATIENCE_US))
            panic("APIC ID %u has begun to start and goes no farther", seat->apic_id);
        return true;
    }
    host_lapic_send_init(seat->apic_id); /* should it come yet: back to where it waits for a start */
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
    compare_tsc_show(id, &offset);
    cpus_begin(id, make_ready, seat);
    seats_await_job(id);
    if (seat->ready && !compare_tsc_same_rate(id, &offset)) {
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
    seats_pat = rdmsr(MSR_PAT);
    for (unsigned i = 0; i < acpi->cpu_count; i++) {
        if (!acpi->cpus[i].enabled || acpi->cpus[i].apic_id == seats[0].apic_id)
            continue;
        if (!start) {
            log_warning("no memory is free below 512 KB: the other CPUs can't be started");
            return;
        }
        if (seats_count == CPUS_MAX) {
            log_warning("more than %u CPUs: the rest is not used", CPUS_MAX);
            return;
        }
        unsigned id = seats_count++;
        seats[id].apic_id = acpi->cpus[i].apic_id;
        start_and_check(id, start, page);
    }
}
