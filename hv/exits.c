/*
 * Exit handlers; the contract is in exits.h. The order is always: charge first (which runs every deadline due by then), then the access, then complete; the
 * run loop injects afterwards. Instructions that touch memory through the decoder are in emulate.c.
 */
#include "hv/exits.h"
#include "arch/x86/decode/insn.h"
#include "hv/emulate.h"
#include "hv/perturb.h"
#include "hv/trace.h"
#include "lib/log.h"

#define RFLAGS_TF BIT64(8)
#define RFLAGS_IF BIT64(9)
#define RFLAGS_RF BIT64(16)
#define DR6_BS BIT64(14)

#define VECTOR_DB 1
#define VECTOR_UD 6
#define VECTOR_GP 13

#define MSR_TSC 0x10u

bool vm_interruptible(const struct vm *vm)
{
    return vm->vcpu.rflags & RFLAGS_IF && !vm->vcpu.shadow && !vm->vcpu.event.valid;
}

void vm_raise(struct vm *vm, uint8_t vector, bool has_error, uint32_t error)
{
    vm->vcpu.event = (struct vcpu_event){
        .valid = true, .vector = vector, .type = EVENT_EXCEPTION, .has_error = has_error, .error = error};
}

void vm_complete_instruction(struct vm *vm, unsigned length)
{
    struct vcpu *vcpu = &vm->vcpu;
    uint64_t next = vcpu->rip + length;

    if (!vcpu_in_64bit_code(vcpu))
        next &= vcpu_in_32bit_code(vcpu) ? UINT32_MAX : UINT16_MAX;
    vcpu->rip = next;
    vcpu->shadow = false;
    vcpu->rflags &= ~RFLAGS_RF;
    if (vcpu->rflags & RFLAGS_TF) {
        vcpu_set_dr6(vcpu, vcpu_dr6(vcpu) | DR6_BS);
        vm_raise(vm, VECTOR_DB, false, 0);
    }
}

/* Completes an instruction whose length the CPU may not have given. */
static void complete(struct vm *vm, const struct exit *exit)
{
    unsigned length = exit->length ? exit->length : fetch_instruction_length(vm);

    if (length)
        vm_complete_instruction(vm, length);
    /* else: its bytes are gone (another vCPU, or a page the guest unmapped without a flush); executed again, it faults by itself */
}

static uint64_t width_mask(unsigned width)
{
    return width >= 8 ? UINT64_MAX : (UINT64_C(1) << width * 8) - 1;
}

static void set_gpr32(struct vm *vm, unsigned reg, uint32_t value)
{
    vm->vcpu.gpr[reg] = value;
}

static void handle_port(struct vm *vm, const struct exit *exit)
{
    unsigned width = exit->port.width;
    uint64_t mask = width_mask(width);
    uint64_t *rax = &vm->vcpu.gpr[REG_RAX];

    vm_charge(vm, vm->charges.cycles[CHARGE_PORT]);
    if (exit->port.in) {
        uint64_t value = bus_read(&vm->ports, exit->port.port, width) & mask;

        *rax = width == 4 ? value : (*rax & ~mask) | value;
    } else {
        bus_write(&vm->ports, exit->port.port, width, *rax & mask);
    }
    complete(vm, exit);
}

static void handle_cpuid(struct vm *vm, const struct exit *exit)
{
    uint32_t out[4];

    vm_charge(vm, vm->charges.cycles[CHARGE_CPUID]);
    vm->ops->cpuid(vm, (uint32_t)vm->vcpu.gpr[REG_RAX], (uint32_t)vm->vcpu.gpr[REG_RCX], out);
    set_gpr32(vm, REG_RAX, out[0]);
    set_gpr32(vm, REG_RBX, out[1]);
    set_gpr32(vm, REG_RCX, out[2]);
    set_gpr32(vm, REG_RDX, out[3]);
    complete(vm, exit);
}

static void handle_rdmsr(struct vm *vm, const struct exit *exit)
{
    uint32_t index = (uint32_t)vm->vcpu.gpr[REG_RCX];
    uint64_t value;

    vm_charge(vm, vm->charges.cycles[CHARGE_MSR]);
    if (index == MSR_TSC) {
        value = vm->clock.now + vm->tsc_bias;
    } else if (!vm->ops->msr_read(vm, index, &value)) {
        vm_raise(vm, VECTOR_GP, true, 0);
        return;
    }
    set_gpr32(vm, REG_RAX, (uint32_t)value);
    set_gpr32(vm, REG_RDX, (uint32_t)(value >> 32));
    complete(vm, exit);
}

static void handle_wrmsr(struct vm *vm, const struct exit *exit)
{
    uint32_t index = (uint32_t)vm->vcpu.gpr[REG_RCX];
    uint64_t value = (vm->vcpu.gpr[REG_RDX] << 32) | (uint32_t)vm->vcpu.gpr[REG_RAX];

    vm_charge(vm, vm->charges.cycles[CHARGE_MSR]);
    if (index == MSR_TSC) {
        vm->tsc_bias = value - vm->clock.now;
    } else if (!vm->ops->msr_write(vm, index, value)) {
        vm_raise(vm, VECTOR_GP, true, 0);
        return;
    }
    complete(vm, exit);
}

static void handle_hlt(struct vm *vm, const struct exit *exit)
{
    vm_charge(vm, vm->charges.cycles[CHARGE_HLT]);
    complete(vm, exit);
    if (vm->vcpu.event.valid)
        return; /* stepped over */
    if (!(vm->vcpu.rflags & RFLAGS_IF) || !(vm->interrupt || vm->ops->can_interrupt(vm))) {
        vm_end(vm, vm->policy.halt_ok ? 0 : VERDICT_DEAD_HALT, "halted with interrupts off or all masked, and nothing can wake it");
        return;
    }
    if (!vm->interrupt) {
        vm->state = VM_HALTED;
        vm->halt_host = exit->left;
        vm->halt_guest = vm->clock.now;
    }
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

static void handle_cr_write(struct vm *vm, const struct exit *exit)
{
    uint64_t value;

    vm_charge(vm, vm->charges.cycles[CHARGE_OTHER]);
    if (!fetch_cr_operand(vm, &value)) {
        vm_crash(vm, "writes a control register by an instruction that Verge does not carry out");
        return;
    }
    if (write_cr(vm, exit->cr, value))
        complete(vm, exit);
    else
        vm_raise(vm, VECTOR_GP, true, 0);
}

static void handle_xsetbv(struct vm *vm, const struct exit *exit)
{
    uint64_t value = (vm->vcpu.gpr[REG_RDX] << 32) | (uint32_t)vm->vcpu.gpr[REG_RAX];

    vm_charge(vm, vm->charges.cycles[CHARGE_OTHER]);
    if (vcpu_cpl(&vm->vcpu) || (uint32_t)vm->vcpu.gpr[REG_RCX] || !vcpu_set_xcr0(&vm->vcpu, value)) {
        vm_raise(vm, VECTOR_GP, true, 0);
        return;
    }
    complete(vm, exit);
}

static void handle_memory(struct vm *vm, const struct exit *exit)
{
    const struct memory_range *range = guest_mem_slot(&vm->memory, exit->memory.gpa);

    /* RAM that isn't mapped: perturb= took it away. ROM that is written: dropped by the emulator's bus. */
    if (range && (range->kind == MEMORY_RAM || (range->kind == MEMORY_ROM && !exit->memory.write)) &&
        nested_restore(&vm->nested, exit->memory.gpa))
        return;
    emulate_memory(vm, exit);
}

static void handle_rare(struct vm *vm, const struct exit *exit)
{
    switch (exit->kind) {
    case EXIT_EXCEPTION:
        vm_raise(vm, exit->exception.vector, exit->exception.has_error, exit->exception.error);
        return;
    case EXIT_FLUSH:
        vm_charge(vm, vm->charges.cycles[CHARGE_OTHER]);
        if (vcpu_cpl(&vm->vcpu))
            vm_raise(vm, VECTOR_GP, true, 0);
        else
            complete(vm, exit);
        return;
    case EXIT_UNDEFINED:
    case EXIT_HYPERCALL:
        vm_raise(vm, VECTOR_UD, false, 0);
        return;
    case EXIT_FORBIDDEN:
        vm_raise(vm, VECTOR_GP, true, 0);
        return;
    case EXIT_SHUTDOWN:
        vm_crash(vm, "triple fault");
        return;
    case EXIT_TASK_SWITCH:
        vm_crash(vm, "hardware task switch, which Verge does not carry out");
        return;
    default:
        log_error("%s: exit code %llx at rip %llx", vm->name, (unsigned long long)exit->code,
                  (unsigned long long)vm->vcpu.rip);
        vm_crash(vm, "the CPU refused the guest's state");
        return;
    }
}

void exit_handle(struct vm *vm, const struct exit *exit)
{
    switch (exit->kind) {
    case EXIT_HOST_INTERRUPT:
    case EXIT_HOST_NMI:
    case EXIT_WINDOW:
        return;
    case EXIT_PORT:
        handle_port(vm, exit);
        return;
    case EXIT_STRING_IO:
        emulate_string_io(vm);
        return;
    case EXIT_CPUID:
        handle_cpuid(vm, exit);
        return;
    case EXIT_HLT:
        handle_hlt(vm, exit);
        return;
    case EXIT_RDMSR:
        handle_rdmsr(vm, exit);
        return;
    case EXIT_WRMSR:
        handle_wrmsr(vm, exit);
        return;
    case EXIT_MEMORY:
        handle_memory(vm, exit);
        return;
    case EXIT_CR_WRITE:
        handle_cr_write(vm, exit);
        return;
    case EXIT_XSETBV:
        handle_xsetbv(vm, exit);
        return;
    default:
        handle_rare(vm, exit);
        return;
    }
}
