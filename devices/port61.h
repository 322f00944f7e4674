/*
 * System control port B of a PC/AT at port 61h: gate 2 and OUT 2 of the PIT, the speaker, the RAM refresh
 * toggle, the NMI enables.
 *
 * Wiring (guest/): port61_init(), irq_line_connect() of gate2 to the PIT's gate 2, out2 to a function that
 * gives the level of the PIT's OUT 2 now (NULL: low), bus_add() of region, device.reset(). Called on the CPU
 * that owns the VM.
 *
 * Source: Intel 82371SB (PIIX3), "NMISC, NMI Status and Control Register" (61h).
 */
#ifndef DEVICES_PORT61_H
#define DEVICES_PORT61_H

#include "hv/devapi/bus.h"
#include "hv/devapi/clock.h"
#include "hv/devapi/device.h"
#include "hv/devapi/irq_line.h"
#include "lib/ratio.h"

#define PORT61_PORT          0x61u
#define PORT61_STATE_VERSION 1u

struct port61_state {
    uint8_t control; /* bits 0 to 3 as written */
};

struct port61 {
    struct port61_state state;
    const struct guest_clock *clock;
    const struct grid *grid; /* the PIT's CLK */
    struct irq_line gate2;
    bool (*out2)(void *opaque);
    void *out2_opaque;
    struct bus_region region;
    struct device device;
};

/* clock and grid (the PIT's CLK) belong to the VM and outlive the device. */
void port61_init(struct port61 *port, const struct guest_clock *clock, const struct grid *grid);

/* What drives the speaker, now: OUT 2 AND the speaker data bit. */
bool port61_speaker(const struct port61 *port);

#endif
