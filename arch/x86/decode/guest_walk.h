/*
 * Translates a guest's linear address to a guest-physical one by the guest's own page tables, with all
 * permission checks, and sets the Accessed and Dirty bits as the CPU would. Covers no paging, 32-bit paging
 * (with PSE and PSE-36), PAE, 4 levels, and 5 levels when CR4.LA57 is set. Pure: registers come in a struct,
 * memory through two callbacks. Called by the run loop around insn_execute().
 *
 * Left out: protection keys (hidden in CPUID), shadow stacks, segmentation and the canonical check's
 * exception (the caller's). PAE reads its PDPTEs at each walk, as AMD CPUs do for guests with nested paging;
 * where the CPU keeps those that were loaded with CR3 (Intel), the callback gives them.
 *
 * Choices where manuals leave room (tests/unit/test_guest_walk.c: choices):
 *  1. Accessed and Dirty bits are written only when the whole walk has succeeded, upper levels first; a
 *     fault leaves all tables alone.
 *  2. A level's entry is looked at in the order present, reserved bits; permissions are checked after the
 *     last level.
 *  3. The error code has I/D set for a fetch when NX or SMEP is on, else not; on a reserved-bit fault P and
 *     RSVD are set.
 *  4. 4 MB pages take address bits 39:32 from entry bits 20:13 as far as maxphyaddr goes; bit 21 and the
 *     bits beyond are reserved.
 *  5. A PAE PDPTE with reserved bits faults with RSVD; it carries no R/W, U/S, NX or Accessed bit. Bit 5 is
 * let pass: QEMU's own walker sets it there as if it were Accessed.
 *  6. If an entry changes under the walk (other vCPUs), it starts over; after WALK_ATTEMPTS times the
 *     result is WALK_RETRY.
 *
 * Sources: AMD APM vol. 2, "Page Translation and Protection" ("Legacy-Mode Page Translation", "Long-Mode Page
 * Translation", "Page-Protection Checks"), "Page-Fault Exception (#PF)"; Intel SDM vol. 3, "Paging".
 */
#ifndef ARCH_X86_DECODE_GUEST_WALK_H
#define ARCH_X86_DECODE_GUEST_WALK_H

#include "lib/base.h"

#define WALK_ATTEMPTS 8

struct walk_context {
    uint64_t cr0;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t efer;
    bool rflags_ac;
    uint8_t cpl;              /* 3: user */
    uint8_t maxphyaddr;       /* bits of a guest-physical address: 32 to 52 */
    bool no_1g_pages;         /* CPUID hides them: PS is reserved in a PDPTE */
    bool global_bit_reserved; /* bit 8 of a PML4E, PML5E and non-leaf PDPTE is reserved: AMD yes, Intel no */
};

enum walk_access {
    WALK_READ,
    WALK_WRITE,
    WALK_EXECUTE,
    WALK_IMPLICIT_READ, /* the CPU's own: descriptor tables, TSS: supervisor whatever the CPL, SMAP whatever
                           AC */
    WALK_IMPLICIT_WRITE,
};

/* Table entries of 4 or 8 bytes, naturally aligned, at guest-physical addresses below 2^maxphyaddr. */
struct walk_memory {
    /* Memory that isn't there reads as all ones. */
    uint64_t (*read)(void *opaque, uint64_t gpa, unsigned size);
    /*
     * Atomically: if the entry is `expected`, make it `desired`. False only if it was something else; memory
     * that ignores writes (ROM) returns true. NULL: a walk that leaves no trace (debugger).
     */
    bool (*compare_exchange)(void *opaque, uint64_t gpa, unsigned size, uint64_t expected, uint64_t desired);
    void *opaque;
};

enum walk_status {
    WALK_OK,
    WALK_FAULT,         /* #PF with error_code; CR2 is the linear address */
    WALK_NOT_CANONICAL, /* #GP or #SS: the caller should have checked */
    WALK_RETRY,         /* run the guest again at the same instruction */
};

/* #PF error code bits. */
enum {
    WALK_ERROR_P = 1 << 0,
    WALK_ERROR_RW = 1 << 1,
    WALK_ERROR_US = 1 << 2,
    WALK_ERROR_RSVD = 1 << 3,
    WALK_ERROR_ID = 1 << 4
};

struct walk_result {
    uint64_t gpa;        /* WALK_OK; not masked by A20 */
    uint64_t page_size;  /* in bytes: 4 KB, 2 MB, 4 MB, 1 GB; without paging 4 KB */
    uint32_t error_code; /* WALK_FAULT */
};

/* Outside long mode `linear` is cut to 32 bits. */
enum walk_status guest_walk(const struct walk_context *context, const struct walk_memory *memory,
                            uint64_t linear, enum walk_access access, struct walk_result *result);

#endif
