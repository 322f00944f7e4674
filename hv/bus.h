/*
 * The port bus and the MMIO bus of a VM, behind devapi/bus.h. A port is found by two table look-ups, an MMIO
 * address by a binary search over a few sorted regions. Nothing allocates, loops over more than eight bytes,
 * or charges time: that is the exit handlers'.
 *
 * Called in the monitor on the CPU that owns the VM. A handler may not call back into the same bus.
 *
 * What the buses' specifications leave open, and what Verge does (tests/unit/test_bus.c pins each):
 * 1. An access that is unaligned, wider than the region takes, or crosses the region's end becomes several:
 *    at each address, low first, the widest that the region takes, that is naturally aligned and that fits.
 *    So a device never sees an unaligned access.
 * 2. Bytes of a region that it takes only in wider pieces: a read fetches the piece and picks the bytes; a
 *    write of them is dropped and counted as unclaimed.
 * 3. Unclaimed bytes read as ones; written, they are dropped. An access with such bytes is counted once, by
 *    its first such address.
 * 4. Bytes past port FFFFh, or past the last address, are unclaimed: they do not wrap to 0.
 */
#ifndef HV_BUS_H
#define HV_BUS_H

#include "hv/devapi/bus.h"

#define BUS_REGIONS    48
#define BUS_PORT_PAGES 24 /* pages of 256 ports that have at least one region */

enum bus_kind { BUS_PORTS, BUS_MMIO };

struct bus_counters {
    uint64_t unclaimed_reads;
    uint64_t unclaimed_writes;
    uint64_t last_unclaimed; /* address; 0 when none */
};

struct bus {
    enum bus_kind kind;
    unsigned region_count;
    /* BUS_PORTS: in the order added, number 0 left free for "none"; BUS_MMIO: sorted by base. */
    const struct bus_region *regions[BUS_REGIONS + 1];
    unsigned page_count;
    uint8_t page_of[256];                       /* port / 256 -> page; page 0 is empty and shared */
    uint8_t region_at[BUS_PORT_PAGES + 1][256]; /* page, port % 256 -> region number */
    struct bus_counters counters;
};

/* What bus_add() returns for a region that it refuses though it overlaps none; the name says why. */
extern const struct bus_region
    bus_region_malformed; /* length 0, past the end, no operations, impossible widths */
extern const struct bus_region bus_region_no_room;

void bus_init(struct bus *bus, enum bus_kind kind);

/* width: 1 to 8 bytes (the bus takes any; a larger one counts as 8). Returns the value in the low bytes, the
 * rest 0. */
uint64_t bus_read(struct bus *bus, uint64_t address, unsigned width);
void bus_write(struct bus *bus, uint64_t address, unsigned width, uint64_t value);

/* For an IN or OUT, on the path of an exit: the plain case, a byte of a region that takes bytes, is one call.
 */
static inline const struct bus_region *bus_port_region(const struct bus *bus, uint16_t port)
{
    return bus->regions[bus->region_at[bus->page_of[port >> 8]][port & 0xFF]];
}

static inline void bus_write_port(struct bus *bus, uint16_t port, unsigned width, uint64_t value)
{
    const struct bus_region *region = bus_port_region(bus, port);

    if (!region || width != 1 || !(region->widths & 1))
        bus_write(bus, port, width, value);
    else
        region->ops->write(region->opaque, port - region->base, 1, (uint8_t)value);
}

/* The region that holds address, or NULL. */
const struct bus_region *bus_find(const struct bus *bus, uint64_t address);

#endif
