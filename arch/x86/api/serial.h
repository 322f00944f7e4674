/*
 * The host's serial ports. A port that does not answer is absent: writes vanish, reads find nothing, and
 * nothing ever hangs.
 */
#ifndef ARCH_X86_API_SERIAL_H
#define ARCH_X86_API_SERIAL_H

#include "lib/base.h"

#define HOST_SERIAL_PORTS 2

/* The line: data_bits 5 to 8, stop_bits 1 or 2, parity 'n', 'o' or 'e', divisor 115200 / baud. */
struct host_serial_line {
    uint16_t divisor;
    uint8_t data_bits, stop_bits;
    char parity;
};

/* Opens COM1 (index 0) or COM2 (1). Returns whether a 16550 answered. */
bool host_serial_open(unsigned index, struct host_serial_line line);

/* Hands over as many bytes as the transmitter takes now; returns how many. An absent port takes all. */
size_t host_serial_write(unsigned index, const uint8_t *data, size_t length);

/* Waits, boundedly, until all is written: for panics and the last line. */
void host_serial_write_all(unsigned index, const uint8_t *data, size_t length);

/* Waits, boundedly, until the transmitters of all ports are empty: before the machine ends. */
void host_serial_drain(void);

/* Takes up to `length` received bytes; returns how many there were. */
size_t host_serial_read(unsigned index, uint8_t *data, size_t length);

#endif
