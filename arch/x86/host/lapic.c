/* The host's local APIC; the contract is in lapic.h. */
#include "arch/x86/host/lapic.h"
#include "arch/x86/asm.h"
#include "arch/x86/paging.h"
#include "arch/x86/trap.h"
#include "lib/log.h"

/* Offsets of the registers in memory; register x is MSR_X2APIC + x / 10h in x2APIC mode. */
#define REG_ID            0x20
#define REG_VERSION       0x30
#define REG_TPR           0x80
#define REG_EOI           0xB0
#define REG_SPURIOUS      0xF0
#define REG_IN_SERVICE    0x100 /* 256 bits, in 8 registers 10h apart */
#define REG_ICR_LOW       0x300 /* in x2APIC mode the whole of it, 64 bits */
#define REG_ICR_HIGH      0x310
#define REG_LVT_TIMER     0x320
#define REG_LVT_THERMAL   0x330
#define REG_LVT_PERF      0x340
#define REG_LVT_LINT0     0x350
#define REG_LVT_LINT1     0x360
#define REG_LVT_ERROR     0x370
#define REG_INITIAL_COUNT 0x380
#define REG_CURRENT_COUNT 0x390
#define REG_DIVIDE        0x3E0
#define REG_SELF_IPI      0x3F0 /* x2APIC mode only */
#define MSR_X2APIC        0x800u

/* Above every vector but Verge's own: an interrupt of a device that firmware left unmasked in the I/O APIC,
 * or an MSI, stays pending and ends no guest's run (APM vol. 2, "Task Priority"). */
#define TASK_PRIORITY       0xD0
#define VERSION_LAST_LVT(v) ((v) >> 16 & 0xFF)
#define LAST_LVT_PERF       4u
#define LAST_LVT_THERMAL    5u
#define LVT_MASKED          BIT(16)
#define SPURIOUS_ENABLE     BIT(8)
#define LVT_PERIODIC        BIT(17)
#define LVT_TSC_DEADLINE    BIT(18)
#define MSR_TSC_DEADLINE    0x6E0u
#define DIVIDE_BY_1         0xB
#define ICR_FIXED           (0u << 8)
#define ICR_NMI             (4u << 8)
#define ICR_INIT            (5u << 8)
#define ICR_STARTUP         (6u << 8)
#define ICR_PENDING         BIT(12)
#define ICR_ASSERT          BIT(14)
#define ICR_SELF            (1u << 18)
#define IDLE_TRIES          100000u
#define XAPIC_BROADCAST     0xFFu
#define X2APIC_BROADCAST    0xFFFFFFFFu
#define APIC_BASE_ENABLE    BIT64(11)
#define APIC_BASE_X2APIC    BIT64(10)
#define MSR_XAPIC_DISABLE   0xBDu
#define XAPIC_DISABLED      BIT64(0)
#define CAP_XAPIC_DISABLE   BIT64(21)   /* of IA32_ARCH_CAPABILITIES */
#define ABSENT              0xFFFFFFFFu /* what no device answers with */

static bool in_x2apic;
static enum lapic_way way;
static volatile uint32_t *registers; /* in xAPIC mode */

static inline void reg_write(unsigned offset, uint32_t value)
{
    if (in_x2apic)
        wrmsr(MSR_X2APIC + offset / 16, value);
    else
        registers[offset / 4] = value;
}

static inline uint32_t reg_read(unsigned offset)
{
    return in_x2apic ? (uint32_t)rdmsr(MSR_X2APIC + offset / 16) : registers[offset / 4];
}

/* ---- the mode ---- */

/* SDM vol. 4, IA32_XAPIC_DISABLE_STATUS. */
static bool is_locked(void)
{
    uint64_t capabilities, status;

    return cpuid(0, 0).eax >= 7 && cpuid(7, 0).edx & BIT(29) && rdmsr_safe(MSR_ARCH_CAPS, &capabilities) &&
           capabilities & CAP_XAPIC_DISABLE && rdmsr_safe(MSR_XAPIC_DISABLE, &status) &&
           status & XAPIC_DISABLED;
}

static bool choose_x2apic(uint64_t base, enum cpu_apic wish)
{
    bool is_on = base & APIC_BASE_X2APIC;

    if (wish != CPU_APIC_XAPIC)
        return is_on || cpuid(1, 0).ecx & BIT(21);
    if (!is_locked())
        return false;
    log_warning("apic=xapic: firmware has locked this CPU's local APIC in x2APIC mode: left in it");
    return true;
}

/*
 * Switches it on, in the chosen mode. The only way out of x2APIC mode is through "disabled", and the only way
 * into it from there through xAPIC mode (SDM vol. 3 "x2APIC State Transitions").
 */
static void enter_mode(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    if (!in_x2apic && base & APIC_BASE_X2APIC) {
        base &= ~(APIC_BASE_X2APIC | APIC_BASE_ENABLE);
        wrmsr(MSR_APIC_BASE, base);
    }
    if (!(base & APIC_BASE_ENABLE)) {
        base |= APIC_BASE_ENABLE;
        wrmsr(MSR_APIC_BASE, base);
    }
    if (in_x2apic && !(base & APIC_BASE_X2APIC))
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
}

static void interrupt_self_by_memory(void)
{
    registers[REG_ICR_LOW / 4] = ICR_SELF | ICR_ASSERT | VECTOR_SELF;
}

static void interrupt_self_by_msr(void)
{
    wrmsr(MSR_X2APIC + REG_SELF_IPI / 16, VECTOR_SELF);
}

static void eoi_by_memory(void)
{
    registers[REG_EOI / 4] = 0;
}

static void eoi_by_msr(void)
{
    wrmsr(MSR_X2APIC + REG_EOI / 16, 0);
}

void (*host_lapic_interrupt_self)(void) = interrupt_self_by_memory;
void (*host_lapic_eoi)(void) = eoi_by_memory;

static void choose_mode(uint64_t base, enum cpu_apic wish)
{
    in_x2apic = choose_x2apic(base, wish);
    way = in_x2apic ? LAPIC_BY_MSR : LAPIC_BY_MEMORY;
    host_lapic_interrupt_self = in_x2apic ? interrupt_self_by_msr : interrupt_self_by_memory;
    host_lapic_eoi = in_x2apic ? eoi_by_msr : eoi_by_memory;
}

bool host_lapic_in_x2apic(void)
{
    return in_x2apic;
}

/* ---- start ---- */

static void mask_8259(void)
{
    outb(0x21, 0xFF);
    outb(0xA1, 0xFF);
}

static bool any_in_service(void)
{
    for (unsigned i = 0; i < 8; i++)
        if (reg_read(REG_IN_SERVICE + i * 0x10))
            return true;
    return false;
}

/* What firmware left in service would hold off the timer's vector for good. An EOI ends the highest one. */
static void end_all_in_service(void)
{
    for (unsigned most = 256; most && any_in_service(); most--)
        host_lapic_eoi();
}

/* In xAPIC mode the LVT is written in memory, which no WRMSR to the deadline's MSR waits for (SDM vol. 3
 * "TSC-Deadline Mode"). */
static void write_lvt_timer(void)
{
    bool by_deadline = way == LAPIC_BY_DEADLINE && host_lapic_has_deadlines();

    reg_write(REG_LVT_TIMER, (by_deadline ? LVT_TSC_DEADLINE : 0) | VECTOR_TIMER);
    if (by_deadline && !in_x2apic)
        __asm__ volatile("mfence; lfence" : : : "memory");
}

/* In x2APIC mode an entry that this one hasn't gives #GP. */
static void mask_lvt(void)
{
    uint32_t last = VERSION_LAST_LVT(reg_read(REG_VERSION));

    reg_write(REG_LVT_LINT0, LVT_MASKED);
    reg_write(REG_LVT_LINT1, LVT_MASKED);
    reg_write(REG_LVT_ERROR, LVT_MASKED);
    if (last >= LAST_LVT_PERF)
        reg_write(REG_LVT_PERF, LVT_MASKED);
    if (last >= LAST_LVT_THERMAL)
        reg_write(REG_LVT_THERMAL, LVT_MASKED);
}

static void set_registers(void)
{
    reg_write(REG_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    reg_write(REG_TPR, TASK_PRIORITY);
    end_all_in_service();
    mask_lvt();
    reg_write(REG_DIVIDE, DIVIDE_BY_1);
    reg_write(REG_INITIAL_COUNT, 0);
    write_lvt_timer();
}

bool host_lapic_init(enum cpu_apic wish)
{
    uint64_t base;

    mask_8259(); /* before LINT0 is touched: a masked pin with a pending INTR delivers a stale vector */
    if (!(cpuid(1, 0).edx & BIT(9)) || !rdmsr_safe(MSR_APIC_BASE, &base))
        return false;
    choose_mode(base, wish);
    enter_mode();
    if (!in_x2apic) {
        registers = paging_map_device(base & PTE_ADDRESS, 4096);
        if (reg_read(REG_VERSION) == ABSENT)
            return false;
    }
    set_registers();
    return true;
}

void host_lapic_init_here(void)
{
    enter_mode();
    set_registers();
}

/* ---- to other CPUs ---- */

uint32_t host_lapic_id(void)
{
    uint32_t id = reg_read(REG_ID);

    return in_x2apic ? id : id >> 24;
}

bool host_lapic_reaches(uint32_t apic_id)
{
    return apic_id < (in_x2apic ? X2APIC_BROADCAST : XAPIC_BROADCAST);
}

/* A WRMSR to the ICR waits for no store before it (SDM vol. 3 "Accessing x2APIC Registers"): whoever is
 * interrupted is to see what it is to do. */
static void send(uint32_t apic_id, uint32_t command)
{
    if (in_x2apic) {
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC + REG_ICR_LOW / 16, (uint64_t)apic_id << 32 | ICR_ASSERT | command);
        return;
    }
    for (unsigned tries = 0; tries < IDLE_TRIES && reg_read(REG_ICR_LOW) & ICR_PENDING; tries++)
        cpu_relax();
    reg_write(REG_ICR_HIGH, apic_id << 24);
    reg_write(REG_ICR_LOW, ICR_ASSERT | command);
}

void host_lapic_send_init(uint32_t apic_id)
{
    send(apic_id, ICR_INIT);
}

void host_lapic_send_startup(uint32_t apic_id, uint8_t page)
{
    send(apic_id, ICR_STARTUP | page);
}

void host_lapic_send_nmi(uint32_t apic_id)
{
    send(apic_id, ICR_NMI);
}

void host_lapic_send_interrupt(uint32_t apic_id, uint8_t vector)
{
    send(apic_id, ICR_FIXED | vector);
}

/* ---- the timer ---- */

enum lapic_way host_lapic_way(void)
{
    return way;
}

volatile uint32_t *host_lapic_initial_count(void)
{
    return in_x2apic ? NULL : registers + REG_INITIAL_COUNT / 4;
}

uint32_t host_lapic_current_count(void)
{
    return reg_read(REG_CURRENT_COUNT);
}

/* A CPU clears the MSR when the timer fires (SDM vol. 3 "TSC-Deadline Mode"); Bochs 2.7 leaves it. */
bool host_lapic_expired(void)
{
    if (way == LAPIC_BY_MEMORY)
        return registers[REG_CURRENT_COUNT / 4] == 0;
    if (way == LAPIC_BY_MSR)
        return rdmsr(MSR_X2APIC + REG_CURRENT_COUNT / 16) == 0;
    return rdmsr(MSR_TSC_DEADLINE) <= rdtsc();
}

void host_lapic_arm(uint32_t count)
{
    if (way == LAPIC_BY_MEMORY)
        registers[REG_INITIAL_COUNT / 4] = count;
    else if (way == LAPIC_BY_MSR)
        wrmsr(MSR_X2APIC + REG_INITIAL_COUNT / 16, count);
    else
        wrmsr(MSR_TSC_DEADLINE, count ? rdtsc() + count : 0);
}

bool host_lapic_has_deadlines(void)
{
    return cpuid(1, 0).ecx & BIT(24);
}

void host_lapic_start_deadlines(void)
{
    way = LAPIC_BY_DEADLINE;
    write_lvt_timer();
}

void host_lapic_start_periodic(uint32_t count)
{
    reg_write(REG_LVT_TIMER, LVT_PERIODIC | VECTOR_TIMER);
    reg_write(REG_INITIAL_COUNT, count);
}
