/*
 * The outside end of a character device (a UART's wire, a keyboard's cable). The device calls these; input
 * comes by a call into the device (uart16550_receive(), i8042_receive_key()), on a deadline of the VM's input
 * queue, and says how much was taken.
 */
#ifndef HV_DEVAPI_CHARDEV_H
#define HV_DEVAPI_CHARDEV_H

#include "lib/base.h"

struct chardev {
    /* Bytes that leave the device; returns how many were taken. What is not taken the device keeps and offers
     * again when asked by its own "output has room" entry. */
    size_t (*write)(void *opaque, const uint8_t *data, size_t length);
    /* The device can take input again after it took less than it was offered. May be NULL. */
    void (*ready)(void *opaque);
    void *opaque;
};

#endif
