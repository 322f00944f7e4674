/*
 * One 16550, polled, wherever its registers stand: I/O ports or memory, each register one byte behind the
 * last or further. Any access is bounded: a device that answers all ones, or takes nothing, holds nobody up.
 * Who places it in memory makes that reachable (serial.c). Any context, one CPU at a time.
 *
 * Open in the datasheet, and chosen:
 * 1. An absent device reads as all ones, which its line status never is (test_absent).
 * 2. A device is there when its scratch register holds what is written, or, since the 8250 has none, when its
 *    modem status follows the modem control register in loopback mode (test_probing).
 * 3. Divisor 0 is none: firmware never set it (test_auto_keeps_the_divisor).
 *
 * Source: National PC16550D datasheet, "Registers", "Programmable Baud Generator", "Scratchpad Register",
 * "Modem Control Register".
 */
#ifndef ARCH_X86_HOST_UART_H
#define ARCH_X86_HOST_UART_H

#include "arch/x86/api/serial.h"

#define UART_REGISTERS 8u
#define UART_HZ        115200u /* a PC's UART clock over 16 */

/* Where the registers are. */
struct uart_place {
    bool memory;      /* else I/O ports */
    uint8_t stride;   /* from one register to the next */
    uint8_t width;    /* of an access to memory, in bits: 8 or 32; ports have 8 */
    uint64_t address; /* of the first; physical; 0: nowhere */
    uint32_t baud;    /* that firmware's tables say it has set; 0: they don't say */
};

struct uart {
    struct uart_place place;
    volatile uint8_t *memory; /* place.address, mapped */
    size_t room;              /* bytes that an empty transmitter takes: 1 without a working FIFO */
    bool stuck;               /* took nothing for long: what is written vanishes until it does again */
};

/* Probes what uart->place, and in memory uart->memory, say; sets it up if it is there. Returns whether. */
bool uart_open(struct uart *uart, struct host_serial_line line);

/* As host_serial_write(), host_serial_write_all() and host_serial_read(), of an open one. */
size_t uart_write(struct uart *uart, const uint8_t *data, size_t length);
void uart_write_all(struct uart *uart, const uint8_t *data, size_t length);
size_t uart_read(const struct uart *uart, uint8_t *data, size_t length);

/* Waits, boundedly, until the transmitter is empty. */
void uart_drain(struct uart *uart);

#endif
