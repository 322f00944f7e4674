/* Virtual-8086 mode: its frame, what IOPL and the I/O map allow, interrupts that arrive in it, MMIO. */
#include "tests/guests/lib/pit.h"
#include "tests/guests/modes/legacy.h"

#define EFLAGS_VM   0x20000u
#define EFLAGS_IF   0x200u
#define EFLAGS_IOPL 0x3000u
#define V86_ABSENT  0xE0000u
#define V86_MMIO    0xF0000u
#define DENIED_PORT 0x64

legacy_code v86_frame, v86_service, v86_memory, v86_ports, v86_port_denied, v86_word_port_denied,
    v86_string_denied, v86_ports0, v86_cli, v86_popf, v86_popf32, v86_iret, v86_cpuid, v86_strings,
    v86_interrupted, v86_sti_pending, v86_wait, v86_divide, v86_int3, v86_into, v86_ud, v86_hlt, v86_mov_cr,
    v86_rdmsr, v86_lgdt, v86_lldt, v86_lar, v86_arpl, v86_cli0, v86_sti0, v86_pushf0, v86_popf0, v86_int0,
    v86_iret0, v86_limit, v86_page_fault, v86_mmio, v86_mmio_string, v86_step;
extern const uint8_t v86_start[], v86_end[];
extern const uint32_t v86_step_ip;

static uint32_t low(uint32_t at, unsigned bytes)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint32_t) * (const uint8_t *)(uintptr_t)(at + i) << 8 * i; // NOLINT: a fixed address
    return value;
}

/* What the CPU pushes on the way out, and the null selectors that the handler finds. */
static void check_frame(enum legacy_paging paging)
{
    const struct legacy_state *s = legacy_run_one(paging, v86_frame);
    same("V86 INT: vector", s->vector, LEGACY_STOP);
    same("V86 INT: VM, IOPL, IF pushed", s->eflags & (EFLAGS_VM | EFLAGS_IOPL | EFLAGS_IF),
         EFLAGS_VM | EFLAGS_IOPL);
    same("V86 INT: CS", s->cs & 0xFFFF, LEGACY_LOW >> 4);
    same("V86 INT: IP", s->eip, 2);
    same("V86 INT: SS", s->ss & 0xFFFF, 0x500);
    same("V86 INT: SP", s->esp, 0x1000);
    same("V86 INT: ES", s->inner.es & 0xFFFF, 0x404);
    same("V86 INT: DS", s->inner.ds & 0xFFFF, 0x401);
    same("V86 INT: FS", s->inner.fs & 0xFFFF, 0x402);
    same("V86 INT: GS", s->inner.gs & 0xFFFF, 0x403);
    same("V86 INT: the handler's segments are null", (s->ds | s->es | s->fs | s->gs) & 0xFFFF, 0);
    s = legacy_run_one(paging, v86_service);
    same("V86 INT and back", s->vector, LEGACY_STOP);
    same("V86 INT and back: count", legacy_services, 1);
    same("V86 INT and back: SI", s->esi & 0xFFFF, 0x1235);
    same("V86 INT and back: DS", s->eax & 0xFFFF, 0x401);
    s = legacy_run_one(paging, v86_memory);
    same("V86 [DS]", s->eax & 0xFFFF, low(0x4010, 2));
    same("V86 [ES]", s->ebx & 0xFFFF, low(0x4042, 2));
    same("V86 [SS:BP]", s->ecx & 0xFFFF, 0x55AA);
    same("V86 [FS:m32]", s->edx, low(0x4040, 4));
    s = legacy_run_one(paging, v86_iret);
    same("V86 IRET", s->vector, LEGACY_STOP);
    same("V86 IRET: CS", s->eax & 0xFFFF, (LEGACY_LOW >> 4) + 1);
}

static void check_denied_ports(enum legacy_paging paging)
{
    static const struct legacy_case denied[] = {
        {"V86 IN forbidden by the map", v86_port_denied, 13, 0, NULL},
        {"V86 IN AX, upper byte forbidden", v86_word_port_denied, 13, 0, NULL},
    };
    struct legacy_state results[ARRAY_LENGTH(denied)];
    legacy_check(paging, denied, results, ARRAY_LENGTH(denied));
    same("V86 IN forbidden: nothing done", results[0].eax, 0x12345678);
}

static void check_v86_ports(enum legacy_paging paging)
{
    const struct legacy_state *s = legacy_run_one(paging, v86_ports);
    same("V86 IN, OUT allowed", s->vector, LEGACY_STOP);
    same("V86 IN, OUT: done", s->ebx & 0xFFFF, 0x6161);
    same("V86 IN AX: upper half", s->eax >> 8, 0x1234FF);
    s = legacy_run_one(paging, v86_ports0);
    same("V86 IN at IOPL 0", s->vector, 3);
    s = legacy_run_one(paging, v86_string_denied);
    same("V86 REP INSB forbidden", s->vector, 13);
    same("V86 REP INSB forbidden: CX", s->ecx, 4);
    s = legacy_run_one(paging, v86_strings);
    same("V86 REP OUTSB, INSW", s->vector, LEGACY_STOP);
    same("V86 FS: REP OUTSB: SI", s->esi & 0xFFFF, 3);
    same("V86 REP INSW: memory", s->eax & 0xFFFF, 0xFFFF);
    same("V86 REP INSW: CX", s->ecx & 0xFFFF, 0);
}

static void check_flags(enum legacy_paging paging)
{
    const struct legacy_state *s = legacy_run_one(paging, v86_cli);
    same("V86 CLI at IOPL 3", s->vector, LEGACY_STOP);
    same("V86 CLI at IOPL 3: IF", s->eax & EFLAGS_IF, 0);
    same("V86 PUSHF: IOPL", s->eax & EFLAGS_IOPL, EFLAGS_IOPL);
    s = legacy_run_one(paging, v86_popf);
    same("V86 POPF: IF", s->eax & (EFLAGS_IF | EFLAGS_IOPL), EFLAGS_IF | EFLAGS_IOPL);
    s = legacy_run_one(paging, v86_popf32);
    same("V86 POPFD keeps VM", s->eflags & EFLAGS_VM, EFLAGS_VM);
    same("V86 PUSHFD shows no VM", s->eax & EFLAGS_VM, 0);
}

static void check_v86_faults(enum legacy_paging paging)
{
    static const struct legacy_case cases[] = {
        {"V86 #DE", v86_divide, 0, 0, NULL},
        {"V86 INT3 at IOPL 0", v86_int3, 3, 0, NULL},
        {"V86 INTO at IOPL 0", v86_into, 4, 0, NULL},
        {"V86 #UD", v86_ud, 6, 0, NULL},
        {"V86 HLT", v86_hlt, 13, 0, NULL},
        {"V86 MOV EAX, CR0", v86_mov_cr, 13, 0, NULL},
        {"V86 RDMSR", v86_rdmsr, 13, 0, NULL},
        {"V86 LGDT", v86_lgdt, 13, 0, NULL},
        {"V86 LLDT", v86_lldt, 6, 0, NULL},
        {"V86 LAR", v86_lar, 6, 0, NULL},
        {"V86 ARPL", v86_arpl, 6, 0, NULL},
        {"V86 CLI at IOPL 0", v86_cli0, 13, 0, NULL},
        {"V86 STI at IOPL 0", v86_sti0, 13, 0, NULL},
        {"V86 PUSHF at IOPL 0", v86_pushf0, 13, 0, NULL},
        {"V86 POPF at IOPL 0", v86_popf0, 13, 0, NULL},
        {"V86 INT n at IOPL 0", v86_int0, 13, 0, NULL},
        {"V86 IRET at IOPL 0", v86_iret0, 13, 0, NULL},
        {"V86 word at FFFFh", v86_limit, 13, 0, "segment_limits"},
    };
    static struct legacy_state results[ARRAY_LENGTH(cases)];
    legacy_check(paging, cases, results, ARRAY_LENGTH(cases));
    for (size_t i = 0; i < ARRAY_LENGTH(cases) - 1; i++)
        same(cases[i].name, results[i].eflags & EFLAGS_VM, EFLAGS_VM);
}

/* IRQ 0 in the 8259's request register, or 60 us away. */
static void start_timer(bool wait)
{
    pit_control(0, 0);
    pic_start();
    pic_unmask(0);
    pit_count(0, wait ? 70 : 3);
    do
        out8(0x20, 0x0A);
    while (!wait && !(in8(0x20) & 1));
}

static void check_interrupts(enum legacy_paging paging)
{
    uint32_t r[4];
    cpuid(0, r);
    const struct legacy_state *s = legacy_run_one(paging, v86_cpuid);
    same("V86 CPUID", s->ebx, r[1]);
    start_timer(false);
    s = legacy_run_one(paging, v86_interrupted);
    same("V86 interrupt behind STI", legacy_irqs, 1);
    same("V86 interrupt: VM pushed", legacy_serviced.eflags & (EFLAGS_VM | EFLAGS_IF), EFLAGS_VM | EFLAGS_IF);
    same("V86 interrupt: where", s->eip - legacy_serviced.eip, 4);
    start_timer(false);
    s = legacy_run_one(paging, v86_sti_pending);
    same("V86 interrupt behind CPUID", legacy_irqs, 1);
    same("V86 interrupt behind CPUID: where", s->eip - legacy_serviced.eip, 3);
    start_timer(true);
    s = legacy_run_one(paging, v86_wait);
    same("V86 interrupt in a loop", legacy_irqs, 1);
    same("V86 interrupt in a loop: SI", s->esi & 0xFFFF, 20000);
    pic_mask_all();
    if (limited("step_over_exit", "V86 single step over CPUID"))
        return;
    s = legacy_run_one(paging, v86_step);
    same("V86 single step: vector", s->vector, 1);
    same("V86 single step: IP", s->eip, v86_step_ip);
    uint64_t clear = 0xFFFF0FF0u;
    __asm__ volatile("mov %0, %%dr6" : : "r"(clear));
}

/* Unclaimed memory and a page that is absent, below 1 MB. */
static void check_memory(void)
{
    uint64_t u = unclaimed_memory();
    legacy_table[V86_MMIO >> 12] = MMIO_BASE | 7;
    legacy_table[V86_ABSENT >> 12] = 0;
    const struct legacy_state *s = legacy_run_one(LEGACY_PAGED, v86_page_fault);
    same("V86 #PF: vector", s->vector, 14);
    same("V86 #PF: write by a user", s->error, 6);
    same("V86 #PF: CR2", s->cr2, V86_ABSENT + 0x123);
    if (limited("v86_exit", "MMIO in V86 mode"))
        return;
    s = legacy_run_one(LEGACY_PAGED, v86_mmio);
    same("V86 MMIO", s->vector, LEGACY_STOP);
    same("V86 MMIO: MOV AX, m16", s->eax & 0xFFFF, u & 0xFFFF);
    same("V86 MMIO: ADD CX, m16", s->ecx & 0xFFFF, u & 0xFFFF);
    same("V86 MMIO: MOVZX EDX, m8", s->edx, u & 0xFF);
    s = legacy_run_one(LEGACY_PAGED, v86_mmio_string);
    same("V86 MMIO: REP MOVSW", s->vector, LEGACY_STOP);
    same("V86 MMIO: REP MOVSW: CX", s->ecx & 0xFFFF, 0);
    same("V86 MMIO: REP MOVSW: SI", s->esi & 0xFFFF, 0x108);
    same("V86 MMIO: REP MOVSW: memory", s->ebx & 0xFFFF, u & 0xFFFF);
}

void check_v86(void)
{
    legacy_prepare();
    legacy_forbid_port(DENIED_PORT);
    legacy_place(v86_start, (size_t)(v86_end - v86_start));
    for (unsigned paging = LEGACY_FLAT; paging <= LEGACY_PAE; paging++) {
        check_frame((enum legacy_paging)paging);
        check_denied_ports((enum legacy_paging)paging);
        check_v86_faults((enum legacy_paging)paging);
        if (limited("v86_exit", "ports, IF = 1, CPUID and interrupts in V86 mode"))
            continue;
        check_flags((enum legacy_paging)paging);
        check_v86_ports((enum legacy_paging)paging);
        check_interrupts((enum legacy_paging)paging);
    }
    check_memory();
}
