/*
 * What a device answers on the port or memory bus. A region is a base, a length, the access widths that it
 * takes, and its operations. The bus refuses overlaps, splits an access of a width that the region does not
 * take into narrower ones (low address first), makes the offset relative, and answers unclaimed reads with
 * all ones, counted. A handler never charges time.
 */
#ifndef HV_DEVAPI_BUS_H
#define HV_DEVAPI_BUS_H

#include "lib/base.h"

struct bus;

struct bus_ops {
    /* offset: from the region's base. width: 1, 2, 4 or 8 bytes, one that the region takes. */
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned width);
    void (*write)(void *opaque, uint64_t offset, unsigned width, uint64_t value);
};

struct bus_region {
    uint64_t base;
    uint64_t length;
    unsigned widths; /* a mask: 1 | 2 | 4 | 8; must hold 1 unless base and length are multiples of the
                        smallest width */
    const struct bus_ops *ops;
    void *opaque;
    const char *name; /* device and register block, for the log: "i8254 counters" */
};

/* The region must outlive the bus. Returns NULL, or the region that it overlaps (nothing is added then). */
const struct bus_region *bus_add(struct bus *bus, const struct bus_region *region);

#endif
