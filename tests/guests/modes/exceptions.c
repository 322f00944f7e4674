/* Exceptions in long mode: vector, error code, CR2, and whether RIP is the instruction or the one behind it;
 * a handled double fault. */
#include "tests/guests/lib/report.h"
#include "tests/guests/modes/modes.h"

#define NOWHERE   0x123456789u /* cases.asm */
#define NO_CR2    1u
#define NONE      99u /* no vector */
#define RFLAGS_RF 0x10000u

typedef void fault_function(void);
fault_function fault_divide, fault_breakpoint, fault_overflow, fault_undefined, fault_not_present,
    fault_page_read, fault_page_write, fault_page_rmw, fault_canonical, fault_stack, fault_selector,
    fault_rdmsr, fault_wrmsr, fault_device, fault_cr4;

static const struct fault_case {
    const char *name;
    fault_function *run;
    unsigned vector;
    uint64_t error, cr2;
    bool trap; /* RIP behind the instruction */
    bool verge_only;
    unsigned
        quirk_vector; /* what QEMU 7.2's own CPU raises instead, with quirk_error; accepted unless strict=1 */
    uint64_t quirk_error;
} cases[] = {
    {"#DE", fault_divide, 0, 0, NO_CR2, false, false, NONE, 0},
    {"#BP", fault_breakpoint, 3, 0, NO_CR2, true, false, NONE, 0},
    {"INT 4", fault_overflow, 4, 0, NO_CR2, true, false, NONE, 0},
    {"#UD", fault_undefined, 6, 0, NO_CR2, false, false, NONE, 0},
    {"#NM", fault_device, 7, 0, NO_CR2, false, false, NONE, 0},
    {"#NP by a gate", fault_not_present, 11, 0x50 * 8 + 2, NO_CR2, false, false, 11, 0x50 * 16 + 2},
    {"#SS", fault_stack, 12, 0, NO_CR2, false, false, 13, 0},
    {"#GP not canonical", fault_canonical, 13, 0, NO_CR2, false, false, NONE, 0},
    {"#GP selector", fault_selector, 13, 0xFFF8, NO_CR2, false, false, NONE, 0},
    {"#GP RDMSR 1Bh", fault_rdmsr, 13, 0, NO_CR2, false, true, NONE, 0},
    {"#GP WRMSR 1Bh", fault_wrmsr, 13, 0, NO_CR2, false, true, NONE, 0},
    {"#GP CR4", fault_cr4, 13, 0, NO_CR2, false, true, NONE, 0},
    {"#PF read", fault_page_read, 14, 0, NOWHERE, false, false, NONE, 0},
    {"#PF write", fault_page_write, 14, 2, NOWHERE, false, false, NONE, 0},
    {"#PF read-modify-write", fault_page_rmw, 14, 2, NOWHERE, false, false, 14, 0},
};

static struct trap_frame trap_seen;
static uint64_t seen_count, seen_cr2, seen_fixup;
static bool seen_rf;

/* QEMU pushes RF = 0 for a fault, against the manuals: at the end no memory has this bit of a frame. */
static bool on_trap(struct trap_frame *frame)
{
    seen_rf = frame->rflags & RFLAGS_RF;
    frame->rflags &= ~(uint64_t)RFLAGS_RF;
    report_fault(frame->vector);
    trap_seen = *frame;
    seen_count++;
    seen_fixup = trap_fixup;
    __asm__ volatile("mov %%cr2, %0" : "=r"(seen_cr2));
    return false; /* the fixup goes on */
}

static void run_case(const struct fault_case *c)
{
    uint64_t zero = 0;
    __asm__ volatile("mov %0, %%cr2" : : "r"(zero));
    trap_seen = (struct trap_frame){.vector = NONE};
    seen_count = 0;
    c->run();
    check(seen_count == 1, c->name, seen_count, 1);
    bool quirk =
        !word_number("strict", 0) && trap_seen.vector == c->quirk_vector && trap_seen.error == c->quirk_error;
    check(quirk || trap_seen.vector == c->vector, c->name, trap_seen.vector, c->vector);
    check(quirk || trap_seen.error == c->error, c->name, trap_seen.error, c->error);
    if (c->cr2 != NO_CR2)
        check(seen_cr2 == c->cr2, c->name, seen_cr2, c->cr2);
    check(c->trap ? trap_seen.rip == seen_fixup
                  : trap_seen.rip < seen_fixup && trap_seen.rip + 16 > seen_fixup,
          c->name, trap_seen.rip, seen_fixup);
    if (word_number("strict", 0) && !c->trap)
        check(seen_rf, "RF of a fault", seen_rf, true);
}

void check_exceptions(void)
{
    trap_hook = on_trap;
    idt_present(0x50, false);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (cases[i].verge_only && word_number("bare", 0))
            continue; /* QEMU 7.2 has MSR 1Bh, and never comes back from the CR4 */
        if (cases[i].quirk_vector != NONE && alike())
            continue;
        run_case(&cases[i]);
    }
    idt_present(0x50, true);
    /* A fault whose gate is not present, whose #NP finds no gate either: contributory upon contributory. */
    idt_present(13, false);
    idt_present(11, false);
    seen_count = 0;
    fault_canonical();
    idt_present(13, true);
    idt_present(11, true);
    check(seen_count == 1 && trap_seen.vector == 8 && trap_seen.error == 0, "#DF", trap_seen.vector, 8);
    seen_rf = false;
    trap_hook = NULL;
}
