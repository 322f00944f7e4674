/*
 * Exit handlers: what each kind of exit means for the guest. The clock stands behind the exit's charge and
 * every deadline due by then has run, when a handler is called; what it returns tells the run loop what
 * becomes of the instruction.
 */
#ifndef HV_EXITS_H
#define HV_EXITS_H

#include "hv/vm.h"

#define RFLAGS_TF BIT64(8)
#define RFLAGS_IF BIT64(9)
#define RFLAGS_RF BIT64(16)

#define VECTOR_DB  1
#define VECTOR_NMI 2
#define VECTOR_UD  6
#define VECTOR_GP  13
#define VECTOR_MC  18

/* One handler for each kind of exit; vm->vcpu.exit is what happened. */
typedef enum handled exit_handler(struct vm *vm);
extern exit_handler *const exit_handlers[EXIT_KINDS];
exit_handler handle_hypercall; /* a test build has its own */

/* Sets the VM's charges: each = 0 for what hardware takes, else that many cycles for each instruction. */
void exits_set_charges(struct vm *vm, uint64_t each);

/* The guest could take an external interrupt at the next entry. */
static inline bool vm_interruptible(const struct vm *vm)
{
    return *vm->vcpu.rflags & RFLAGS_IF && !(*vm->vcpu.shadow & VCPU_SHADOW) && !vm->vcpu.event.valid;
}

/* An NMI waits, and the guest could take it at the next entry. */
static inline bool vm_takes_nmi(struct vm *vm)
{
    return vm_nmi_waits(vm) && !vm->vcpu.event.valid && !vcpu_nmi_blocked(&vm->vcpu);
}

/* Raises an exception at the present instruction. */
void vm_raise(struct vm *vm, uint8_t vector, bool has_error, uint32_t error);

/*
 * Completes the instruction of `length` bytes for the guest: moves RIP past it, ends the interrupt shadow,
 * clears RF, and with TF set raises #DB behind it. Source: AMD64 APM vol. 2 "RFLAGS Register", "Single
 * Stepping".
 */
void vm_complete_with_care(struct vm *vm, unsigned length);

/* The one place where the monitor moves RIP, but for what needs care: flags to heed, or an end of 64 KB,
 * where RIP might have to wrap. */
static inline void vm_complete_instruction(struct vm *vm, unsigned length)
{
    struct vcpu *vcpu = &vm->vcpu;
    uint64_t next = *vcpu->rip + length;

    if (__builtin_expect((*vcpu->rip ^ next) >> 16 || *vcpu->rflags & (RFLAGS_TF | RFLAGS_RF), 0)) {
        vm_complete_with_care(vm, length);
        return;
    }
    *vcpu->rip = next;
    *vcpu->shadow = 0;
}

#endif
