/*
 * The POST code port (80h): firmware writes progress codes there, and everyone else uses it as a short
 * delay.
 *
 * Models: one byte that reads back.
 *
 * Leaves out: the DMA page register that shares the address (no DMA controller here).
 *
 * Called by the port bus in the monitor, on the CPU that owns the VM. No time in it.
 *
 * Source: IBM, "Personal Computer AT Technical Reference", I/O address map (manufacturing checkpoint port).
 */
#ifndef DEVICES_POST_CODE_H
#define DEVICES_POST_CODE_H

#include "hv/devapi/bus.h"
#include "hv/devapi/device.h"

#define POST_CODE_STATE_VERSION 1

struct post_code_state {
    uint8_t last;
};

struct post_code {
    struct post_code_state state;                /* state.last: the last code written, 0 after reset */
    void (*written)(void *opaque, uint8_t code); /* told of each code; NULL: not connected */
    void *opaque;
    struct bus_region ports; /* for bus_add() */
    struct device device;
};

void post_code_init(struct post_code *post_code);

#endif
