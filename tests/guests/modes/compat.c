/* Compatibility mode (compat.asm): each function leaves its marks. */
#include "tests/guests/lib/pit.h"
#include "tests/guests/lib/report.h"
#include "tests/guests/modes/modes.h"

#define CODE32     0x18
#define CODE16     0x20
#define EFER_LMA   0x400u
#define INT_60     0x60
#define INS_END    0x4806u
#define CPUID_LEAF 0x40000000u /* the same on every machine, unlike leaf 0 */
#define RFLAGS_RF  0x10000u

void compat_exits(void), compat_mmio(void), compat_interrupt(void), compat_fault(void), compat_16(void);
extern uint32_t compat_marks[8];
extern uint8_t compat_area[64];
extern const uint64_t compat_interrupt_at, compat_int_at, compat_fault_at;

static struct trap_frame interrupt_seen, int_seen, fault_seen;
static unsigned interrupts, ints, faults;

static bool on_trap(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_IRQ0) {
        interrupt_seen = *frame;
        interrupts++;
        return false;
    }
    if (frame->vector == INT_60) {
        int_seen = *frame;
        ints++;
        return true;
    }
    if (frame->vector != 13)
        return false;
    frame->rflags &= ~(uint64_t)RFLAGS_RF; /* QEMU pushes 0 */
    report_fault(frame->vector);
    fault_seen = *frame;
    faults++;
    frame->rax = 0x10;
    return true; /* again, with a selector that is right */
}

static void check_exits(void)
{
    uint32_t r[4], at = (uint32_t)(uintptr_t)compat_area;
    cpuid(CPUID_LEAF, r);
    compat_area[5] = 0x11;
    compat_exits();
    same("compatibility mode: CPUID", compat_marks[0], r[1]);
    same("compatibility mode: EFER.LMA", compat_marks[1] & EFER_LMA, EFER_LMA);
    same("compatibility mode: REP INSB: EDI", compat_marks[2], at + 5);
    same("compatibility mode: REP INSB: ECX", compat_marks[3], 0);
    same("compatibility mode: REP INSB: last byte", compat_area[4], 0xFF);
    same("compatibility mode: REP INSB: end", compat_area[5], 0x11);
    same("compatibility mode: a16 REP OUTSB: ESI", compat_marks[4], (at & 0xFFFF0000) | ((at + 2) & 0xFFFF));
    same("compatibility mode: CS", compat_marks[5], CODE32);
}

static void check_memory(void)
{
    uint32_t u = (uint32_t)unclaimed_memory();
    compat_mmio();
    same("compatibility mode: MMIO MOV", compat_marks[0], u);
    same("compatibility mode: MMIO ADD", compat_marks[1], u);
    same("compatibility mode: MMIO PUSH", compat_marks[2], u);
    same("compatibility mode: MMIO REP MOVSD: EDI", compat_marks[3], (uint32_t)(uintptr_t)compat_area + 8);
    same("compatibility mode: MMIO REP MOVSD: memory", compat_marks[4], u);
}

static void check_gates(void)
{
    trap_hook = on_trap;
    pit_control(0, 0);
    pic_start();
    pic_unmask(0);
    pit_count(0, 3);
    do
        out8(0x20, 0x0A);
    while (!(in8(0x20) & 1));
    compat_interrupt();
    pic_mask_all();
    same("compatibility mode: interrupt", interrupts, 1);
    same("compatibility mode: interrupt: RIP", interrupt_seen.rip, compat_interrupt_at);
    same("compatibility mode: interrupt: CS", interrupt_seen.cs, CODE32);
    same("compatibility mode: INT", ints, 1);
    same("compatibility mode: INT: RIP", int_seen.rip, compat_int_at);
    compat_fault();
    same("compatibility mode: #GP", faults, 1);
    same("compatibility mode: #GP: RIP", fault_seen.rip, compat_fault_at);
    same("compatibility mode: #GP: error code", fault_seen.error, 0xFFF8);
    trap_hook = NULL;
}

static void check_16bit(void)
{
    uint32_t r[4];
    cpuid(CPUID_LEAF, r);
    compat_16();
    same("16-bit compatibility mode: CPUID", compat_marks[0], r[1]);
    same("16-bit compatibility mode: REP INSW: DI", compat_marks[1] & 0xFFFF, INS_END);
    same("16-bit compatibility mode: MMIO", compat_marks[2] & 0xFFFF, unclaimed_memory() & 0xFFFF);
    same("16-bit compatibility mode: CS", compat_marks[3] & 0xFFFF, CODE16);
}

void check_compat(void)
{
    check_exits();
    check_memory();
    check_gates();
    check_16bit();
}
