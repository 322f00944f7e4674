/* The host's local APIC; the contract is in lapic.h. */
#include "arch/x86/host/lapic.h"
#include "arch/x86/asm.h"
#include "arch/x86/paging.h"
#include "arch/x86/trap.h"

#define REG_VERSION       0x30
#define REG_TPR           0x80
#define REG_EOI           0xB0
#define REG_SPURIOUS      0xF0
#define REG_IN_SERVICE    0x100 /* 256 bits, in 8 registers 10h apart */
#define REG_ICR_LOW       0x300
#define REG_LVT_TIMER     0x320
#define REG_LVT_THERMAL   0x330
#define REG_LVT_PERF      0x340
#define REG_LVT_LINT0     0x350
#define REG_LVT_LINT1     0x360
#define REG_LVT_ERROR     0x370
#define REG_INITIAL_COUNT 0x380
#define REG_CURRENT_COUNT 0x390
#define REG_DIVIDE        0x3E0

/* Above every vector but Verge's own: an interrupt of a device that firmware left unmasked in the I/O APIC,
 * or an MSI, stays pending and ends no guest's run (APM vol. 2, "Task Priority"). */
#define TASK_PRIORITY    0xD0
#define LVT_MASKED       BIT(16)
#define SPURIOUS_ENABLE  BIT(8)
#define LVT_PERIODIC     BIT(17)
#define LVT_TSC_DEADLINE BIT(18)
#define MSR_TSC_DEADLINE 0x6E0u
#define DIVIDE_BY_1      0xB
#define ICR_ASSERT       BIT(14)
#define ICR_SELF         (1u << 18)
#define APIC_BASE_ENABLE BIT64(11)
#define APIC_BASE_X2APIC BIT64(10)
#define ABSENT           0xFFFFFFFFu /* what no device answers with */

static volatile uint32_t *registers;
static bool by_deadline;

static void reg_write(unsigned offset, uint32_t value)
{
    registers[offset / 4] = value;
}

static void mask_8259(void)
{
    outb(0x21, 0xFF);
    outb(0xA1, 0xFF);
}

/*
 * Switches it on, with its registers in memory. Firmware may have left it in x2APIC mode, where they are not;
 * the only way out of that is through "disabled" (APM vol. 2, "x2APIC", the mode transitions).
 */
static void enable(uint64_t base)
{
    if (base & APIC_BASE_X2APIC) {
        base &= ~(APIC_BASE_X2APIC | APIC_BASE_ENABLE);
        wrmsr(MSR_APIC_BASE, base);
    }
    if (!(base & APIC_BASE_ENABLE))
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
}

/* What firmware left in service would hold off the timer's vector for good. */
static void end_all_in_service(void)
{
    for (unsigned vector = 0; vector < 256; vector++)
        if (registers[(REG_IN_SERVICE + vector / 32 * 0x10) / 4] & BIT(vector % 32))
            host_lapic_eoi();
}

bool host_lapic_init(void)
{
    uint64_t base;

    mask_8259(); /* before LINT0 is touched: a masked pin with a pending INTR delivers a stale vector */
    if (!(cpuid(1, 0).edx & BIT(9)) || !rdmsr_safe(MSR_APIC_BASE, &base))
        return false;
    enable(base);
    registers = paging_map_device(base & PTE_ADDRESS, 4096);
    if (registers[REG_VERSION / 4] == ABSENT)
        return false;
    host_lapic_init_here();
    return true;
}

void host_lapic_init_here(void)
{
    reg_write(REG_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    reg_write(REG_TPR, TASK_PRIORITY);
    end_all_in_service();
    reg_write(REG_LVT_LINT0, LVT_MASKED);
    reg_write(REG_LVT_LINT1, LVT_MASKED);
    reg_write(REG_LVT_ERROR, LVT_MASKED);
    reg_write(REG_LVT_PERF, LVT_MASKED);
    reg_write(REG_LVT_THERMAL, LVT_MASKED);
    reg_write(REG_DIVIDE, DIVIDE_BY_1);
    reg_write(REG_INITIAL_COUNT, 0);
    reg_write(REG_LVT_TIMER, VECTOR_TIMER);
}

uint32_t host_lapic_id(void)
{
    return registers[0x20 / 4] >> 24;
}

bool host_lapic_reaches(uint32_t apic_id)
{
    return apic_id < 255;
}

static void send(uint32_t apic_id, uint32_t command)
{
    reg_write(0x310, apic_id << 24);
    reg_write(REG_ICR_LOW, command);
}

void host_lapic_send_init(uint32_t apic_id)
{
    send(apic_id, 0x4500);
}
void host_lapic_send_startup(uint32_t apic_id, uint8_t page)
{
    send(apic_id, 0x4600 | page);
}
void host_lapic_send_nmi(uint32_t apic_id)
{
    send(apic_id, 0x4400);
}
void host_lapic_send_interrupt(uint32_t apic_id, uint8_t vector)
{
    send(apic_id, 0x4000 | vector);
}

void host_lapic_eoi(void)
{
    reg_write(REG_EOI, 0);
}

volatile uint32_t *host_lapic_initial_count(void)
{
    return registers + REG_INITIAL_COUNT / 4;
}

uint32_t host_lapic_current_count(void)
{
    return registers[REG_CURRENT_COUNT / 4];
}

/* A CPU clears the MSR when the timer fires (SDM vol. 3 "TSC-Deadline Mode"); Bochs 2.7 leaves it. */
bool host_lapic_expired(void)
{
    return by_deadline ? rdmsr(MSR_TSC_DEADLINE) <= rdtsc() : host_lapic_current_count() == 0;
}

void host_lapic_arm(uint32_t count)
{
    if (by_deadline)
        wrmsr(MSR_TSC_DEADLINE, count ? rdtsc() + count : 0);
    else
        reg_write(REG_INITIAL_COUNT, count);
}

bool host_lapic_has_deadlines(void)
{
    return cpuid(1, 0).ecx & BIT(24);
}

/* The LVT is written in memory, which no WRMSR to this MSR waits for (SDM vol. 3 "TSC-Deadline Mode", on
 * xAPIC mode). */
void host_lapic_start_deadlines(void)
{
    by_deadline = true;
    reg_write(REG_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_TIMER);
    __asm__ volatile("mfence; lfence" : : : "memory");
}

void host_lapic_interrupt_self(void)
{
    reg_write(REG_ICR_LOW, ICR_SELF | ICR_ASSERT | VECTOR_SELF);
}

void host_lapic_start_periodic(uint32_t count)
{
    reg_write(REG_LVT_TIMER, LVT_PERIODIC | VECTOR_TIMER);
    reg_write(REG_INITIAL_COUNT, count);
}
