/*
 * What the two halves of the 16550A share: uart16550.c (registers, interrupts, state) and uart16550_wire.c
 * (shift registers, FIFOs, time). Included by these two only. Bit names are the datasheet's.
 */
#ifndef DEVICES_UART16550_INTERNAL_H
#define DEVICES_UART16550_INTERNAL_H

#include "devices/uart16550.h"

#define IER_ERBFI 0x01
#define IER_ETBEI 0x02
#define IER_ELSI  0x04
#define IER_EDSSI 0x08

#define IIR_NONE    0x01
#define IIR_MODEM   0x00
#define IIR_THRE    0x02
#define IIR_DATA    0x04
#define IIR_LINE    0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO    0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_CLEAR_TX 0x04
#define FCR_STORED   0xc9

#define LCR_WORD   0x03
#define LCR_STOP   0x04
#define LCR_PARITY 0x08
#define LCR_BREAK  0x40
#define LCR_DLAB   0x80

#define MCR_DTR    0x01
#define MCR_RTS    0x02
#define MCR_OUT1   0x04
#define MCR_OUT2   0x08
#define MCR_LOOP   0x10
#define MCR_STORED 0x1f

#define LSR_DR               0x01
#define LSR_OE               0x02
#define LSR_PE               0x04
#define LSR_FE               0x08
#define LSR_BI               0x10
#define LSR_THRE             0x20
#define LSR_TEMT             0x40
#define LSR_FIFO_ERROR       0x80
#define LSR_CHARACTER_ERRORS (LSR_PE | LSR_FE | LSR_BI)

#define MSR_TERI   0x04
#define MSR_CTS    0x10
#define MSR_DSR    0x20
#define MSR_RI     0x40
#define MSR_DCD    0x80
#define MSR_LINES  0xf0
#define MSR_DELTAS 0x0f

static inline bool uart16550_fifo_mode(const struct uart16550 *uart)
{
    return uart->state.fcr & FCR_ENABLE;
}

static inline bool uart16550_looped(const struct uart16550 *uart)
{
    return uart->state.mcr & MCR_LOOP;
}

static inline unsigned uart16550_fifo_size(const struct uart16550 *uart)
{
    return uart16550_fifo_mode(uart) ? UART16550_FIFO : 1;
}

static inline bool uart16550_holding_empty(const struct uart16550 *uart)
{
    return uart->state.tx.count == 0 && uart->state.tx.thre_cycles == DEADLINE_NEVER;
}

/* Nothing in the shift register, and nothing on the way to it. */
static inline bool uart16550_shift_idle(const struct uart16550 *uart)
{
    const struct uart16550_transmitter *tx = &uart->state.tx;

    return tx->start_cycles == DEADLINE_NEVER && tx->end_cycles == DEADLINE_NEVER &&
           tx->stall_cycles == DEADLINE_NEVER;
}

static inline bool uart16550_timed_out(const struct uart16550 *uart)
{
    return uart16550_fifo_mode(uart) && uart->state.rx.count &&
           guest_clock_now(uart->clock) >= uart->state.rx.timeout_cycles;
}

/* uart16550.c: drives the IRQ line from the state; the only place that does. */
void uart16550_update_irq(struct uart16550 *uart);

/* uart16550_wire.c. None of these sets the deadline or calls `ready`; the caller settles afterwards. */
void uart16550_update_divisor(struct uart16550 *uart);
bool uart16550_can_receive(const struct uart16550 *uart);
void uart16550_receive_one(struct uart16550 *uart, uint8_t data, uint8_t errors); /* only when it can */
uint8_t uart16550_receiver_pop(struct uart16550 *uart);
void uart16550_transmitter_write(struct uart16550 *uart, uint8_t data);
void uart16550_transmitter_clear(struct uart16550 *uart);
void uart16550_transmitter_resume(struct uart16550 *uart);    /* offers the sink again what it did not take */
void uart16550_run_due(struct uart16550 *uart, uint64_t now); /* all that is due by guest cycle now */

#endif
