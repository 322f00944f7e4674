/* ACPI power-management timer: a counter computed when read. Contract, sources and choices: acpi_pm_timer.h.
 */
#include "devices/acpi_pm_timer.h"
#include "lib/string.h"

static uint64_t port_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct acpi_pm_timer *timer = opaque;
    uint32_t count = (uint32_t)grid_edges(&timer->ticks, guest_clock_now(timer->clock)) & timer->mask;

    return (uint64_t)(count >> (offset & 3) * 8) & (BIT64(width * 8) - 1);
}

static void port_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    (void)opaque;
    (void)offset;
    (void)width;
    (void)value;
}

static void nothing_to_do(void *opaque)
{
    (void)opaque;
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write};

void acpi_pm_timer_init(struct acpi_pm_timer *timer, const struct guest_clock *clock, uint16_t port,
                        unsigned bits)
{
    memset(timer, 0, sizeof(*timer));
    timer->clock = clock;
    timer->mask = bits == 32 ? UINT32_MAX : (uint32_t)(BIT(24) - 1);
    grid_init(&timer->ticks, guest_clock_hz(clock), 39375000, 11);
    timer->region = (struct bus_region){port, 4, 1 | 2 | 4, &port_ops, timer, "acpi pm timer"};
    timer->device = (struct device){
        .name = "acpi_pm_timer",
        .opaque = timer,
        .reset = nothing_to_do,
        .restored = nothing_to_do,
    };
}
