/*
 * The debug exit port (0xf4, as QEMU's isa-debug-exit): a guest that writes v ends with code v (README.md,
 * "In CI").
 *
 * Models: one register at the base port; a write of 1, 2 or 4 bytes hands the value, zero-extended, to the
 * sink. Reads give 0.
 *
 * Leaves out: nothing. Writes to the three ports behind the base are ignored. Has no guest-visible state.
 *
 * Called by the port bus in the monitor, on the CPU that owns the VM. No time in it.
 *
 * Source: QEMU's documentation of the isa-debug-exit device (behaviour only).
 */
#ifndef DEVICES_DEBUG_EXIT_H
#define DEVICES_DEBUG_EXIT_H

#include "hv/devapi/bus.h"
#include "hv/devapi/device.h"

struct debug_exit {
    void (*exit)(void *opaque, uint32_t value); /* NULL: not connected */
    void *opaque;
    struct bus_region ports; /* for bus_add() */
    struct device device;    /* state_size 0 */
};

/* `exit` runs inside the port write: it should only note the verdict; the run loop ends the guest. */
void debug_exit_init(struct debug_exit *debug_exit, void (*exit)(void *opaque, uint32_t value), void *opaque);

#endif
