/*
 * The guest's linear addresses: its own page tables, walked with the registers that it has now. For exit
 * handlers on the owning CPU.
 */
#ifndef HV_TRANSLATE_H
#define HV_TRANSLATE_H

#include "arch/x86/decode/guest_walk.h"
#include "hv/vm.h"

/* Walks with full permission checks at the guest's privilege level; sets Accessed and Dirty bits. */
enum walk_status translate(struct vm *vm, uint64_t linear, enum walk_access access,
                           struct walk_result *result);

/* The same for fetching at CS:RIP, remembering the 8-byte entries that were read in the VM's fetch cache. */
enum walk_status translate_fetch(struct vm *vm, uint64_t linear, struct walk_result *result);

#endif
