/*
 * Intel 8254 programmable interval timer at ports 40h to 43h: three counters, complete (modes 0 to 5, BCD,
 * latches, read-back, gates).
 *
 * Time: all counters share the CLK grid of the VM, 13125000/11 Hz, edge k at ceil(k * f * 11 / 13125000)
 * guest cycles. What a bus access that ends at g changes, takes effect at the first edge strictly after g;
 * what the datasheet says happens without a CLK, at g. Counters are computed when read. A channel whose OUT
 * line is connected has one deadline, at the next change of OUT; one that nobody listens to has none.
 *
 * Wiring (guest/): i8254_init(), irq_line_connect() on out[] where somebody listens, i8254_set_gate() for the
 * gates tied high, bus_add() of region, then device.reset(). Everything is called on the CPU that owns the
 * VM. An OUT line's sink may call back into the PIT.
 *
 * Source: Intel 8254 Programmable Interval Timer (231164).
 */
#ifndef DEVICES_I8254_H
#define DEVICES_I8254_H

#include "devices/i8254_counter.h"
#include "hv/devapi/bus.h"
#include "hv/devapi/clock.h"
#include "hv/devapi/deadline.h"
#include "hv/devapi/device.h"
#include "hv/devapi/irq_line.h"
#include "lib/ratio.h"

/* CLK in Hz is NUM / DEN: grid_init(&grid, guest_clock_hz(clock), I8254_HZ_NUM, I8254_HZ_DEN). */
#define I8254_HZ_NUM 13125000u
#define I8254_HZ_DEN 11u

#define I8254_CHANNELS      3u
#define I8254_PORT          0x40u
#define I8254_STATE_VERSION 1u

struct i8254_state {
    struct i8254_counter counter[I8254_CHANNELS];
};

struct i8254;

/* The clockwork of one channel: rebuilt from the state, never saved. */
struct i8254_timer {
    struct deadline deadline;
    uint64_t change_edge; /* where OUT changes next; I8254_NEVER when it does not or when nobody listens */
    struct i8254 *pit;
    unsigned channel;
};

struct i8254 {
    struct i8254_state state;
    const struct guest_clock *clock;
    const struct grid *grid;
    struct i8254_timer timer[I8254_CHANNELS];
    struct i8254_glide glide[I8254_CHANNELS]; /* of each counter; rebuilt like the timers */
    struct irq_line
        out[I8254_CHANNELS]; /* OUT pins; the level of an unconnected one is not kept: i8254_out() */
    struct bus_region region;
    struct device device;
};

/* clock, grid and queue belong to the VM and outlive the PIT. All gates are low. */
void i8254_init(struct i8254 *pit, const struct guest_clock *clock, const struct grid *grid,
                struct deadline_queue *queue);

/* The level of a gate pin, now. channel: 0 to 2. */
void i8254_set_gate(struct i8254 *pit, unsigned channel, bool level);

/* The level of an OUT pin, now. channel: 0 to 2. */
bool i8254_out(struct i8254 *pit, unsigned channel);

#endif
