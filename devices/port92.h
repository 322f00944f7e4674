/*
 * System control port A (port 92h) of a PS/2-class PC: the fast A20 gate and the fast reset.
 *
 * Models: bit 1, A20 (1: enabled); bit 0, alternate reset: its rising edge calls the reset sink once. Both
 * read back as written.
 *
 * Leaves out: the watchdog, security lock and drive lamp bits (read 0), and **address masking**: A20 is
 * stored and shown, but memory is never wrapped at 1 MB; nothing that runs on a 64-bit guest depends on the
 * wrap. This device is the machine's one holder of A20: guest/ wires the i8042's gate to port92_set_a20()
 * and port92_a20(), so both ports always show the same state.
 *
 * Called by the port bus in the monitor, on the CPU that owns the VM. No time in it.
 *
 * Source: IBM, "PS/2 Hardware Interface Technical Reference", System Control Port A.
 *
 * Choices:
 *  1. A20 is enabled after reset, as firmware hands the machine over (test_port92_reset).
 *  2. Reserved bits read 0 (test_port92_reserved_bits).
 */
#ifndef DEVICES_PORT92_H
#define DEVICES_PORT92_H

#include "hv/devapi/bus.h"
#include "hv/devapi/device.h"

#define PORT92_STATE_VERSION 1

struct port92_state {
    uint8_t value; /* bits 1 and 0 */
};

struct port92 {
    struct port92_state state;
    void (*request_reset)(void *opaque); /* NULL: not connected */
    void *opaque;
    struct bus_region ports; /* for bus_add() */
    struct device device;
};

/* Leaves the device in its reset state. request_reset runs inside the port write: it should only note the
 * request. */
void port92_init(struct port92 *port92, void (*request_reset)(void *opaque), void *opaque);

bool port92_a20(const struct port92 *port92);
void port92_set_a20(struct port92 *port92, bool enabled);

#endif
