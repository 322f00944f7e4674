/*
 * Exit handlers; the contract is in exits.h. The order is always: charge first (the run loop, for the
 * instructions in exits_set_charges(); else the handler), then the access, then complete. Instructions that
 * touch memory through the decoder are in emulate.c.
 */
#include "hv/exits.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/decode/insn.h"
#include "hv/emulate.h"
#include "hv/guest_trace.h"
#include "hv/perturb.h"
#include "hv/trace.h"
#include "lib/log.h"

#define CR0_PE BIT64(0)

#define DR6_BS BIT64(14)

void exits_set_charges(struct vm *vm, uint64_t each)
{
    const uint64_t *cycles = vm->charges.cycles;

    charges_init(&vm->charges, vm->clock.hz, each);
    vm->exit_charges[EXIT_PORT] = cycles[CHARGE_PORT];
    vm->exit_charges[EXIT_CPUID] = cycles[CHARGE_CPUID];
    vm->exit_charges[EXIT_RDMSR] = vm->exit_charges[EXIT_WRMSR] = cycles[CHARGE_MSR];
    vm->exit_charges[EXIT_HLT] = cycles[CHARGE_HLT];
}

/* A fault is pushed with RF set, so that an instruction breakpoint does not hit again behind it (APM vol. 2
 * "RFLAGS", "Resume Flag"); #DB has its own rules. No event is delivered in a shadow. */
void vm_raise(struct vm *vm, uint8_t vector, bool has_error, uint32_t error)
{
    if (vector != VECTOR_DB)
        *vm->vcpu.rflags |= RFLAGS_RF;
    *vm->vcpu.shadow = 0;
    guest_trace_raise(vm, vector, error);
    vcpu_inject(&vm->vcpu,
                (struct vcpu_event){.vector = vector,
                                    .type = EVENT_EXCEPTION,
                                    .has_error =
                                        has_error && vcpu_cr0(&vm->vcpu) & CR0_PE, /* real mode pushes none */
                                    .error = error});
}

void vm_complete_with_care(struct vm *vm, unsigned length)
{
    struct vcpu *vcpu = &vm->vcpu;
    uint64_t next = *vcpu->rip + length;

    if (!vcpu_in_64bit_code(vcpu))
        next &= vcpu_in_32bit_code(vcpu) ? UINT32_MAX : UINT16_MAX;
    *vcpu->rip = next;
    *vcpu->shadow = 0;
    *vcpu->rflags &= ~RFLAGS_RF;
    vcpu->attention = true;
    if (*vcpu->rflags & RFLAGS_TF) {
        vcpu_set_dr6(vcpu, vcpu_dr6(vcpu) | DR6_BS);
        vm_raise(vm, VECTOR_DB, false, 0);
    }
}

static enum handled raise(struct vm *vm, uint8_t vector)
{
    vm_raise(vm, vector, vector == VECTOR_GP, 0);
    return HANDLED_RESUME;
}

static enum handled handle_nothing(struct vm *vm)
{
    (void)vm;
    return HANDLED_RESUME;
}

/* The run loop delivers; here is only an interrupt that fell before the guest could take it. */
static enum handled handle_window(struct vm *vm)
{
    vcpu_want_window(&vm->vcpu, vm->interrupt);
    return HANDLED_RESUME;
}

/* IN: a 32-bit result clears the upper half of RAX, a shorter one leaves the rest alone. */
static void set_accumulator(uint64_t *rax, unsigned width, uint64_t value)
{
    if (width == 1)
        *rax = (*rax & ~UINT64_C(0xFF)) | (uint8_t)value;
    else if (width == 2)
        *rax = (*rax & ~UINT64_C(0xFFFF)) | (uint16_t)value;
    else
        *rax = (uint32_t)value;
}

static __attribute__((noinline)) enum handled handle_out(struct vm *vm)
{
    const struct exit *exit = &vm->vcpu.exit;

    bus_write_port(&vm->ports, exit->port.port, exit->port.width, *vm->vcpu.gpr[REG_RAX]);
    return HANDLED_SKIP;
}

static __attribute__((noinline)) enum handled handle_in(struct vm *vm)
{
    const struct exit *exit = &vm->vcpu.exit;
    uint64_t value = bus_read(&vm->ports, exit->port.port, exit->port.width);

    set_accumulator(vm->vcpu.gpr[REG_RAX], exit->port.width, value);
    return HANDLED_SKIP;
}

/* Width and direction, side by side, in one look. */
static inline bool is_byte_in(const struct exit_port *port)
{
    uint16_t both;

    __builtin_memcpy(&both, &port->width, sizeof both);
    return both == 0x0101; /* little-endian: width 1, in */
}

/* A byte from a region that takes bytes is the plain case. */
static enum handled handle_port(struct vm *vm)
{
    const struct exit *exit = &vm->vcpu.exit;

    if (!is_byte_in(&exit->port))
        return exit->port.in ? handle_in(vm) : handle_out(vm);
    const struct bus_region *region = bus_port_region(&vm->ports, exit->port.port);
    if (__builtin_expect(!region, 0) || __builtin_expect(!(region->widths & 1), 0))
        return handle_in(vm);
    uint64_t value = region->ops->read(region->opaque, exit->port.port - region->base, 1);
    *(uint8_t *)vm->vcpu.gpr[REG_RAX] = (uint8_t)value; /* AL */
    return HANDLED_SKIP;
}

static enum handled handle_string_io(struct vm *vm)
{
    emulate_string_io(vm);
    return HANDLED_RESUME;
}

static enum handled handle_cpuid(struct vm *vm)
{
    return vm->ops->cpuid(vm);
}

static enum handled handle_rdmsr(struct vm *vm)
{
    return vm->ops->rdmsr(vm);
}

static enum handled handle_wrmsr(struct vm *vm)
{
    return vm->ops->wrmsr(vm);
}

static enum handled handle_hlt(struct vm *vm)
{
    (void)vm;
    return HANDLED_HALT;
}

/* CR8 without a local APIC: there is no task priority, the value is dropped; bits 63-4 must be zero. */
static bool write_cr(struct vm *vm, unsigned cr, uint64_t value)
{
    if (cr == 0)
        return vcpu_set_cr0(&vm->vcpu, value);
    if (cr == 4)
        return vcpu_set_cr4(&vm->vcpu, value, vm->cr4_allowed);
    return value >> 4 == 0;
}

static enum handled handle_cr_write(struct vm *vm)
{
    uint64_t value;

    vm_charge(vm, CHARGE_OTHER);
    if (!fetch_cr_operand(vm, &value)) {
        vm_crash(vm, "writes a control register by an instruction that Verge does not carry out");
        return HANDLED_RESUME;
    }
    return write_cr(vm, vm->vcpu.exit.cr, value) ? HANDLED_SKIP : raise(vm, VECTOR_GP);
}

static enum handled handle_xsetbv(struct vm *vm)
{
    struct vcpu *vcpu = &vm->vcpu;
    uint64_t value = *vcpu->gpr[REG_RDX] << 32 | (uint32_t)*vcpu->gpr[REG_RAX];

    vm_charge(vm, CHARGE_OTHER);
    if (vcpu_cpl(vcpu) || (uint32_t)*vcpu->gpr[REG_RCX] || value & ~vm->xcr0_allowed ||
        !vcpu_set_xcr0(vcpu, value))
        return raise(vm, VECTOR_GP);
    return HANDLED_SKIP;
}

/* INVD, WBINVD */
static enum handled handle_flush(struct vm *vm)
{
    vm_charge(vm, CHARGE_OTHER);
    return vcpu_cpl(&vm->vcpu) ? raise(vm, VECTOR_GP) : HANDLED_SKIP;
}

static enum handled handle_memory(struct vm *vm)
{
    const struct exit *exit = &vm->vcpu.exit;
    const struct memory_range *range = guest_mem_slot(&vm->memory, exit->memory.gpa);

    /* RAM that isn't mapped: perturb= took it away. ROM that is written: dropped by the emulator's bus. */
    if (range && (range->kind == MEMORY_RAM || (range->kind == MEMORY_ROM && !exit->memory.write)) &&
        nested_restore(&vm->nested, exit->memory.gpa))
        return HANDLED_RESUME;
    emulate_memory(vm, exit);
    return HANDLED_RESUME;
}

static enum handled crash_by_machine_check(struct vm *vm)
{
    cpu_take_machine_check();
    vm_crash(vm, "machine check of the host while it ran");
    return HANDLED_RESUME;
}

static enum handled handle_exception(struct vm *vm)
{
    const struct exit *exit = &vm->vcpu.exit;

    if (exit->exception.vector == VECTOR_MC)
        return crash_by_machine_check(vm);
    vm_raise(vm, exit->exception.vector, exit->exception.has_error, exit->exception.error);
    return HANDLED_RESUME;
}

static enum handled handle_undefined(struct vm *vm)
{
    return raise(vm, VECTOR_UD);
}

/* Verge has no hypercalls; a test build has (tests/image/). */
__attribute__((weak)) enum handled handle_hypercall(struct vm *vm)
{
    return handle_undefined(vm);
}

static enum handled handle_forbidden(struct vm *vm)
{
    return raise(vm, VECTOR_GP);
}

static enum handled handle_shutdown(struct vm *vm)
{
    if (cpu_machine_check_waits())
        return crash_by_machine_check(vm);
    vm_crash(vm, "triple fault");
    return HANDLED_RESUME;
}

static enum handled handle_task_switch(struct vm *vm)
{
    vm_crash(vm, "hardware task switch, which Verge does not carry out");
    return HANDLED_RESUME;
}

static enum handled handle_invalid(struct vm *vm)
{
    log_error("%s: entry refused at rip %llx: %s (code %llx)", vm->name, (unsigned long long)*vm->vcpu.rip,
              vcpu_entry_fault(&vm->vcpu), (unsigned long long)vcpu_exit_code(&vm->vcpu));
    vm_crash(vm, "the CPU refused the guest's state");
    return HANDLED_RESUME;
}

exit_handler *const exit_handlers[EXIT_KINDS] = {
    [EXIT_HOST_INTERRUPT] = handle_nothing,
    [EXIT_HOST_NMI] = handle_nothing,
    [EXIT_WINDOW] = handle_window,
    [EXIT_NMI_WINDOW] = handle_nothing,
    [EXIT_PORT] = handle_port,
    [EXIT_STRING_IO] = handle_string_io,
    [EXIT_CPUID] = handle_cpuid,
    [EXIT_HLT] = handle_hlt,
    [EXIT_RDMSR] = handle_rdmsr,
    [EXIT_WRMSR] = handle_wrmsr,
    [EXIT_MEMORY] = handle_memory,
    [EXIT_CR_WRITE] = handle_cr_write,
    [EXIT_EXCEPTION] = handle_exception,
    [EXIT_XSETBV] = handle_xsetbv,
    [EXIT_FLUSH] = handle_flush,
    [EXIT_UNDEFINED] = handle_undefined,
    [EXIT_FORBIDDEN] = handle_forbidden,
    [EXIT_TASK_SWITCH] = handle_task_switch,
    [EXIT_SHUTDOWN] = handle_shutdown,
    [EXIT_HYPERCALL] = handle_hypercall,
    [EXIT_INVALID] = handle_invalid,
};
