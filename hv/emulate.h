/* Instructions that the monitor carries out through the decoder: accesses to trapped memory, and INS and
 * OUTS. */
#ifndef HV_EMULATE_H
#define HV_EMULATE_H

#include "hv/vm.h"

/* The instruction at RIP touched guest-physical memory that is not mapped. */
void emulate_memory(struct vm *vm, const struct exit *exit);

/* One iteration of the INS or OUTS at RIP. */
void emulate_string_io(struct vm *vm);

#endif
