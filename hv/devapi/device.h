/*
 * What the VM knows of each device: how to reset it, and where its guest-visible state is: one plain
 * versioned struct without pointers, so that it can be saved, compared and restored; the wiring (lines,
 * deadlines, clock) stands beside it in the device.
 */
#ifndef HV_DEVAPI_DEVICE_H
#define HV_DEVAPI_DEVICE_H

#include "lib/base.h"

struct device {
    const char *name; /* the chip's name */
    void *opaque;     /* handed to the calls below */
    /* Power-on reset: state, lines and deadlines as at guest cycle now. */
    void (*reset)(void *opaque);
    void *state;
    size_t state_size;
    uint32_t state_version;
    /* After *state was overwritten: set deadlines and lines from it. Never trusts the values: out-of-range
     * ones are forced into range. */
    void (*restored)(void *opaque);
};

#endif
