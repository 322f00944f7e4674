/* Exit handlers: what each kind of exit means for the guest. Only the run loop and complete() move RIP. */
#ifndef HV_EXITS_H
#define HV_EXITS_H

#include "hv/vm.h"

/* Carries out what the guest wanted when it left. The clock stands on the moment of the exit and every deadline due has run. */
void exit_handle(struct vm *vm, const struct exit *exit);

/* The guest could take an external interrupt at the next entry. */
bool vm_interruptible(const struct vm *vm);

/* Raises an exception at the present instruction. */
void vm_raise(struct vm *vm, uint8_t vector, bool has_error, uint32_t error);

/*
 * Completes the instruction of `length` bytes for the guest: moves RIP past it, ends the interrupt shadow, clears RF, and with TF set raises #DB behind
 * it. The one place where the monitor moves RIP. Source: AMD64 APM vol. 2 "RFLAGS Register", "Single Stepping".
 */
void vm_complete_instruction(struct vm *vm, unsigned length);

#endif
