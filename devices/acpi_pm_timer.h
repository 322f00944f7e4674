/*
 * The ACPI power-management timer: a free-running counter of 3.579545 MHz (39375000 / 11 Hz), read-only, at
 * one 4-byte port.
 *
 * Models the counter of 24 bits (PIIX4) or 32. Leaves out TMR_STS and its SCI at each change of the top bit:
 * they belong to the PM1 event block, which Verge's PC has not got; ACPI tables that name this port must not
 * promise it. The value is computed when read, so there is no state and no deadline.
 *
 * Units: edge k of the counter stands at ceil(k * f * 11 / 39375000) guest cycles; it reads 0 at guest cycle
 *  0. Called on the CPU that owns the VM. Sources: ACPI specification, "Power Management Timer"; Intel
 *     82371AB (PIIX4), "PMTMR".
 *
 * Choices, each pinned in tests/unit/test_acpi_pm_timer.c:
 *  1. Narrow reads give the counter's byte or word at that offset, of that moment: nothing is latched
 *     between reads.
 *  2. Writes do nothing. Bits above the counter's width read 0.
 *  3. A device reset leaves the counter alone: it runs with the guest's clock, which is 0 at the VM's reset.
 */
#ifndef DEVICES_ACPI_PM_TIMER_H
#define DEVICES_ACPI_PM_TIMER_H

#include "hv/devapi/bus.h"
#include "hv/devapi/clock.h"
#include "hv/devapi/device.h"
#include "lib/ratio.h"

#define ACPI_PM_TIMER_PORT                                                                                   \
    0x608u /* PIIX4's PMTMR with the power-management base at 600h, as PC firmware has it */

struct acpi_pm_timer {
    const struct guest_clock *clock;
    struct grid ticks;
    uint32_t mask; /* the counter's bits */
    struct bus_region region;
    struct device device; /* without state */
};

/* port: a multiple of 4, ACPI_PM_TIMER_PORT by default. bits: 24 or 32 (the FADT's TMR_VAL_EXT must say the
 * same). */
void acpi_pm_timer_init(struct acpi_pm_timer *timer, const struct guest_clock *clock, uint16_t port,
                        unsigned bits);

#endif
