/*
 * 16550A UART: receiver, transmitter and their time on the wire. What it models, its sources and choices are
 * in uart16550.h; the other half is uart16550.c.
 */
#include "devices/uart16550_internal.h"

/* 1.8432 MHz / 16 / divisor bits a second, two half bits each. */
#define HALF_BIT_HZ 230400

/* ---- time on the wire
 * ---------------------------------------------------------------------------------------------- */

void uart16550_update_divisor(struct uart16550 *uart)
{
    uint64_t divisor = uart->state.divisor ? uart->state.divisor : 65536;

    grid_init(&uart->half_bits, guest_clock_hz(uart->clock), HALF_BIT_HZ, divisor);
}

/* Start bit, data, parity, stop bits ("Line Control Register"), in half bits. */
static unsigned frame_half_bits(uint8_t lcr)
{
    unsigned data = 5 + (lcr & LCR_WORD);
    unsigned stop_half_bits = !(lcr & LCR_STOP) ? 2 : data == 5 ? 3 : 4;

    return 2 * (1 + data + (lcr & LCR_PARITY ? 1 : 0)) + stop_half_bits;
}

static uint64_t half_bit_at_or_after(const struct uart16550 *uart, uint64_t cycles)
{
    uint64_t edge = grid_edges(&uart->half_bits, cycles);

    return grid_cycles(&uart->half_bits, edge) < cycles ? edge + 1 : edge;
}

static uint64_t whole_bit_after(const struct uart16550 *uart, uint64_t cycles)
{
    return (grid_edges(&uart->half_bits, cycles) | 1) + 1;
}

static uint8_t word_mask(const struct uart16550 *uart)
{
    return (uint8_t)(0xff >> (3 - (uart->state.lcr & LCR_WORD)));
}

/* ---- receiver
 * ------------------------------------------------------------------------------------------------------ */

static void restart_timeout(struct uart16550 *uart)
{
    uint64_t start = whole_bit_after(uart, guest_clock_now(uart->clock));

    if (uart16550_fifo_mode(uart))
        uart->state.rx.timeout_cycles =
            grid_cycles(&uart->half_bits, start + 4 * frame_half_bits(uart->state.lcr));
}

/* A character has come to the top of the FIFO: its errors show in LSR. */
static void show_errors(struct uart16550 *uart)
{
    struct uart16550_receiver *rx = &uart->state.rx;

    uart->state.lsr_errors |= rx->errors[rx->head];
    rx->errors[rx->head] = 0;
}

static void receiver_push(struct uart16550 *uart, uint8_t data, uint8_t errors)
{
    struct uart16550_receiver *rx = &uart->state.rx;
    bool timed_out = uart16550_timed_out(uart);

    if (rx->count == uart16550_fifo_size(uart)) {
        uart->state.lsr_errors |= LSR_OE;
        if (uart16550_fifo_mode(uart))
            return; /* the FIFO keeps what it has */
        rx->count = 0;
    }
    unsigned slot = (rx->head + rx->count++) % UART16550_FIFO;
    rx->fifo[slot] = data & word_mask(uart);
    rx->errors[slot] = errors & LSR_CHARACTER_ERRORS;
    if (rx->count == 1)
        show_errors(uart);
    if (!timed_out)
        restart_timeout(uart);
}

uint8_t uart16550_receiver_pop(struct uart16550 *uart)
{
    struct uart16550_receiver *rx = &uart->state.rx;

    if (rx->count == 0)
        return rx->last;
    rx->last = rx->fifo[rx->head];
    rx->head = (uint8_t)((unsigned)(rx->head + 1) % UART16550_FIFO);
    if (--rx->count)
        show_errors(uart);
    restart_timeout(uart);
    return rx->last;
}

bool uart16550_can_receive(const struct uart16550 *uart)
{
    return !uart16550_looped(uart) && uart->state.rx.end_cycles == DEADLINE_NEVER &&
           uart->state.rx.count < uart16550_fifo_size(uart);
}

void uart16550_receive_one(struct uart16550 *uart, uint8_t data, uint8_t errors)
{
    struct uart16550_receiver *rx = &uart->state.rx;

    if (uart->speed == UART16550_FAST) {
        receiver_push(uart, data, errors);
        return;
    }
    uint64_t start = half_bit_at_or_after(uart, guest_clock_now(uart->clock));
    rx->shift = data;
    rx->shift_errors = errors;
    rx->end_cycles = grid_cycles(&uart->half_bits, start + frame_half_bits(uart->state.lcr));
}

/* ---- transmitter
 * --------------------------------------------------------------------------------------------------- */

static void transmitter_empty(struct uart16550 *uart)
{
    uart->state.tx.peak = 0;
    uart->state.tx.thre_cycles = DEADLINE_NEVER;
    uart->state.thre_interrupt = 1;
}

/* A character at the end of its last stop bit. False: the sink is full. */
static bool transmit(struct uart16550 *uart, uint8_t data)
{
    if (uart16550_looped(uart)) {
        receiver_push(uart, data, 0);
        return true;
    }
    if (uart->state.lcr & LCR_BREAK || !uart->wire.write)
        return true;
    return uart->wire.write(uart->wire.opaque, &data, 1) == 1;
}

static uint8_t transmitter_pop(struct uart16550_transmitter *tx)
{
    uint8_t data = tx->fifo[tx->head];

    tx->head = (uint8_t)((unsigned)(tx->head + 1) % UART16550_FIFO);
    tx->count--;
    return data;
}

/* Fast: everything goes out at once, as far as the sink takes it. */
static void transmitter_drain(struct uart16550 *uart)
{
    struct uart16550_transmitter *tx = &uart->state.tx;

    if (tx->count == 0)
        return;
    while (tx->count) {
        if (!transmit(uart, tx->fifo[tx->head] & word_mask(uart)))
            return;
        transmitter_pop(tx);
    }
    tx->start_cycles = DEADLINE_NEVER; /* of a state that was saved in baud speed */
    transmitter_empty(uart);
}

/* Baud: the shift register takes the next character at `start`, an edge of the grid. */
static void transmitter_begin(struct uart16550 *uart, uint64_t start)
{
    struct uart16550_transmitter *tx = &uart->state.tx;
    uint64_t end_edge = half_bit_at_or_after(uart, start) + frame_half_bits(uart->state.lcr);

    tx->start_cycles = DEADLINE_NEVER;
    tx->end_cycles = grid_cycles(&uart->half_bits, end_edge);
    tx->shift = transmitter_pop(tx) & word_mask(uart);
    if (tx->count)
        return;
    if (uart16550_fifo_mode(uart) && tx->peak < 2)
        tx->thre_cycles = grid_cycles(&uart->half_bits, end_edge - 2);
    else
        transmitter_empty(uart);
}

/* The shift register is free since `end`. */
static void transmitter_next(struct uart16550 *uart, uint64_t end)
{
    struct uart16550_transmitter *tx = &uart->state.tx;

    if (uart->speed == UART16550_FAST)
        transmitter_drain(uart);
    else if (tx->count)
        tx->start_cycles = grid_cycles(&uart->half_bits, half_bit_at_or_after(uart, end));
}

static void transmitter_end(struct uart16550 *uart)
{
    struct uart16550_transmitter *tx = &uart->state.tx;
    uint64_t end = tx->end_cycles;

    tx->end_cycles = DEADLINE_NEVER;
    if (transmit(uart, tx->shift))
        transmitter_next(uart, end);
    else
        tx->stall_cycles = end;
}

void uart16550_transmitter_write(struct uart16550 *uart, uint8_t data)
{
    struct uart16550_transmitter *tx = &uart->state.tx;

    uart->state.thre_interrupt = 0;
    tx->thre_cycles = DEADLINE_NEVER;
    if (tx->count < uart16550_fifo_size(uart))
        tx->fifo[(tx->head + tx->count++) % UART16550_FIFO] = data;
    else if (!uart16550_fifo_mode(uart))
        tx->fifo[tx->head] = data;
    tx->peak = MAX(tx->peak, tx->count);
    uart16550_update_irq(uart); /* the line falls here, so that "empty again" is a new edge */
    if (!uart16550_shift_idle(uart))
        return;
    if (uart->speed == UART16550_FAST)
        transmitter_drain(uart);
    else
        tx->start_cycles = grid_cycles(&uart->half_bits, whole_bit_after(uart, guest_clock_now(uart->clock)));
}

/* XMIT FIFO reset; the shift register is not cleared. */
void uart16550_transmitter_clear(struct uart16550 *uart)
{
    if (uart16550_holding_empty(uart))
        return;
    uart->state.tx.count = 0;
    uart->state.tx.start_cycles = DEADLINE_NEVER;
    transmitter_empty(uart);
}

void uart16550_transmitter_resume(struct uart16550 *uart)
{
    struct uart16550_transmitter *tx = &uart->state.tx;
    uint64_t end = tx->stall_cycles;

    if (end == DEADLINE_NEVER) {
        if (uart->speed == UART16550_FAST)
            transmitter_drain(uart);
        return;
    }
    if (!transmit(uart, tx->shift))
        return;
    tx->stall_cycles = DEADLINE_NEVER;
    transmitter_next(uart, end);
}

/* ---- time passing
 * -------------------------------------------------------------------------------------------------- */

/* Whatever is due, in a fixed order on ties. Ends: each character passes once, and there are 18 at most. */
void uart16550_run_due(struct uart16550 *uart, uint64_t now)
{
    struct uart16550_transmitter *tx = &uart->state.tx;
    struct uart16550_receiver *rx = &uart->state.rx;

    for (;;) {
        if (tx->thre_cycles <= now) {
            transmitter_empty(uart);
        } else if (tx->end_cycles <= now) {
            transmitter_end(uart);
        } else if (tx->start_cycles <= now) {
            transmitter_begin(uart, tx->start_cycles);
        } else if (rx->end_cycles <= now) {
            rx->end_cycles = DEADLINE_NEVER;
            receiver_push(uart, rx->shift, rx->shift_errors);
        } else {
            return;
        }
    }
}
