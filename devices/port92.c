/* System control port A; what it models is in port92.h. */
#include "devices/port92.h"

#define PORT92_FAST_RESET 0x01
#define PORT92_A20        0x02

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct port92 *port92 = opaque;

    (void)offset;
    (void)width;
    return port92->state.value;
}

static void port92_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct port92 *port92 = opaque;
    uint8_t old = port92->state.value;

    (void)offset;
    (void)width;
    port92->state.value = (uint8_t)(value & (PORT92_A20 | PORT92_FAST_RESET));
    if (~old & port92->state.value & PORT92_FAST_RESET && port92->request_reset)
        port92->request_reset(port92->opaque);
}

static void port92_reset(void *opaque)
{
    struct port92 *port92 = opaque;

    port92->state.value = PORT92_A20;
}

static void port92_restored(void *opaque)
{
    struct port92 *port92 = opaque;

    port92->state.value &= PORT92_A20 | PORT92_FAST_RESET;
}

bool port92_a20(const struct port92 *port92)
{
    return port92->state.value & PORT92_A20;
}

void port92_set_a20(struct port92 *port92, bool enabled)
{
    port92->state.value = (uint8_t)((port92->state.value & ~PORT92_A20) | (enabled ? PORT92_A20 : 0));
}

void port92_init(struct port92 *port92, void (*request_reset)(void *opaque), void *opaque)
{
    static const struct bus_ops ops = {port92_read, port92_write};

    port92->request_reset = request_reset;
    port92->opaque = opaque;
    port92->ports = (struct bus_region){.base = 0x92,
                                        .length = 1,
                                        .widths = 1,
                                        .ops = &ops,
                                        .opaque = port92,
                                        .name = "port92 system control"};
    port92->device = (struct device){.name = "port92",
                                     .opaque = port92,
                                     .reset = port92_reset,
                                     .state = &port92->state,
                                     .state_size = sizeof(port92->state),
                                     .state_version = PORT92_STATE_VERSION,
                                     .restored = port92_restored};
    port92_reset(port92);
}
