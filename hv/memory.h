/*
 * A guest's physical memory: a small list of slots, each a piece of guest-physical address space with a kind
 * and a priority, flattened into sorted ranges that do not overlap. RAM is split around the hole below 4 GB
 * from the start. All access to guest memory by the monitor goes through the functions below: they cross
 * slots, check everything before the first byte moves, and call the dirty hook.
 *
 * Left out: the nested page tables (arch/) and what a TRAP range answers (hv/bus.h). Called in the monitor on
 * the CPU that owns the VM, and by host tests as it is; nothing here allocates. Units: bytes; `gpa` is a
 * guest-physical address.
 */
#ifndef HV_MEMORY_H
#define HV_MEMORY_H

#include "lib/base.h"

#define MEMORY_PAGE UINT64_C(0x1000)
/* AMD64 APM vol. 2, "Long-Mode Page Translation": 52 physical address bits. */
#define MEMORY_GPA_LIMIT BIT64(52)
/* Devices live in the hole; the RAM that does not fit below goes on behind it. */
#define MEMORY_HOLE_START UINT64_C(0xC0000000)
#define MEMORY_HOLE_END   UINT64_C(0x100000000)
#define MEMORY_SLOTS      16

enum memory_kind {
    MEMORY_NONE,  /* in an answer only: nothing is there */
    MEMORY_RAM,   /* read and written */
    MEMORY_ROM,   /* read; what the guest writes is ignored */
    MEMORY_ALIAS, /* a second address of a part of a RAM or ROM slot, whose kind its ranges show */
    MEMORY_TRAP,  /* each access exits and goes to the MMIO bus; covers what lies under it */
};

struct memory_slot {
    uint64_t gpa;           /* a multiple of MEMORY_PAGE, as are length and target_offset */
    uint64_t length;        /* bytes, not 0; gpa + length at most MEMORY_GPA_LIMIT */
    enum memory_kind kind;  /* not MEMORY_NONE */
    int priority;           /* the highest wins where slots overlap, and the later added one on ties */
    uint8_t *host;          /* RAM and ROM: `length` bytes; NULL otherwise */
    unsigned target;        /* ALIAS: the number of a RAM or ROM slot ... */
    uint64_t target_offset; /* ... and where in it the alias begins; it must end inside */
    bool disabled;          /* kept, but not there */
    const char *name;       /* for the log */
};

/* A piece of address space that one slot rules alone; as large as it can be. */
struct memory_range {
    uint64_t start;
    uint64_t end;          /* the first byte behind it */
    enum memory_kind kind; /* RAM, ROM or TRAP */
    unsigned slot;         /* whose; for an alias the alias, not its target */
    uint8_t *host;         /* of `start`; NULL for TRAP */
    uint64_t
        backing_gpa; /* of `start` in the slot that owns the bytes: differs from start in an alias only */
};

/* RAM was written by the monitor. gpa: in the slot that owns the bytes, never an alias. */
typedef void memory_dirty_hook(void *opaque, uint64_t gpa, uint64_t length);

struct guest_memory {
    struct memory_slot slots[MEMORY_SLOTS];
    unsigned slot_count;
    struct memory_range ranges[2 * MEMORY_SLOTS]; /* sorted by start */
    unsigned range_count;
    uint32_t generation; /* grows with each change of the ranges: whoever mapped pages from them owes an unmap
                            and a flush */
    uint64_t ram_bytes;  /* all that guest_mem_add_ram() was given */
    memory_dirty_hook *dirty; /* may be NULL */
    void *dirty_opaque;
};

void guest_mem_init(struct guest_memory *memory);

/* How many of ram_bytes lie below the hole; the rest begins at MEMORY_HOLE_END. */
uint64_t guest_mem_low_bytes(uint64_t ram_bytes);

/* Adds `bytes` of contiguous host memory to the guest's RAM, behind what it has already, as one or two slots
 * of priority 0. False when it is malformed or the list is full: then nothing has changed. */
bool guest_mem_add_ram(struct guest_memory *memory, uint8_t *host, uint64_t bytes);

/* Adds a copy of *slot. Returns its number, or -1 when it is malformed or the list is full: then nothing has
 * changed. */
int guest_mem_add(struct guest_memory *memory, const struct memory_slot *slot);

/* Moves a slot, and shows or hides it. False when it is malformed there: then nothing has changed. */
bool guest_mem_change(struct guest_memory *memory, unsigned slot, uint64_t gpa, bool enabled);

/* The range that holds gpa, or NULL when nothing is there. Valid until the next change. */
const struct memory_range *guest_mem_slot(const struct guest_memory *memory, uint64_t gpa);

/* Copies `length` bytes (0 is fine) out of, or into, guest memory across ranges. False when any byte is not
 * RAM or ROM (written: not RAM) or the address wraps: then nothing was copied. */
bool guest_mem_read(const struct guest_memory *memory, uint64_t gpa, void *buffer, size_t length);
bool guest_mem_write(struct guest_memory *memory, uint64_t gpa, const void *buffer, size_t length);

/* The host address of `length` bytes (not 0) of RAM within one range, or NULL. Who writes through it calls
 * guest_mem_dirty(). Copy before you check: a guest on another CPU may change what it points to. Valid until
 * the next change. */
uint8_t *guest_mem_map(struct guest_memory *memory, uint64_t gpa, uint64_t length);

/* Reports bytes written through guest_mem_map(). */
void guest_mem_dirty(struct guest_memory *memory, uint64_t gpa, uint64_t length);

#endif
