/*
 * The oracle of the 8254's clock: on which TSC cycle is edge k. Two grids:
 *   GRID_VERGE  the documented one: CLK = 13,125,000/11 Hz, edge k at ceil(k f 11 / 13125000) from the
 * guest's reset, where TSC is 0; GRID_QEMU   bare QEMU 7.2: 1,193,182 Hz counted from the write of the count,
 * the TSC one cycle per ns of virtual time (shift=0). All times are TSC cycles.
 */
#ifndef GUEST_GRID_H
#define GUEST_GRID_H

#include "tests/guests/lib/guest.h"

enum grid_kind { GRID_VERGE, GRID_QEMU };

struct grid {
    enum grid_kind kind;
    uint64_t f;    /* TSC cycles per second */
    uint64_t base; /* GRID_QEMU: the TSC at edge 0; set by grid_loaded */
};

void grid_start(struct grid *grid); /* from the words grid= and f= */
/* A count was written by an access that ended at `end_tsc`: the edge at which it loads. */
uint64_t grid_loaded(struct grid *grid, uint64_t end_tsc);
uint64_t grid_edge(const struct grid *grid, uint64_t k);
/* Edges seen by the moment `tsc`: the last k with edge(k) <= tsc. */
uint64_t grid_edges_by(const struct grid *grid, uint64_t tsc);
/* Edges from load to IRQ 0's first rise beyond the count: 1 in mode 4 (on bare QEMU: in mode 2). */
uint64_t grid_rise_delay(const struct grid *grid, unsigned mode);

#endif
