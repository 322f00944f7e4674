/*
 * A guest-physical address space: the nested page tables (NPT, EPT) of one VM. Every change goes through one
 * function that records the flush owed; the world switch pays it at the next entry and asserts that none is
 * left.
 */
#ifndef ARCH_X86_API_NESTED_H
#define ARCH_X86_API_NESTED_H

#include "lib/base.h"

struct nested {
    uint64_t root;   /* host-physical address of the top table */
    uint32_t tag;    /* ASID or VPID, never 0 */
    bool shared_tag; /* the CPU has too few for a tag of its own: a flush at each change of hands */
    bool flush_owed; /* a translation was narrowed or removed since the last entry */
    bool *attention; /* of the vCPU whose next entry pays it; NULL: there is none yet */
};

/* A new address space without a page. `number` is unique: 0 for the calibration, 1 and up for VMs. */
void nested_init(struct nested *nested, uint32_t number);

/* The next entry flushes: for whoever changes what translations mean otherwise. */
void nested_owe_flush(struct nested *nested);

/* Bytes that the tables for `size` bytes of guest memory take at the most, in the few ranges that a PC has.
 */
uint64_t nested_tables_most(uint64_t size);

/* Maps [gpa, gpa + size) to hpa, in the largest pages that fit. All multiples of 4 KB. Allocates tables: at
 * VM creation only. */
void nested_map(struct nested *nested, uint64_t gpa, uint64_t hpa, uint64_t size, bool writable);

/* Removes the whole leaf that holds gpa, leaving its tables; false when none was there. */
bool nested_unmap(struct nested *nested, uint64_t gpa);

/* Puts back the leaf that holds gpa after nested_unmap(); false when there never was one, or it is there.
 * Allocates nothing. */
bool nested_restore(struct nested *nested, uint64_t gpa);

#endif
