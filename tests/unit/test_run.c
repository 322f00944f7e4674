/*
 * The run loop with the real exit handlers, clock, 8259 and 8254 over a simulated CPU (run_machine.h): what a
 * guest sees of its interrupts, to the cycle, whatever happens around it (docs/time.md).
 */
#include "tests/unit/run_machine.h"

/* 8259: vectors from 20h, only IRQ 0 unmasked; 8254: channel 0 in `mode` with `count`; then the TSC at the
 * write's end. */
#define PROGRAM_PIC                                                                                          \
    {OUT, 0x20, 0x11}, {OUT, 0x21, VECTOR_IRQ}, {OUT, 0x21, 4}, {OUT, 0x21, 1},                              \
    {                                                                                                        \
        OUT, 0x21, 0xfe                                                                                      \
    }
#define PROGRAM_PIT(mode, count)                                                                             \
    {OUT, 0x43, 0x30 | (mode) << 1}, {OUT, 0x40, (count)&0xff}, {OUT, 0x40, (count) >> 8},                   \
    {                                                                                                        \
        TSC, 0, 0                                                                                            \
    }
#define SET_UP 9 /* instructions of both */
#define HANDLER                                                                                              \
    {TSC, 0, 0}, {OUT, 0x20, 0x20},                                                                          \
    {                                                                                                        \
        IRET, 0, 0                                                                                           \
    }
#define COUNT 6u /* 5,028 cycles and 4 sevenths */

static struct machine *tested;

static int setup(void **state)
{
    (void)state;
    hardships = (struct hardships){0};
    prng_seed(&luck, 1);
    vm_count = 0;
    host = 1000000;
    executed = 0;
    ledger = (struct ledger){0};
    ledger_start(host);
    return 0;
}

static void run(uint64_t slice)
{
    const struct run_settings settings = {.slice = slice};

    assert_int_equal(run_all(&settings), 0);
    assert_true(ledger_exact());
    for (unsigned i = 0; i < vm_count; i++) {
        assert_true(vm_time_exact(vms[i]));
        assert_int_equal(machines[i].strays, 0);
    }
}

/* Spins; the interrupt handler stands behind the loop. */
static const struct op spin[] = {
    PROGRAM_PIC, PROGRAM_PIT(2, COUNT), {STI, 0, 0},          {NOP, 0, 0},
    {NOP, 0, 0}, {DONE, 0, 0},          {JMP, SET_UP + 1, 0}, HANDLER,
};
#define SPIN_HANDLER (SET_UP + 5)

/* Leaves all the time. */
static const struct op exits[] = {
    PROGRAM_PIC,    PROGRAM_PIT(2, COUNT), {STI, 0, 0},          {CPUID, 0, 0}, {NOP, 0, 0},
    {OUT, 0x80, 0}, {DONE, 0, 0},          {JMP, SET_UP + 1, 0}, HANDLER,
};
#define EXITS_HANDLER (SET_UP + 6)

/* Waits. */
static const struct op halts[] = {
    PROGRAM_PIC, PROGRAM_PIT(2, COUNT), {STI, 0, 0}, {HLT, 0, 0}, {DONE, 0, 0}, {JMP, SET_UP + 1, 0}, HANDLER,
};
#define HALTS_HANDLER (SET_UP + 4)

/* Tick i less the edge of the grid's formula: all within [least, most]. record[0] is the end of the count's
 * write. */
static void check_ticks(const struct machine *m, uint64_t least, uint64_t most)
{
    uint64_t first = grid_edges(&m->grid, m->record[0]) + 1;

    assert_int_equal(m->records, m->wanted);
    for (unsigned i = 1; i < m->records; i++) {
        uint64_t edge = grid_cycles(&m->grid, first + (uint64_t)i * COUNT);

        assert_in_range(m->record[i] - edge, least, most);
    }
    assert_int_equal(m->acks, m->records - 1);
}

/* The longest wait for an interrupt while the handler's own OUT or the instruction in flight is charged. */
static void test_ticks_stand_on_the_grid(void **state)
{
    static const struct {
        const struct op *program;
        uint64_t handler, charge, least, most;
    } cases[] = {
        {spin, SPIN_HANDLER, 1, 0, 0},   {spin, SPIN_HANDLER, 0, 50, 50},
        {exits, EXITS_HANDLER, 1, 0, 0}, {exits, EXITS_HANDLER, 0, 50, 1050},
        {halts, HALTS_HANDLER, 1, 0, 0}, {halts, HALTS_HANDLER, 0, 50, 50},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        for (unsigned skip = 0; skip < 2; skip++) {
            setup(state);
            tested = add_machine(cases[i].program, cases[i].handler, 300, cases[i].charge);
            tested->vm.policy.idle_skip = skip;
            run(1000000);
            check_ticks(tested, cases[i].least, cases[i].most);
            assert_int_equal(tested->vm.sources.snapped, 0);
        }
    }
}

static uint64_t alone[RECORDS], alone_nops[RECORDS];

/* One run under the present hardships beside `others` spinners; returns the machine tested. */
static struct machine *run_beside(const struct op *program, uint64_t handler, uint64_t charge,
                                  unsigned others, bool first, uint64_t slice)
{
    struct machine *m = NULL;

    for (unsigned i = 0; i <= others; i++) {
        if (i == (first ? 0 : others))
            m = add_machine(program, handler, 100, charge);
        else
            add_machine(spin, SPIN_HANDLER, 100, 1);
    }
    run(slice);
    return m;
}

static void check_same_as_alone(void **state, const struct op *program, uint64_t handler, uint64_t charge)
{
    static const struct hardships hard[] = {
        {0}, {.burn = 5000}, {.stale = 64}, {.cut = 128}, {.stale = 30, .cut = 100, .burn = 3000}};
    static const uint64_t slices[] = {3000, 50000, 1000000, 10000000};

    setup(state);
    struct machine *m = run_beside(program, handler, charge, 0, true, 1000000);
    for (unsigned i = 0; i < m->records; i++) {
        alone[i] = m->record[i];
        alone_nops[i] = m->record_nops[i];
    }
    for (unsigned h = 0; h < ARRAY_SIZE(hard); h++) {
        for (unsigned s = 0; s < ARRAY_SIZE(slices); s++) {
            for (unsigned others = 0; others < 3; others++) {
                setup(state);
                hardships = hard[h];
                m = run_beside(program, handler, charge, others, s % 2, slices[s]);
                assert_int_equal(m->records, 100);
                assert_memory_equal(m->record, alone, m->records * sizeof alone[0]);
                assert_memory_equal(m->record_nops, alone_nops, m->records * sizeof alone[0]);
                assert_int_equal(m->acks, 99);
                assert_int_equal(m->vm.sources.snapped, 0);
                assert_true(!hard[h].cut || m->cuts > 20);
            }
        }
    }
}

static void test_spinner_same_as_alone(void **state)
{
    check_same_as_alone(state, spin, SPIN_HANDLER, 1);
    check_same_as_alone(state, spin, SPIN_HANDLER, 0);
}

static void test_exits_same_as_alone(void **state)
{
    check_same_as_alone(state, exits, EXITS_HANDLER, 1);
    check_same_as_alone(state, exits, EXITS_HANDLER, 0);
}

/*
 * A delivery cut off by a page fault is repeated with the same vector: no second INTA (the ticks would be
 * gone) and no second charge (the handler would be late).
 */
static void test_cut_off_delivery(void **state)
{
    setup(state);
    tested = run_beside(spin, SPIN_HANDLER, 0, 0, true, 1000000);
    uint64_t charged = tested->vm.sources.charged;
    check_ticks(tested, 50, 50);
    setup(state);
    hardships.cut = 200;
    tested = run_beside(spin, SPIN_HANDLER, 0, 0, true, 1000000);
    check_ticks(tested, 50, 50);
    assert_true(tested->cuts > 200);
    assert_true(tested->vm.sources.charged == charged);
}

/* With jitter: handlers still stand on their cycle but for counted late ones, and only landings are charged
 * (run_machine.h). */
static void test_jitter(void **state)
{
    for (unsigned stale = 0; stale < 100; stale += 99) {
        setup(state);
        hardships = (struct hardships){.jitter = 60, .stale = stale, .burn = 100};
        tested = add_machine(spin, SPIN_HANDLER, 1000, 1);
        add_machine(exits, EXITS_HANDLER, 300, 1);
        landing_init(&tested->vm.landing, 50, 1, false);
        run(30000);
        assert_int_equal(tested->records, 1000);
        uint64_t first = grid_edges(&tested->grid, tested->record[0]) + 1, late = 0;
        for (unsigned i = 1; i < tested->records; i++) {
            uint64_t behind = tested->record[i] - grid_cycles(&tested->grid, first + (uint64_t)i * COUNT);

            assert_in_range(behind, 0, 60);
            late += behind > 0;
        }
        assert_true(late <= tested->vm.landing.late);
        assert_true(stale || late <= 20); /* a shot set anew close to its deadline has room for little lead */
        assert_true(tested->vm.landing.snaps > 500);
        assert_true(tested->vm.sources.snapped <= tested->vm.landing.snaps * tested->vm.landing.window);
    }
}

/*
 * A slice that ends 20 cycles before a deadline, inside the snap window: the 20 are executed, not charged.
 * (The check that nothing but a landing is charged stands in vcpu_run() of run_machine.h.)
 */
static void test_slice_end_is_not_charged(void **state)
{
    (void)state;
    for (uint64_t slice = 2000; slice < 4000; slice += 7) {
        setup(state);
        tested = add_machine(spin, SPIN_HANDLER, 30, 1);
        add_machine(spin, SPIN_HANDLER, 30, 1);
        landing_init(&tested->vm.landing, 400, 1, false); /* a window of 800 cycles */
        run(slice);
        check_ticks(tested, 0, 0);
    }
}

/* Nearly every one-shot is left over from another moment. */
static void test_stale_timer_is_not_charged(void **state)
{
    (void)state;
    setup(state);
    hardships.stale = 250;
    tested = add_machine(spin, SPIN_HANDLER, 100, 1);
    landing_init(&tested->vm.landing, 400, 1, false);
    run(1000000);
    check_ticks(tested, 0, 0);
}

/* STI; HLT with an interrupt pending: taken behind the HLT, at once, before another instruction. */
static void test_sti_hlt_wakes_at_once(void **state)
{
    static const struct op program[] = {
        PROGRAM_PIC,
        PROGRAM_PIT(0, 3),
        {NOP, 0, 0},
        {JMP, SET_UP + 2, 0},
#define WAIT(n) {OUT, 0x80, n}
        WAIT(1),
        WAIT(2),
        WAIT(3),
        WAIT(4),
        {TSC, 0, 0},
        {STI, 0, 0},
        {HLT, 0, 0},
        {NOP, 0, 0},
        {NOP, 0, 0},
        {DONE, 0, 0},
        {JMP, SET_UP + 9, 0},
        HANDLER,
    };

    (void)state;
    tested = add_machine(program, SET_UP + 13, 3, 0);
    run(1000000);
    assert_int_equal(tested->returns, SET_UP + 9); /* right behind the HLT */
    assert_int_equal(tested->record_nops[2], 1);
    /* RDTSC, STI, then what HLT and the delivery are charged. */
    assert_int_equal(tested->record[2] - tested->record[1],
                     2 + tested->vm.charges.cycles[CHARGE_HLT] + tested->vm.charges.cycles[CHARGE_EVENT]);
}

/* STI; NOP: the NOP is executed first, whether it leaves or not. */
static void test_sti_shadow(void **state)
{
    static const enum code covered[] = {NOP, CPUID, OUT};

    for (unsigned i = 0; i < ARRAY_SIZE(covered); i++) {
        const struct op program[] = {
            PROGRAM_PIC,
            PROGRAM_PIT(0, 3),
            WAIT(1),
            WAIT(2),
            WAIT(3),
            WAIT(4),
            {STI, 0, 0},
            {covered[i], 0x80, 0},
            {NOP, 0, 0},
            {DONE, 0, 0},
            {JMP, SET_UP + 6, 0},
            HANDLER,
        };

        setup(state);
        tested = add_machine(program, SET_UP + 9, 2, 0);
        run(1000000);
        assert_int_equal(tested->returns, SET_UP + 6);
    }
}

/*
 * The INTA comes at the injection, not when the window is asked for: a request that waits with IF = 0 and is
 * masked before the STI leaves nothing behind, neither a tick nor a spurious interrupt; unmasked, it is
 * there.
 */
static void test_inta_at_injection(void **state)
{
    static const struct op program[] = {
        PROGRAM_PIC,       PROGRAM_PIT(0, 3), WAIT(1),           WAIT(2),
        WAIT(3),           WAIT(4),           {OUT, 0x21, 0xff}, {STI, 0, 0},
        {NOP, 0, 0},       {NOP, 0, 0},       {NOP, 0, 0},       {TSC, 0, 0},
        {OUT, 0x21, 0xfe}, {NOP, 0, 0},       {DONE, 0, 0},      {JMP, SET_UP + 11, 0},
        HANDLER,
    };

    (void)state;
    tested = add_machine(program, SET_UP + 14, 3, 0);
    run(1000000);
    assert_int_equal(tested->acks, 1);
    assert_int_equal(tested->records, 3);
    assert_int_equal(tested->record_nops[1], 3); /* the TSC before the unmasking came before the tick */
    assert_int_equal(tested->returns, SET_UP + 11);
}

/* Spins, with ticks and NMIs. */
static const struct op spin_nmi[] = {
    PROGRAM_PIC,     PROGRAM_PIT(2, COUNT), {STI, 0, 0},          {NOP, 0, 0},
    {NOP, 0, 0},     {DONE, 0, 0},          {JMP, SET_UP + 1, 0}, HANDLER,
    {NMI_TSC, 0, 0}, {NOP, 0, 0},           {NMI_IRET, 0, 0},
};

#define NMI_PERIOD 3001u
#define IN_HANDLER 3u /* instructions */

/*
 * An NMI is taken on its cycle, interrupts on or off (those in the tick's handler, which is three
 * instructions long), whatever happens around it: none is lost, none comes twice; and the ticks stay what
 * they are.
 */
static void test_nmis_stand_on_their_cycles(void **state)
{
    static const struct hardships hard[] = {
        {0}, {.burn = 5000}, {.stale = 64}, {.cut = 128}, {.stale = 30, .cut = 100, .burn = 3000}};

    for (unsigned h = 0; h < ARRAY_SIZE(hard); h++) {
        for (unsigned others = 0; others < 2; others++) {
            setup(state);
            hardships = hard[h];
            tested = add_machine(spin_nmi, SPIN_HANDLER, 200, 1);
            tested->nmi_handler = SPIN_HANDLER + 3;
            tested->nmi_period = NMI_PERIOD;
            deadline_set(&tested->nmi_source, NMI_PERIOD);
            for (unsigned i = 0; i < others; i++)
                add_machine(spin, SPIN_HANDLER, 100, 1);
            run(50000);
            check_ticks(tested, 0, IN_HANDLER);
            assert_in_range(tested->nmis, 300, RECORDS);
            for (unsigned i = 0; i < tested->nmis; i++)
                assert_int_equal(tested->nmi_record[i], (i + 1) * (uint64_t)NMI_PERIOD);
        }
    }
}

/* NMIs in an NMI's handler: one waits for its IRET and comes behind it at once, the others are one with it.
 */
static void test_nmis_in_the_handler(void **state)
{
    static const struct op program[] = {
        {CLI, 0, 0},
        {OUT, PORT_NMI, NMI_RAISE},
        {NOP, 0, 0},
        {DONE, 0, 0},
        {OUT, PORT_NMI, NMI_RAISE},
        {NOP, 0, 0},
        {OUT, PORT_NMI, NMI_RAISE},
        {NMI_TSC, 0, 0},
        {NMI_IRET, 0, 0},
    };

    (void)state;
    tested = add_machine(program, 0, 0, 1);
    tested->nmi_handler = 4;
    tested->nmi_raises = 3;
    run(1000000);
    assert_int_equal(tested->nmis, 2);
    assert_int_equal(tested->nmi_returns, 2);
    assert_int_equal(tested->nmi_record[1] - tested->nmi_record[0], 5); /* IRET and the handler, at once */
}

/* An NMI that is masked outside the CPU waits, and is taken behind the instruction that lets it in. */
static void test_masked_nmi(void **state)
{
    static const struct op program[] = {
        {CLI, 0, 0},
        {OUT, PORT_NMI, NMI_MASK},
        {OUT, PORT_NMI, NMI_RAISE},
        {NOP, 0, 0},
        {CPUID, 0, 0},
        {NOP, 0, 0},
        {OUT, PORT_NMI, NMI_UNMASK},
        {NOP, 0, 0},
        {DONE, 0, 0},
        {NMI_TSC, 0, 0},
        {NMI_IRET, 0, 0},
    };

    (void)state;
    tested = add_machine(program, 0, 0, 1);
    tested->nmi_handler = 9;
    tested->nmi_raises = 1;
    run(1000000);
    assert_int_equal(tested->nmis, 1);
    assert_int_equal(tested->nmi_returns, 7);
}

/* An HLT with IF = 0 that nothing can wake ends the guest. */
static void test_dead_halt(void **state)
{
    static const struct op program[] = {{CLI, 0, 0}, {HLT, 0, 0}};
    const struct run_settings settings = {.slice = 1000000};

    (void)state;
    tested = add_machine(program, 0, 0, 1);
    assert_int_equal(run_all(&settings), VERDICT_DEAD_HALT);
    setup(state);
    tested = add_machine(program, 0, 0, 1);
    tested->vm.policy.halt_ok = true;
    assert_int_equal(run_all(&settings), 0);
}

/* RF in the pushed flags keeps an instruction breakpoint from hitting again behind a fault (APM vol. 2
 * "RFLAGS Register"); an event ends the interrupt shadow. */
static void test_faults_are_pushed_with_rf(void **state)
{
    static const struct op program[] = {{0}};
    static const uint8_t faults[] = {VECTOR_UD, VECTOR_GP};

    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        setup(state);
        tested = add_machine(program, 0, 0, 1);
        *tested->vm.vcpu.shadow = 1;
        vm_raise(&tested->vm, faults[i], false, 0);
        assert_true(*tested->vm.vcpu.rflags & RFLAGS_RF);
        assert_true(*tested->vm.vcpu.shadow == 0);
        assert_true(tested->vm.vcpu.event.valid && tested->vm.vcpu.event.vector == faults[i]);
    }
    setup(state);
    tested = add_machine(program, 0, 0, 1);
    vm_raise(&tested->vm, VECTOR_DB, false, 0);
    assert_false(*tested->vm.vcpu.rflags & RFLAGS_RF);
}

/* XCR0 is what CPUID offers, whatever more the CPU has (vcpu_set_xcr0() here: anything with x87). */
static void test_xsetbv_is_held_to_what_is_shown(void **state)
{
    static const struct op program[] = {{0}};
    static const struct {
        uint64_t allowed, value;
        bool good;
    } cases[] = {
        {7, 7, true},  {7, 3, true},      {7, 6, false}, {7, 0xE7, false}, {7, UINT64_C(1) << 62 | 7, false},
        {0, 1, false}, {0xE7, 0xE7, true}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(state);
        tested = add_machine(program, 0, 0, 1);
        tested->vm.xcr0_allowed = cases[i].allowed;
        *tested->vm.vcpu.gpr[REG_RCX] = 0;
        *tested->vm.vcpu.gpr[REG_RAX] = (uint32_t)cases[i].value;
        *tested->vm.vcpu.gpr[REG_RDX] = cases[i].value >> 32;
        assert_int_equal(exit_handlers[EXIT_XSETBV](&tested->vm),
                         cases[i].good ? HANDLED_SKIP : HANDLED_RESUME);
        assert_int_equal(tested->vm.vcpu.event.valid, !cases[i].good);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_ticks_stand_on_the_grid),
        T(test_spinner_same_as_alone),
        T(test_exits_same_as_alone),
        T(test_cut_off_delivery),
        T(test_jitter),
        T(test_slice_end_is_not_charged),
        T(test_stale_timer_is_not_charged),
        T(test_sti_hlt_wakes_at_once),
        T(test_sti_shadow),
        T(test_inta_at_injection),
        T(test_nmis_stand_on_their_cycles),
        T(test_nmis_in_the_handler),
        T(test_masked_nmi),
        T(test_dead_halt),
        T(test_faults_are_pushed_with_rf),
        T(test_xsetbv_is_held_to_what_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
