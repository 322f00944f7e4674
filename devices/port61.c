/*
 * System control port B; the contract is in port61.h. Called during a bus access, in the monitor.
 *
 * The refresh toggle is derived from the PIT's CLK grid and not from channel 1: a PC/AT refreshes every 18
 * CLKs, about 15.085 us, and the bit changes once for each. Choices: the toggle is 0 at guest cycle 0 and
 * goes on whatever the guest does to channel 1; there are no parity or I/O check errors, so bits 6 and 7 read
 * 0 and their enables (bits 2 and 3) are only kept. Pinned by tests/unit/test_port61.c.
 */
#include "devices/port61.h"

#define GATE2          BIT(0)
#define SPEAKER_DATA   BIT(1)
#define WRITABLE       0x0fu /* and RAM parity and I/O check enable */
#define REFRESH_TOGGLE BIT(4)
#define OUT2           BIT(5)

#define REFRESH_CLKS 18u

static bool out2(const struct port61 *port)
{
    return port->out2 && port->out2(port->out2_opaque);
}

bool port61_speaker(const struct port61 *port)
{
    return (port->state.control & SPEAKER_DATA) && out2(port);
}

static void set_control(struct port61 *port, uint8_t control)
{
    port->state.control = control & WRITABLE;
    irq_line_set(&port->gate2, control & GATE2);
}

static uint64_t bus_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct port61 *port = opaque;
    uint64_t refreshes = grid_edges(port->grid, guest_clock_now(port->clock)) / REFRESH_CLKS;

    (void)offset;
    (void)width;
    return port->state.control | (refreshes % 2 ? REFRESH_TOGGLE : 0) | (out2(port) ? OUT2 : 0);
}

static void bus_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    (void)offset;
    (void)width;
    set_control(opaque, (uint8_t)value);
}

static void reset(void *opaque)
{
    set_control(opaque, 0);
}

static void restored(void *opaque)
{
    struct port61 *port = opaque;

    set_control(port, port->state.control);
}

static const struct bus_ops ops = {bus_read, bus_write};

void port61_init(struct port61 *port, const struct guest_clock *clock, const struct grid *grid)
{
    *port = (struct port61){
        .clock = clock,
        .grid = grid,
        .region = {PORT61_PORT, 1, 1, &ops, port, "port 61h"},
        .device = {"port61", port, reset, &port->state, sizeof(port->state), PORT61_STATE_VERSION, restored},
    };
}
