/*
 * NMIs from a source: a test build of Verge has one (tests/image/nmi.c). With charge=1 an instruction takes a
 * cycle, so that the boundary is known at which each is taken. Source: SDM vol. 3, "Nonmaskable Interrupt
 * (NMI)", "Handling Multiple NMIs", "Masking Exceptions and Interrupts When Switching Stacks"; APM vol. 2,
 * "Nonmaskable Interrupts"; SDM vol. 2, "HLT".
 */
#include "tests/guests/lib/pit.h"
#include "tests/guests/modes/legacy.h"

#define LIMIT_MASKED "S1" /* on this machine the timer doesn't end a run with interrupts off */
#define VMMCALL_LAST 0xD9
#define AMD          0x68747541 /* Auth */
#define VECTOR_NMI   2
#define VECTOR_BP    3
#define VECTOR_GP    13
#define NO_SELECTOR  0xFFF8
#define CODE         0x08
#define FRAMES       4
#define NO_SHADOW    ~0u
#define STUB_BYTES   16
#define CYCLES_MOST  7
#define HANDLER_MOST 200 /* instructions of INT3 and its handler, and some behind them */

typedef void sequence(uint64_t cycles);
sequence nmi_raise, nmi_over_int3, nmi_plain, nmi_mov_ss, nmi_mov_ss_out, nmi_sti, nmi_sti_hlt;
extern const uint64_t nmi_plain_marks[], nmi_mov_ss_marks[], nmi_mov_ss_out_marks[], nmi_sti_marks[],
    nmi_sti_hlt_marks[];
uint64_t nmi_masked(void), nmi_with_irq(void), nmi_halt(uint64_t cycles), nmi_behind_int3(void);
extern uint8_t nmi_call64, nmi_call32, nmi_call_v86;
legacy_code nmi_trial32, nmi_trial_v86;
extern const uint8_t nmi_trial32_taken[], nmi_v86_start[], nmi_v86_end[];

/* What the handler of the first NMI does. */
static enum action { NOTHING, RAISE_TWO, RAISE_BEFORE_INT3, RAISE_BEFORE_BAD_IRET } action;
static struct trap_frame frames[FRAMES];
static unsigned nmis, held, interrupts, nmis_at_interrupt, nmis_at_fault;
static uint64_t wanted_in_handler, taken_tsc;

static void act(struct trap_frame *frame)
{
    if (action == RAISE_TWO) {
        nmi_raise(0);
        nmi_raise(0);
    } else if (action == RAISE_BEFORE_INT3) {
        wanted_in_handler = nmi_behind_int3();
    } else if (action == RAISE_BEFORE_BAD_IRET) {
        nmi_raise(0);
        frame->cs = NO_SELECTOR;
    }
}

static bool on_trap(struct trap_frame *frame)
{
    switch (frame->vector) {
    case VECTOR_NMI:
        taken_tsc = rdtsc();
        if (nmis < FRAMES)
            frames[nmis] = *frame;
        if (++nmis == 1) {
            act(frame);
            held = nmis;
        }
        return true;
    case VECTOR_GP: /* of the IRET: what it read is mended, and it is executed again */
        nmis_at_fault = nmis;
        ((uint64_t *)frame->rsp)[1] = CODE; // NOLINT: the frame's own stack
        return true;
    case VECTOR_IRQ0:
        nmis_at_interrupt = nmis;
        interrupts++;
        return false;
    default:
        return frame->vector == VECTOR_BP;
    }
}

static void start(enum action wanted)
{
    action = wanted;
    nmis = held = interrupts = nmis_at_interrupt = nmis_at_fault = 0;
}

/* An NMI after 0, 1, 2... instructions is taken at that boundary, or, where that is in a shadow, at the next.
 */
static void scan(const char *name, sequence *run, const uint64_t *marks, unsigned shadowed, bool enabled)
{
    for (unsigned cycles = 0; cycles < CYCLES_MOST && marks[cycles]; cycles++) {
        start(NOTHING);
        if (enabled)
            interrupts_on();
        run(cycles);
        interrupts_off();
        same(name, nmis, 1);
        same(name, frames[0].rip, marks[cycles == shadowed ? cycles + 1 : cycles]);
    }
}

static void check_halt(void)
{
    const uint64_t cycles[] = {0, 1, 2, 100, 5000};

    pit_control(0, 0);
    pic_start();
    pic_unmask(0);
    pit_count(0, 0xFFFF); /* what it waits for, as far as the monitor can see: 55 ms */
    for (unsigned i = 0; i < ARRAY_LENGTH(cycles); i++) {
        start(NOTHING);
        uint64_t before = rdtsc();
        uint64_t wanted = nmi_halt(cycles[i]);
        same("NMI in HLT", nmis, 1);
        check(frames[0].rip == wanted || !cycles[i], "NMI in HLT: RIP", frames[0].rip, wanted);
        check(taken_tsc - before < cycles[i] + 100, "NMI in HLT: moment", taken_tsc - before, cycles[i]);
    }
    pic_mask_all();
}

static void check_handler(void)
{
    start(RAISE_TWO);
    interrupts_on();
    nmi_raise(0);
    interrupts_off();
    same("NMI in its handler waits", held, 1);
    same("NMIs in its handler: one waits", nmis, 2);
    same("NMI behind IRET", frames[1].rip, frames[0].rip);
    same("NMI behind IRET: RSP", frames[1].rsp, frames[0].rsp);
    start(RAISE_BEFORE_BAD_IRET);
    interrupts_on();
    nmi_raise(0);
    interrupts_off();
    same("NMI and an IRET that faults", nmis, 2);
    same("NMI and an IRET that faults: blocked until then", held, 1);
}

static void check_with_irq(void)
{
    make_irq0_pending();
    start(NOTHING);
    uint64_t wanted = nmi_with_irq();
    same("NMI and IRQ", nmis, 1);
    same("NMI and IRQ: RIP", frames[0].rip, wanted);
    same("NMI before IRQ", interrupts == 1 && nmis_at_interrupt == 1, 1);
    pic_mask_all();
}

static void check_masked(void)
{
    start(NOTHING);
    interrupts_on();
    uint64_t wanted = nmi_masked();
    interrupts_off();
    same("NMI masked by port 70h", nmis, 1);
    same("NMI masked by port 70h: RIP", frames[0].rip, wanted);
}

/* Through a handler of other traps, which shares its IRET with the NMI's: each boundary is met once. */
static void check_shared_iret(void)
{
    uint64_t before = 0;

    for (unsigned cycles = 0; cycles < HANDLER_MOST; cycles++) {
        start(NOTHING);
        nmi_over_int3(cycles);
        same("NMI over INT3", nmis, 1);
        check(frames[0].rip != before, "NMI over INT3: RIP, not the last one's", frames[0].rip, before);
        before = frames[0].rip;
    }
}

/* The rest, on machines where the timer ends a run with interrupts off. */
static void check_with_interrupts_off(void)
{
    scan("NMI", nmi_plain, nmi_plain_marks, NO_SHADOW, false);
    scan("NMI behind MOV SS", nmi_mov_ss, nmi_mov_ss_marks, 3, false);
    scan("NMI behind MOV SS; OUT", nmi_mov_ss_out, nmi_mov_ss_out_marks, 3, false);
    scan("NMI behind STI", nmi_sti, nmi_sti_marks, 3, false);
    check_shared_iret();
    start(RAISE_BEFORE_INT3);
    nmi_raise(0);
    same("NMI behind the IRET of INT3", nmis, 2);
    same("NMI behind the IRET of INT3: RIP", frames[1].rip, wanted_in_handler);
    start(RAISE_BEFORE_BAD_IRET);
    nmi_raise(0);
    uint64_t stub = (uint64_t)(uintptr_t)trap_stubs[VECTOR_GP];
    check(frames[1].rip - stub < STUB_BYTES, "NMI behind an IRET that faults: RIP", frames[1].rip, stub);
    same("NMI behind an IRET that faults: before its handler", nmis_at_fault, 2);
}

/* A frame of 32-bit code or V86 mode; the NMI's handler ends without IRET, so that the next NMI waits. */
static void check_legacy(void)
{
    legacy_prepare();
    legacy_place(nmi_v86_start, (size_t)(nmi_v86_end - nmi_v86_start));
    const struct legacy_state *s = legacy_run_one(LEGACY_FLAT, nmi_trial32);
    same("NMI in 32-bit code", s->vector, VECTOR_NMI);
    same("NMI in 32-bit code: EIP", s->eip, (uint32_t)(uintptr_t)nmi_trial32_taken);
    start(NOTHING);
    nmi_raise(0);
    same("NMI after a handler without IRET", nmis, 0);
    __asm__ volatile("int3");
    same("NMI after an IRET", nmis, 1);
    if (limited("v86_exit", "NMI in V86 mode"))
        return;
    s = legacy_run_one(LEGACY_PAGED, nmi_trial_v86);
    same("NMI in V86 mode", s->vector, VECTOR_NMI);
    same("NMI in V86 mode: VM", s->eflags & 0x20000, 0x20000);
    same("NMI in V86 mode: IP", s->eip, 2);
    __asm__ volatile("int3");
}

static void choose_hypercall(void)
{
    uint32_t r[4];

    cpuid(0, r);
    if (r[1] == AMD)
        nmi_call64 = nmi_call32 = nmi_call_v86 = VMMCALL_LAST;
}

void check_nmi_source(void)
{
    choose_hypercall();
    pic_start();
    trap_hook = on_trap;
    scan("NMI, interrupts on", nmi_plain, nmi_plain_marks, NO_SHADOW, true);
    scan("NMI behind MOV SS, interrupts on", nmi_mov_ss, nmi_mov_ss_marks, 3, true);
    check_handler();
    check_halt();
    check_with_irq();
    check_masked();
    if (!limited(LIMIT_MASKED, "NMIs with interrupts off")) {
        check_with_interrupts_off();
        check_legacy();
    }
    trap_hook = NULL;
}
