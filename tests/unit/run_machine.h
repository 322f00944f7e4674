/*
 * A simulated CPU below the real run loop, exit handlers, clock, 8259 and 8254 (test_run.c). Guests are lists
 * of instructions of one cycle each, RIP is an index. The CPU does what vcpu_run() promises
 * (arch/x86/api/vcpu.h), and on demand what makes life hard: timers that fire late, one-shots left over from
 * another moment, deliveries cut off by a page fault, monitor work of random length.
 */
#ifndef UNIT_RUN_MACHINE_H
#define UNIT_RUN_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/x86/api/cpu.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "hv/console.h"
#include "hv/emulate.h"
#include "hv/exits.h"
#include "hv/ledger.h"
#include "hv/run.h"
#include "hv/vm.h"
#include "lib/prng.h"
#include "tests/unit/run_host.h"

#define RECORDS    4096
#define E_PLUS_X   14u
#define VECTOR_IRQ 0x20
#define PORT_END   0xf4
#define PORT_NMI   0x90 /* NMI_RAISE, NMI_MASK, NMI_UNMASK */

enum { NMI_RAISE, NMI_MASK, NMI_UNMASK };

/* NMI_TSC and NMI_IRET: the same in an NMI's handler. */
enum code { NOP, STI, CLI, OUT, CPUID, HLT, JMP, TSC, DONE, IRET, NMI_TSC, NMI_IRET };

struct op {
    enum code code;
    uint16_t port; /* JMP: the target */
    uint8_t value;
};

/* What makes life hard; all off by default. Chances in 1/256. */
struct hardships {
    unsigned stale, cut, burn; /* burn: cycles of monitor work at most */
    uint64_t jitter;           /* the timer fires up to this much late */
};

struct machine {
    struct vm vm;
    struct i8259_pair pic;
    struct i8254 pit;
    struct grid grid;
    struct bus_region end_port, nmi_port;
    struct deadline nmi_source; /* raises one every nmi_period cycles, if that isn't 0 */
    uint64_t nmi_period;
    uint64_t nmi_handler; /* RIP */
    uint64_t nmi_returns; /* RIP and IF at the last NMI */
    bool nmi_returns_if, in_nmi, nmi_masked;
    unsigned nmis, nmi_raises;
    uint64_t nmi_record[RECORDS];
    const struct op *program;
    uint64_t handler; /* RIP of the interrupt handler */
    uint64_t returns; /* RIP and IF at the interrupt */
    bool returns_if;
    uint64_t gpr[REG_COUNT], rip, rflags, shadow;
    uint64_t nops;            /* work done */
    uint64_t record[RECORDS]; /* TSC readings */
    uint64_t record_nops[RECORDS];
    unsigned records, wanted; /* DONE ends the guest once `wanted` readings are there */
    unsigned acks, cuts, strays;
    uint64_t last_tsc;
    uint64_t snapped_before;
    bool last_aimed;
};

static struct machine machines[4];
static struct hardships hardships;
static struct prng luck;
static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));

static inline bool chance(unsigned of256)
{
    return prng_below(&luck, 256) < of256;
}

/* ---- the vCPU ---- */
void vcpu_hold_host(void)
{
}

void vcpu_release_host(void)
{
}

const char *vcpu_entry_fault(const struct vcpu *vcpu)
{
    (void)vcpu;
    return "refused";
}

uint64_t vcpu_exit_code(const struct vcpu *vcpu)
{
    (void)vcpu;
    return 0;
}

static inline struct machine *machine_of(const struct vcpu *vcpu)
{
    return container_of(vcpu, struct vm, vcpu)->machine;
}

void vcpu_reset(struct vcpu *vcpu)
{
    *vcpu->rip = 0;
    *vcpu->rflags = 2;
    *vcpu->shadow = 0;
    vcpu->window = vcpu->nmi_window = false;
    vcpu->event.valid = false;
}

void vcpu_switch(struct vcpu *from, struct vcpu *to)
{
    assert_ptr_not_equal(from, to);
    host += 700;
}

bool vcpu_in_64bit_code(const struct vcpu *vcpu)
{
    (void)vcpu;
    return true;
}

bool vcpu_in_32bit_code(const struct vcpu *vcpu)
{
    (void)vcpu;
    return false;
}

unsigned vcpu_cpl(const struct vcpu *vcpu)
{
    (void)vcpu;
    return 0;
}

static uint64_t dr6;

uint64_t vcpu_dr6(const struct vcpu *vcpu)
{
    (void)vcpu;
    return dr6;
}

void vcpu_set_dr6(struct vcpu *vcpu, uint64_t value)
{
    (void)vcpu;
    dr6 = value;
}

bool vcpu_set_cr0(struct vcpu *vcpu, uint64_t value)
{
    (void)vcpu;
    (void)value;
    return true;
}

bool vcpu_set_cr4(struct vcpu *vcpu, uint64_t value, uint64_t allowed)
{
    (void)vcpu;
    return !(value & ~allowed);
}

bool vcpu_set_xcr0(struct vcpu *vcpu, uint64_t value)
{
    (void)vcpu;
    return value & 1;
}

bool vcpu_nmi_blocked(const struct vcpu *vcpu)
{
    return *vcpu->shadow || machine_of(vcpu)->in_nmi;
}

static void enter_nmi(struct machine *m, struct vcpu *vcpu)
{
    assert_false(vcpu_nmi_blocked(vcpu));
    assert_int_equal(vcpu->event.vector, 2);
    m->in_nmi = true;
    m->nmi_returns = *vcpu->rip;
    m->nmi_returns_if = *vcpu->rflags & RFLAGS_IF;
    *vcpu->rflags &= ~RFLAGS_IF;
    *vcpu->rip = m->nmi_handler;
}

/* Delivers vcpu->event, or leaves it valid when its delivery meets a page fault. */
static bool deliver(struct machine *m, struct vcpu *vcpu, struct exit *exit)
{
    if (chance(hardships.cut)) {
        m->cuts++;
        exit->kind = EXIT_MEMORY;
        exit->memory.gpa = 0x1000;
        exit->memory.write = true;
        return false;
    }
    vcpu->event.valid = false;
    if (vcpu->event.type == EVENT_NMI) {
        enter_nmi(m, vcpu);
        return true;
    }
    if (vcpu->event.type != EVENT_EXTERNAL || vcpu->event.vector != VECTOR_IRQ) {
        m->strays++;
        return true;
    }
    m->returns = *vcpu->rip;
    m->returns_if = *vcpu->rflags & RFLAGS_IF;
    assert_true(m->returns_if);
    assert_false(*vcpu->shadow);
    *vcpu->rflags &= ~RFLAGS_IF;
    *vcpu->rip = m->handler;
    return true;
}

static void leave(struct exit *exit, enum exit_kind kind)
{
    exit->kind = kind;
    exit->length = 1;
}

static void record(struct machine *m, uint64_t tsc)
{
    assert_in_range(m->records, 0, RECORDS - 1);
    assert_true(tsc >= m->last_tsc);
    m->last_tsc = tsc;
    m->record_nops[m->records] = m->nops;
    m->record[m->records++] = tsc;
}

static void port_exit(struct machine *m, const struct op *op, struct exit *exit)
{
    leave(exit, EXIT_PORT);
    exit->port.port = op->port;
    exit->port.width = 1;
    exit->port.in = false;
    m->gpr[REG_RAX] = op->value;
}

/* One instruction; false: it leaves instead, and has not begun. `tsc`: what RDTSC reads now. */
static bool execute(struct machine *m, struct vcpu *vcpu, uint64_t tsc, struct exit *exit)
{
    static const struct op end = {OUT, PORT_END, 0};
    const struct op *op = &m->program[*vcpu->rip];
    uint64_t next = *vcpu->rip + 1;
    bool shadow = false;

    switch (op->code) {
    case OUT:
        port_exit(m, op, exit);
        return false;
    case CPUID:
        leave(exit, EXIT_CPUID);
        return false;
    case HLT:
        leave(exit, EXIT_HLT);
        return false;
    case DONE:
        if (m->records >= m->wanted) {
            port_exit(m, &end, exit);
            return false;
        }
        break;
    case NOP:
        m->nops++;
        break;
    case STI:
        shadow = !(*vcpu->rflags & RFLAGS_IF);
        *vcpu->rflags |= RFLAGS_IF;
        break;
    case CLI:
        *vcpu->rflags &= ~RFLAGS_IF;
        break;
    case JMP:
        next = op->port;
        break;
    case TSC:
        record(m, tsc);
        break;
    case IRET:
        next = m->returns;
        *vcpu->rflags |= m->returns_if ? RFLAGS_IF : 0;
        break;
    case NMI_TSC:
        assert_in_range(m->nmis, 0, RECORDS - 1);
        m->nmi_record[m->nmis++] = tsc;
        break;
    case NMI_IRET:
        assert_true(m->in_nmi);
        m->in_nmi = false;
        next = m->nmi_returns;
        *vcpu->rflags |= m->nmi_returns_if ? RFLAGS_IF : 0;
        break;
    }
    *vcpu->shadow = shadow;
    *vcpu->rip = next;
    return true;
}

/* How long the guest may run before the timer ends it, and whether that is the deadline's shot. */
static uint64_t budget(const struct vcpu *vcpu, uint64_t distance, uint64_t t0, bool *aimed)
{
    bool none = distance > UINT64_MAX / 2;
    uint64_t deadline = none ? UINT64_MAX : distance - MIN(vcpu->lead, distance / VCPU_LEAD_SHARE);
    uint64_t host_limit = vcpu->host_limit;
    uint64_t slice = host_limit > t0 ? host_limit - t0 : 0;

    if (deadline != UINT64_MAX && hardships.jitter)
        deadline += prng_below(&luck, hardships.jitter + 1);
    if (chance(hardships.stale))
        slice = MIN(slice, prng_below(&luck, deadline == UINT64_MAX ? 1000 : deadline + 1));
    *aimed = deadline < slice;
    return MIN(deadline, slice);
}

void vcpu_run(struct vcpu *vcpu, uint64_t tsc, uint64_t distance)
{
    struct machine *m = machine_of(vcpu);
    struct exit *exit = &vcpu->exit;
    uint64_t used = 0;
    bool aimed;

    /* Only a landing may be charged for, and only once. */
    assert_true(m->last_aimed || m->vm.sources.snapped == m->snapped_before);
    m->last_aimed = false;
    m->snapped_before = m->vm.sources.snapped;
    *exit = (struct exit){.entered = host += 5 + prng_below(&luck, hardships.burn + 1)};
    uint64_t most = budget(vcpu, distance, host, &aimed);
    bool runs = !vcpu->event.valid || deliver(m, vcpu, exit);
    while (runs) {
        if (vcpu->window && *vcpu->rflags & RFLAGS_IF && !*vcpu->shadow) {
            leave(exit, EXIT_WINDOW);
            break;
        }
        if (vcpu->nmi_window && !vcpu_nmi_blocked(vcpu)) {
            leave(exit, EXIT_NMI_WINDOW);
            break;
        }
        if (used >= most) {
            leave(exit, EXIT_HOST_INTERRUPT);
            exit->timer = true;
            exit->aimed = m->last_aimed = aimed;
            break;
        }
        runs = execute(m, vcpu, tsc + used, exit);
        used += runs;
    }
    executed += used;
    exit->consumed = used;
    exit->overhead = E_PLUS_X;
    exit->left = host += used + E_PLUS_X;
}

/* ---- the PC ---- */
static uint8_t machine_ack(struct vm *vm)
{
    struct machine *m = vm->machine;

    m->acks++;
    return i8259_ack(&m->pic);
}

static bool machine_can_interrupt(struct vm *vm)
{
    struct machine *m = vm->machine;

    return (m->pic.state.chip[I8259_MASTER].imr & 1) == 0;
}

static enum handled machine_cpuid(struct vm *vm)
{
    (void)vm;
    return HANDLED_SKIP;
}

static void on_interrupt(void *opaque, unsigned input, bool level)
{
    (void)input;
    vm_set_interrupt(opaque, level);
}

static void end_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    (void)offset;
    (void)width;
    vm_request_exit(opaque, (unsigned)value);
}

static uint64_t end_read(void *opaque, uint64_t offset, unsigned width)
{
    (void)opaque;
    (void)offset;
    (void)width;
    return 0;
}

static bool machine_nmi_masked(struct vm *vm)
{
    struct machine *m = vm->machine;

    return m->nmi_masked;
}

static void nmi_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct machine *m = opaque;

    (void)offset;
    (void)width;
    if (value == NMI_RAISE && m->nmi_raises) {
        m->nmi_raises--;
        vm_raise_nmi(&m->vm);
    } else if (value != NMI_RAISE) {
        m->nmi_masked = value == NMI_MASK;
    }
}

static void raise_next_nmi(void *opaque, uint64_t when)
{
    struct machine *m = opaque;

    vm_raise_nmi(&m->vm);
    deadline_set(&m->nmi_source, when + m->nmi_period);
}

static const struct vm_ops machine_ops = {.interrupt_ack = machine_ack,
                                          .can_interrupt = machine_can_interrupt,
                                          .nmi_masked = machine_nmi_masked,
                                          .cpuid = machine_cpuid};
static const struct bus_ops end_ops = {end_read, end_write}, nmi_ops = {end_read, nmi_write};

/* A VM with an 8259 pair and an 8254 on IRQ 0; `handler`: index of its interrupt handler. */
static inline struct machine *add_machine(const struct op *program, uint64_t handler, unsigned wanted,
                                          uint64_t charge)
{
    struct machine *m = &machines[vm_count];

    *m = (struct machine){.program = program, .handler = handler, .wanted = wanted};
    vm_init(&m->vm, "test", vm_count, HZ, &machine_ops, m);
    for (unsigned i = 0; i < REG_COUNT; i++)
        m->vm.vcpu.gpr[i] = &m->gpr[i];
    m->vm.vcpu.rip = &m->rip;
    m->vm.vcpu.rflags = &m->rflags;
    m->vm.vcpu.shadow = &m->shadow;
    vcpu_reset(&m->vm.vcpu);
    exits_set_charges(&m->vm, charge);
    landing_init(&m->vm.landing, 0, 1, false);
    assert_true(guest_mem_add_ram(&m->vm.memory, ram, RAM_BYTES));
    i8259_init(&m->pic);
    irq_line_connect(&m->pic.intr, on_interrupt, &m->vm, 0);
    grid_init(&m->grid, HZ, I8254_HZ_NUM, I8254_HZ_DEN);
    i8254_init(&m->pit, &m->vm.clock, &m->grid, &m->vm.clock.deadlines);
    irq_line_connect(&m->pit.out[0], i8259_set_irq, &m->pic, 0);
    i8254_set_gate(&m->pit, 0, true);
    m->end_port = (struct bus_region){PORT_END, 1, 1, &end_ops, &m->vm, "end"};
    assert_null(bus_add(&m->vm.ports, &m->pic.regions[0]));
    assert_null(bus_add(&m->vm.ports, &m->pit.region));
    m->nmi_port = (struct bus_region){PORT_NMI, 1, 1, &nmi_ops, m, "nmi"};
    deadline_init(&m->nmi_source, &m->vm.clock.deadlines, raise_next_nmi, m, "nmi");
    assert_null(bus_add(&m->vm.ports, &m->end_port));
    assert_null(bus_add(&m->vm.ports, &m->nmi_port));
    m->pit.device.reset(m->pit.device.opaque);
    vms[vm_count++] = &m->vm;
    return m;
}

#endif
