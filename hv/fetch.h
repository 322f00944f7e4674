/*
 * Guest instruction bytes at RIP. The walk of the guest's page tables is remembered with the entries that it
 * read: while those hold the same values, the translation is the same (a TLB that can't be stale), so that
 * the common exits need no walk.
 */
#ifndef HV_FETCH_H
#define HV_FETCH_H

#include "lib/base.h"

struct vm;

#define FETCH_LEVELS 4

struct fetch_cache {
    uint64_t page; /* linear page; UINT64_MAX: nothing is remembered */
    uint64_t cr3;
    const uint8_t *host;
    unsigned levels;
    const uint64_t *entry[FETCH_LEVELS]; /* 8-byte entries of the guest's tables, in host memory */
    uint64_t value[FETCH_LEVELS];
};

void fetch_forget(struct fetch_cache *cache);

/* The linear address of the byte at CS:RIP + offset. */
uint64_t fetch_linear(const struct vm *vm, unsigned offset);

/* Copies up to 15 bytes at CS:RIP; returns how many could be read. */
unsigned fetch_instruction(struct vm *vm, uint8_t bytes[15]);

/* Length of the instruction at CS:RIP; 0 when it can't be read or decoded. In 64-bit code the vCPU remembers
 * it (struct instruction_memo). */
unsigned fetch_instruction_length(struct vm *vm);

/* For MOV CRn, register and LMSW register at CS:RIP: the value to write. False when it is none of these. */
bool fetch_cr_operand(struct vm *vm, uint64_t *value);

#endif
