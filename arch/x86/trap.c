/*
 * Each CPU's descriptor tables and the host's trap handler. NMI, #DF and #MC have stacks of their own (IST),
 * each over an unmapped page. The monitor runs with interrupts off, so a host interrupt arrives only in the
 * windows that the run loop opens. Source: AMD64 APM vol. 2 "Exceptions and Interrupts", "Task Management".
 */
#include "arch/x86/trap.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/machine.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/backtrace.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/oneshot.h"
#include "lib/log.h"
#include "lib/string.h"

struct idt_gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "long-mode gate descriptor");

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7], reserved2;
    uint16_t reserved3, iomap_base;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "64-bit TSS");

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

#define GATE_INTERRUPT 0x8E

struct fixup {
    uint64_t fault, resume;
};
extern const struct fixup fixup_start[], fixup_end[];
extern const uint64_t trap_stubs[256];
extern char nmi_stack_top[], df_stack_top[], mc_stack_top[];

static struct idt_gate idt[256];
static PER_CPU struct tss tss;
static PER_CPU uint64_t gdt[5];
PER_CPU struct cpu cpu_here;

static void load_gdt(void)
{
    uint64_t base = (uint64_t)(uintptr_t)&tss;
    struct table_register gdtr = {sizeof gdt - 1, (uint64_t)(uintptr_t)gdt};

    gdt[SELECTOR_CODE / 8] = 0x00AF9B000000FFFF;
    gdt[SELECTOR_DATA / 8] = 0x00CF93000000FFFF;
    tss.ist[0] = (uint64_t)(uintptr_t)nmi_stack_top;
    tss.ist[1] = (uint64_t)(uintptr_t)df_stack_top;
    tss.ist[2] = (uint64_t)(uintptr_t)mc_stack_top;
    tss.iomap_base = sizeof tss;
    gdt[3] = (sizeof tss - 1) | (base & 0xFFFFFF) << 16 | UINT64_C(0x89) << 40 | (base >> 24 & 0xFF) << 56;
    gdt[4] = base >> 32;
    __asm__ volatile("lgdt %0\n"
                     "push %1\n"
                     "lea 1f(%%rip), %%rax\n"
                     "push %%rax\n"
                     "lretq\n"
                     "1: mov %2, %%ss\n"
                     "mov %2, %%ds\n"
                     "mov %2, %%es\n"
                     "ltr %w3\n"
                     :
                     : "m"(gdtr), "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(SELECTOR_TSS)
                     : "rax", "memory");
}

/* One for all CPUs: by the boot CPU, before there are others, which take interrupts while the next one
 * starts. */
static void fill_idt(void)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t stub = trap_stubs[vector];

        idt[vector] = (struct idt_gate){.offset_low = (uint16_t)stub,
                                        .selector = SELECTOR_CODE,
                                        .type = GATE_INTERRUPT,
                                        .offset_middle = (uint16_t)(stub >> 16),
                                        .offset_high = (uint32_t)(stub >> 32)};
    }
    idt[VECTOR_NMI].ist = 1;
    idt[VECTOR_DF].ist = 2;
    idt[VECTOR_MC].ist = 3;
}

static void load_idt(void)
{
    struct table_register idtr = {sizeof idt - 1, (uint64_t)(uintptr_t)idt};

    if (!idt[0].type)
        fill_idt();
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

void trap_init(void)
{
    load_gdt();
    load_idt();
}

uint64_t trap_tss_base(void)
{
    return (uint64_t)(uintptr_t)&tss;
}

static bool fix_up(struct trap_frame *frame)
{
    for (const struct fixup *fixup = fixup_start; fixup < fixup_end; fixup++) {
        if (fixup->fault == frame->rip) {
            frame->rip = fixup->resume;
            return true;
        }
    }
    return false;
}

static void show_frame(const struct trap_frame *f)
{
    log_error("vector %llu error %llx rip %016llx rsp %016llx rflags %llx cr2 %016llx",
              (unsigned long long)f->vector, (unsigned long long)f->error_code, (unsigned long long)f->rip,
              (unsigned long long)f->rsp, (unsigned long long)f->rflags, (unsigned long long)read_cr2());
    log_error("rax %016llx rbx %016llx rcx %016llx rdx %016llx", (unsigned long long)f->rax,
              (unsigned long long)f->rbx, (unsigned long long)f->rcx, (unsigned long long)f->rdx);
    log_error("rsi %016llx rdi %016llx rbp %016llx r8  %016llx", (unsigned long long)f->rsi,
              (unsigned long long)f->rdi, (unsigned long long)f->rbp, (unsigned long long)f->r8);
    log_error("r9  %016llx r10 %016llx r11 %016llx r12 %016llx", (unsigned long long)f->r9,
              (unsigned long long)f->r10, (unsigned long long)f->r11, (unsigned long long)f->r12);
    log_error("r13 %016llx r14 %016llx r15 %016llx", (unsigned long long)f->r13, (unsigned long long)f->r14,
              (unsigned long long)f->r15);
}

void trap_dispatch(struct trap_frame *frame)
{
    struct cpu *cpu = this_cpu();

    switch (frame->vector) {
    case VECTOR_TIMER:
        cpu->timer_fired = true;
        oneshot_fired();
        host_lapic_eoi();
        return;
    case VECTOR_SELF:
    case VECTOR_WAKE:
        host_lapic_eoi();
        return;
    case VECTOR_SPURIOUS: /* no EOI: neither the local APIC nor an 8259 holds these in service */
    case VECTOR_SPURIOUS_8259:
        cpu->strays[frame->vector]++;
        return;
    case VECTOR_NMI:
        if (panic_elsewhere())
            machine_halt();
        cpu->nmis++;
        cpus_tell_where(frame->rip, frame->rbp);
        return;
    default:
        break;
    }
    if (frame->vector >= 32) {
        cpu->strays[frame->vector & 0xFF]++;
        host_lapic_eoi();
        return;
    }
    if (frame->vector != VECTOR_MC && frame->vector != VECTOR_DF && fix_up(frame))
        return;
    show_frame(frame);
    backtrace_show(frame->rip, frame->rbp);
    panic("unexpected exception %llu in the monitor", (unsigned long long)frame->vector);
}
