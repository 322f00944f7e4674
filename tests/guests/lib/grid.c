/* The 8254's clock edges in TSC cycles, straight from the formula. See grid.h. */
#include "tests/guests/lib/grid.h"

#define VERGE_CLK_NUMERATOR   13125000u
#define VERGE_CLK_DENOMINATOR 11u
#define QEMU_CLK_HZ           1193182u

void grid_start(struct grid *grid)
{
    *grid = (struct grid){.kind = word_is("grid", "qemu") ? GRID_QEMU : GRID_VERGE, .f = tsc_hz()};
}

uint64_t grid_loaded(struct grid *grid, uint64_t end_tsc)
{
    if (grid->kind == GRID_QEMU) {
        grid->base = end_tsc;
        return 0;
    }
    return grid_edges_by(grid, end_tsc) + 1;
}

uint64_t grid_edge(const struct grid *grid, uint64_t k)
{
    if (grid->kind == GRID_QEMU)
        return grid->base + wide_divide(wide_multiply(k, grid->f), QEMU_CLK_HZ);
    return wide_divide_up(wide_multiply(k, grid->f) * VERGE_CLK_DENOMINATOR, VERGE_CLK_NUMERATOR);
}

uint64_t grid_edges_by(const struct grid *grid, uint64_t tsc)
{
    if (grid->kind == GRID_QEMU)
        return wide_divide(wide_multiply(tsc - grid->base, QEMU_CLK_HZ), grid->f);
    return wide_divide(wide_multiply(tsc, VERGE_CLK_NUMERATOR), grid->f * VERGE_CLK_DENOMINATOR);
}

uint64_t grid_rise_delay(const struct grid *grid, unsigned mode)
{
    return mode == (grid->kind == GRID_VERGE ? 4 : 2);
}
