/* Where a pending interrupt is taken, and single steps over instructions that a hypervisor carries out. */
#include "tests/guests/lib/pit.h"
#include "tests/guests/modes/modes.h"

typedef uint64_t shadow_function(void); /* returns where the interrupt should have been taken */
shadow_function shadow_nop, shadow_hlt, shadow_cpuid, shadow_out, shadow_in, shadow_rep_outs, shadow_mov_ss,
    shadow_popf;
void shadow_sti_cli(void);
void step_run(void);
shadow_function step_rep;
extern const uint64_t step_expected[]; /* ends with 0 */

#define STEPS  16
#define DR6_BS 0x4000u

static uint64_t taken_rip, taken_count, spurious_count, step_rip[STEPS], step_count, steps_without_bs;

static bool on_trap(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_IRQ0) {
        taken_rip = frame->rip;
        taken_count++;
        return false;
    }
    if (frame->vector == VECTOR_IRQ0 + 7)
        spurious_count++;
    if (frame->vector != 1)
        return false;
    uint64_t dr6, clear = 0xFFFF0FF0u;
    __asm__ volatile("mov %%dr6, %0\n\tmov %1, %%dr6" : "=&r"(dr6) : "r"(clear));
    if (!(dr6 & DR6_BS))
        steps_without_bs++;
    if (step_count < STEPS)
        step_rip[step_count] = frame->rip;
    step_count++;
    return true;
}

void make_irq0_pending(void)
{
    interrupts_off();
    pit_control(0, 0);
    pic_start();
    pic_unmask(0);
    pit_count(0, 3);
    do
        out8(0x20, 0x0A); /* OCW3: read IRR */
    while (!(in8(0x20) & 1));
}

static void make_pending(void)
{
    make_irq0_pending();
    taken_count = 0;
}

static void run_shadow(const char *name, shadow_function *run, uint64_t also)
{
    make_pending();
    uint64_t wanted = run();
    check(taken_count == 1, name, taken_count, 1);
    check(taken_rip == wanted || taken_rip == wanted + also, name, taken_rip, wanted);
}

void check_shadows(void)
{
    trap_hook = on_trap;
    run_shadow("STI; NOP", shadow_nop, 0);
    run_shadow("STI; HLT", shadow_hlt, 0);
    run_shadow("STI; CPUID", shadow_cpuid, 0);
    run_shadow("STI; OUT", shadow_out, 0);
    run_shadow("STI; IN", shadow_in, 0);
    run_shadow("STI; REP OUTS", shadow_rep_outs,
               word_number("bare", 0) ? 2 : 0); /* QEMU's own CPU holds the shadow over all of it */
    if (!alike())
        run_shadow("STI; MOV SS", shadow_mov_ss, 1); /* the second shadow may count or not */
    run_shadow("POPF", shadow_popf, 0);
    make_pending();
    shadow_sti_cli();
    check(taken_count == 0, "STI; CLI", taken_count, 0);
    pic_mask_all();
    interrupts_on();
    for (volatile unsigned i = 0; i < 100; i++) {
    }
    check(taken_count == 0, "pending, then masked", taken_count, 0);
    check(spurious_count == 0, "spurious IRQ 7 of a masked request", spurious_count, 0);
    pic_unmask(0);
    for (volatile unsigned i = 0; i < 100; i++) {
    }
    interrupts_off();
    check(taken_count == 1, "pending, unmasked again", taken_count, 1);
    pic_mask_all();
    trap_hook = NULL;
}

/* QEMU's own CPU reports one step too many, of the count of 0. */
static void check_rep_steps(void)
{
    step_count = 0;
    uint64_t at = step_rep();
    uint64_t wanted = word_number("bare", 0) ? 5 : 4; /* and the POPF */
    check(step_count == wanted, "steps of REP OUTS", step_count, wanted);
    check(step_rip[0] == at && step_rip[1] == at, "iterations of REP OUTS", step_rip[1], at);
}

void check_steps(void)
{
    if (limited("step_over_exit", "single steps over what exits"))
        return;
    trap_hook = on_trap;
    step_count = 0;
    step_run();
    trap_hook = NULL;
    uint64_t wanted = 0;
    while (step_expected[wanted])
        wanted++;
    check(step_count == wanted, "single steps", step_count, wanted);
    check(!steps_without_bs, "DR6.BS", steps_without_bs, 0);
    for (uint64_t i = 0; i < wanted && i < step_count; i++)
        check(step_rip[i] == step_expected[i], "step", step_rip[i], step_expected[i]);
    trap_hook = on_trap;
    check_rep_steps();
    trap_hook = NULL;
}
