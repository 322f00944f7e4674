/*
 * Instructions carried out through the decoder; the contract is in emulate.h. The memory callback below is
 * the one place where a guest's data access is translated, split at pages and sent to RAM or to the MMIO bus.
 */
#include "hv/emulate.h"
#include "arch/x86/decode/insn_exec.h"
#include "hv/exits.h"
#include "hv/guest_trace.h"
#include "hv/translate.h"
#include "lib/log.h"
#include "lib/string.h"

#define PAGE      4096u
#define CR0_PE    BIT64(0)
#define RFLAGS_VM BIT64(17)

/* Fills the decoder's register file from the vCPU. */
static void load_regs(const struct vm *vm, struct insn_regs *regs)
{
    static const enum segment_name order[6] = {SEGMENT_ES, SEGMENT_CS, SEGMENT_SS,
                                               SEGMENT_DS, SEGMENT_FS, SEGMENT_GS};
    const struct vcpu *vcpu = &vm->vcpu;

    for (unsigned i = 0; i < REG_COUNT; i++)
        regs->gpr[i] = *vcpu->gpr[i];
    regs->rip = *vcpu->rip;
    regs->rflags = *vcpu->rflags;
    for (unsigned i = 0; i < 6; i++) {
        struct vcpu_segment segment;

        vcpu_get_segment(vcpu, order[i], &segment);
        regs->segments[i] = (struct insn_segment){segment.base, segment.limit, segment.attributes};
    }
    regs->protected_mode = vcpu_cr0(vcpu) & CR0_PE && !(*vcpu->rflags & RFLAGS_VM);
    regs->la57 = false;
}

static void store_regs(struct vm *vm, const struct insn_regs *regs)
{
    if (*vm->vcpu.rflags != regs->rflags || *vm->vcpu.gpr[REG_RSP] != regs->gpr[REG_RSP])
        vm->vcpu.attention = true;
    for (unsigned i = 0; i < REG_COUNT; i++)
        *vm->vcpu.gpr[i] = regs->gpr[i];
    *vm->vcpu.rflags = regs->rflags;
}

/* Stands for "no fault, but run the guest again at this instruction": a walk that others kept changing. */
#define VECTOR_RETRY 0xFF

static bool translate_piece(struct vm *vm, enum insn_access access, uint64_t linear, uint64_t *gpa,
                            struct insn_fault *fault)
{
    bool write = access == INSN_WRITE || access == INSN_PROBE_WRITE || access == INSN_READ_MODIFY;
    struct walk_result result;
    enum walk_status status = translate(vm, linear, write ? WALK_WRITE : WALK_READ, &result);

    if (status == WALK_OK) {
        *gpa = result.gpa;
        return true;
    }
    if (status == WALK_RETRY)
        *fault = (struct insn_fault){.vector = VECTOR_RETRY};
    else if (status == WALK_NOT_CANONICAL)
        *fault = (struct insn_fault){.vector = INSN_VECTOR_GP, .has_error_code = true};
    else
        *fault = (struct insn_fault){
            .vector = INSN_VECTOR_PF, .has_error_code = true, .error_code = result.error_code, .cr2 = linear};
    return false;
}

static uint64_t read_piece(struct vm *vm, uint64_t gpa, unsigned size)
{
    uint64_t value = 0;

    if (guest_mem_read(&vm->memory, gpa, &value, size))
        return value;
    value = bus_read(&vm->mmio, gpa, size);
    guest_trace_access(vm, "read", gpa, size, value);
    return value;
}

static void write_piece(struct vm *vm, uint64_t gpa, unsigned size, uint64_t value)
{
    const struct memory_range *range = guest_mem_slot(&vm->memory, gpa);

    if (range && range->kind == MEMORY_ROM)
        return;
    if (guest_mem_write(&vm->memory, gpa, &value, size))
        return;
    guest_trace_access(vm, "write", gpa, size, value);
    bus_write(&vm->mmio, gpa, size, value);
}

static bool access_memory(void *opaque, enum insn_access access, uint64_t linear, unsigned size,
                          uint64_t *value, struct insn_fault *fault)
{
    struct vm *vm = opaque;
    bool in_64bit = vcpu_in_64bit_code(&vm->vcpu);
    unsigned first = (unsigned)MIN(PAGE - (linear & (PAGE - 1)), (uint64_t)size);
    uint64_t second_linear = in_64bit ? linear + first : (uint32_t)(linear + first);
    uint64_t gpa, second = 0;

    if (!translate_piece(vm, access, linear, &gpa, fault))
        return false;
    if (first < size && !translate_piece(vm, access, second_linear, &second, fault))
        return false;
    if (access == INSN_READ || access == INSN_READ_MODIFY) {
        *value = read_piece(vm, gpa, first);
        if (first < size)
            *value |= read_piece(vm, second, size - first) << (first * 8);
    } else if (access == INSN_WRITE) {
        write_piece(vm, gpa, first, *value);
        if (first < size)
            write_piece(vm, second, size - first, *value >> (first * 8));
    }
    return true;
}

static void access_port(void *opaque, bool is_in, uint16_t port, unsigned size, uint32_t *value)
{
    struct vm *vm = opaque;

    if (is_in)
        *value = (uint32_t)bus_read(&vm->ports, port, size);
    else
        bus_write(&vm->ports, port, size, *value);
    guest_trace_access(vm, is_in ? "in" : "out", port, size, *value);
}

/* The byte at RIP + offset is not to be had: the page fault of the guest's own tables, where they give one.
 */
static void raise_fetch_fault(struct vm *vm, unsigned offset)
{
    uint64_t linear = fetch_linear(vm, offset);
    struct walk_result result;

    fetch_forget(&vm->fetch); /* the walk leaves its entries there */
    if (translate_fetch(vm, linear, &result) != WALK_FAULT)
        return;
    vcpu_set_cr2(&vm->vcpu, linear);
    vm_raise(vm, INSN_VECTOR_PF, true, result.error_code);
}

/* Fetches and decodes at RIP. False: nothing could be done, an exception is pending or the guest simply runs
 * on. */
static bool decode(struct vm *vm, struct insn *insn)
{
    uint8_t bytes[15];
    struct vcpu_segment cs;
    unsigned count = fetch_instruction(vm, bytes);

    if (!count) {
        raise_fetch_fault(vm, 0);
        return false;
    }
    vcpu_get_segment(&vm->vcpu, SEGMENT_CS, &cs);
    switch (insn_decode(bytes, count, insn_mode_of(vcpu_in_64bit_code(&vm->vcpu), cs.attributes), insn)) {
    case INSN_OK:
        return true;
    case INSN_INVALID:
        vm_raise(vm, INSN_VECTOR_UD, false, 0);
        return false;
    default: /* cut off */
        raise_fetch_fault(vm, count);
        return false;
    }
}

/* Between two iterations of REP interrupts and single-step traps are taken; RF stays, so that a breakpoint on
 * the instruction hits once. */
static void end_iteration(struct vm *vm)
{
    uint64_t resume = *vm->vcpu.rflags & RFLAGS_RF;

    vm_complete_instruction(vm, 0);
    *vm->vcpu.rflags |= resume;
}

static void finish(struct vm *vm, const struct insn *insn, const struct insn_regs *regs,
                   const struct insn_result *result)
{
    switch (result->status) {
    case INSN_DONE:
        store_regs(vm, regs);
        vm_complete_instruction(vm, insn->length);
        return;
    case INSN_CONTINUE:
        store_regs(vm, regs);
        end_iteration(vm);
        return;
    case INSN_FAULT:
        store_regs(vm, regs);
        if (result->fault.vector == VECTOR_RETRY)
            return;
        if (result->fault.vector == INSN_VECTOR_PF)
            vcpu_set_cr2(&vm->vcpu, result->fault.cr2);
        vm_raise(vm, result->fault.vector, result->fault.has_error_code, result->fault.error_code);
        return;
    default:
        log_error("%s: instruction at rip %llx can't be carried out on trapped memory", vm->name,
                  (unsigned long long)*vm->vcpu.rip);
        vm_crash(vm, "unsupported instruction on unmapped memory");
        return;
    }
}

void emulate_memory(struct vm *vm, const struct exit *exit)
{
    const struct insn_bus bus = {access_memory, access_port, vm};
    struct insn_result result;
    struct insn_regs regs;
    struct insn insn;
    /* An address that the guest's CPU doesn't have, only the wider one that it runs on: its tables' reserved
       bits, for which the walks below raise #PF. (Those of CR3 itself they would mask.) */
    bool too_wide = exit->memory.gpa >> vm->phys_bits && !(vcpu_cr3(&vm->vcpu) >> vm->phys_bits);

    if (exit->memory.fetch && !too_wide) {
        vm_crash(vm, "executes where there is no memory");
        return;
    }
    if ((exit->memory.walk && !too_wide) || vm->vcpu.event.valid) {
        vm_crash(vm, "has page tables or an exception's stack where there is no memory");
        return;
    }
    if (!decode(vm, &insn))
        return; /* #UD, or its bytes are gone: executed again, it faults by itself */
    vm_charge(vm, CHARGE_MMIO);
    load_regs(vm, &regs);
    insn_execute(&regs, &insn, &bus, 1, &result);
    finish(vm, &insn, &regs, &result);
}

void emulate_string_io(struct vm *vm)
{
    const struct insn_bus bus = {access_memory, access_port, vm};
    struct insn_result result;
    struct insn_regs regs;
    struct insn insn;

    if (!decode(vm, &insn))
        return;
    vm_charge(vm, CHARGE_PORT);
    load_regs(vm, &regs);
    insn_string_io(&regs, &insn, &bus, &result);
    finish(vm, &insn, &regs, &result);
}
