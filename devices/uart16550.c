/*
 * 16550A UART: registers, interrupts, modem lines and state. What it models, its sources and choices are in
 * uart16550.h; the other half is uart16550_wire.c.
 */
#include "devices/uart16550_internal.h"

#include "lib/string.h"

#define FIRMWARE_DIVISOR 12
#define FIRMWARE_LCR     0x03

/* ---- what the registers say
 * ---------------------------------------------------------------------------------------- */

static bool receive_level_reached(const struct uart16550 *uart)
{
    static const uint8_t trigger[4] = {1, 4, 8, 14};

    return uart->state.rx.count >= (uart16550_fifo_mode(uart) ? trigger[uart->state.fcr >> 6] : 1);
}

static uint8_t line_status(const struct uart16550 *uart)
{
    const struct uart16550_receiver *rx = &uart->state.rx;
    unsigned value = uart->state.lsr_errors;

    if (rx->count)
        value |= LSR_DR;
    if (uart16550_holding_empty(uart)) {
        value |= LSR_THRE;
        if (uart16550_shift_idle(uart))
            value |= LSR_TEMT;
    }
    if (uart16550_fifo_mode(uart)) {
        unsigned errors = value & LSR_CHARACTER_ERRORS;

        for (unsigned i = 1; i < rx->count; i++) /* the top one's are in lsr_errors */
            errors |= rx->errors[(rx->head + i) % UART16550_FIFO];
        if (errors)
            value |= LSR_FIFO_ERROR;
    }
    return (uint8_t)value;
}

/* The cause of highest priority ("Interrupt Control Functions"), without the FIFO bits. */
static uint8_t interrupt_id(const struct uart16550 *uart)
{
    const struct uart16550_state *state = &uart->state;

    if (state->ier & IER_ELSI && state->lsr_errors)
        return IIR_LINE;
    if (state->ier & IER_ERBFI) {
        if (uart16550_timed_out(uart))
            return IIR_TIMEOUT;
        if (receive_level_reached(uart))
            return IIR_DATA;
    }
    if (state->ier & IER_ETBEI && state->thre_interrupt)
        return IIR_THRE;
    if (state->ier & IER_EDSSI && state->msr & MSR_DELTAS)
        return IIR_MODEM;
    return IIR_NONE;
}

/* The only place that drives the line. In loopback the OUT2 pin is idle. */
void uart16550_update_irq(struct uart16550 *uart)
{
    bool gate = (uart->state.mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    irq_line_set(&uart->irq, gate && interrupt_id(uart) != IIR_NONE);
}

/* The only place that sets the deadline: the next moment at which anything that the guest can see changes. */
static void update_deadline(struct uart16550 *uart)
{
    const struct uart16550_state *state = &uart->state;
    uint64_t next = MIN(MIN(state->tx.start_cycles, state->tx.end_cycles),
                        MIN(state->tx.thre_cycles, state->rx.end_cycles));

    if (state->ier & IER_ERBFI && uart16550_fifo_mode(uart) && state->rx.count && !uart16550_timed_out(uart))
        next = MIN(next, state->rx.timeout_cycles);
    if (next != uart->deadline.when)
        deadline_set(&uart->deadline, next);
}

/* ---- after each step
 * -------------------------------------------------------------------------------------------------- */

/* Last in each entry point: `ready` may call back into uart16550_receive(). */
static void offer_room(struct uart16550 *uart)
{
    if (!uart->input_waits || !uart16550_can_receive(uart))
        return;
    uart->input_waits = false;
    if (uart->wire.ready)
        uart->wire.ready(uart->wire.opaque);
}

static void settle(struct uart16550 *uart)
{
    uart16550_update_irq(uart);
    update_deadline(uart);
    offer_room(uart);
}

static void deadline_fired(void *opaque, uint64_t when)
{
    uart16550_run_due(opaque, when);
    settle(opaque);
}

/* ---- register writes
 * ----------------------------------------------------------------------------------------------- */

static void write_ier(struct uart16550 *uart, uint8_t value)
{
    uint8_t risen = value & (uint8_t)~uart->state.ier;

    uart->state.ier = value & 0x0f;
    if (risen & IER_ETBEI && uart16550_holding_empty(uart))
        uart->state.thre_interrupt = 1;
}

/* "FIFO Control Register": a change of bit 0 clears both FIFOs, and without bit 0 the other bits are not
 * programmed. */
static void write_fcr(struct uart16550 *uart, uint8_t value)
{
    bool toggled = (value ^ uart->state.fcr) & FCR_ENABLE;
    uint8_t clear = toggled ? FCR_CLEAR_RX | FCR_CLEAR_TX : value & FCR_ENABLE ? value : 0;

    if (clear & FCR_CLEAR_RX)
        uart->state.rx.count = 0;
    if (clear & FCR_CLEAR_TX)
        uart16550_transmitter_clear(uart);
    if (toggled)
        uart->state.tx.peak = 2; /* the first interrupt after the change is immediate */
    uart->state.fcr = value & FCR_ENABLE ? value & FCR_STORED : 0;
}

static void update_modem(struct uart16550 *uart)
{
    uint8_t mcr = uart->state.mcr;
    uint8_t lines = uart->state.modem;
    uint8_t old = uart->state.msr;

    if (mcr & MCR_LOOP)
        lines = (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
                          (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
    unsigned deltas = (unsigned)((old ^ lines) & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
    if (old & ~lines & MSR_RI)
        deltas |= MSR_TERI;
    uart->state.msr = (uint8_t)(lines | (old & MSR_DELTAS) | deltas);
}

static void write_divisor(struct uart16550 *uart, unsigned shift, uint8_t value)
{
    uint16_t divisor = (uint16_t)((uart->state.divisor & ~(0xffu << shift)) | ((unsigned)value << shift));

    if (divisor == uart->state.divisor)
        return;
    uart->state.divisor = divisor;
    uart16550_update_divisor(uart);
}

static void uart16550_write(void *opaque, uint64_t offset, unsigned width, uint64_t bus_value)
{
    struct uart16550 *uart = opaque;
    uint8_t value = (uint8_t)bus_value;
    bool latches = uart->state.lcr & LCR_DLAB;

    (void)width;
    switch (offset) {
    case 0:
        if (latches)
            write_divisor(uart, 0, value);
        else
            uart16550_transmitter_write(uart, value);
        break;
    case 1:
        if (latches)
            write_divisor(uart, 8, value);
        else
            write_ier(uart, value);
        break;
    case 2:
        write_fcr(uart, value);
        break;
    case 3:
        uart->state.lcr = value;
        break;
    case 4:
        uart->state.mcr = value & MCR_STORED;
        update_modem(uart);
        break;
    case 7:
        uart->state.scr = value;
        break;
    default: /* LSR and MSR: read only */
        break;
    }
    settle(uart);
}

/* ---- register reads
 * ------------------------------------------------------------------------------------------------ */

/* Reading IIR ends the THRE interrupt when that is what it shows. */
static uint8_t read_iir(struct uart16550 *uart)
{
    uint8_t id = interrupt_id(uart);

    if (id == IIR_THRE) {
        uart->state.thre_interrupt = 0;
        uart16550_update_irq(uart);
    }
    return id | (uart16550_fifo_mode(uart) ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct uart16550 *uart)
{
    uint8_t value = line_status(uart);

    if (uart->state.lsr_errors) {
        uart->state.lsr_errors = 0;
        uart16550_update_irq(uart);
    }
    return value;
}

static uint8_t read_msr(struct uart16550 *uart)
{
    uint8_t value = uart->state.msr;

    uart->state.msr &= MSR_LINES;
    uart16550_update_irq(uart);
    return value;
}

static uint64_t uart16550_read(void *opaque, uint64_t offset, unsigned width)
{
    struct uart16550 *uart = opaque;
    bool latches = uart->state.lcr & LCR_DLAB;
    uint8_t value;

    (void)width;
    switch (offset) {
    case 0:
        if (latches)
            return uart->state.divisor & 0xff;
        value = uart16550_receiver_pop(uart);
        settle(uart);
        return value;
    case 1:
        return latches ? uart->state.divisor >> 8 : uart->state.ier;
    case 2:
        return read_iir(uart);
    case 3:
        return uart->state.lcr;
    case 4:
        return uart->state.mcr;
    case 5:
        return read_lsr(uart);
    case 6:
        return read_msr(uart);
    default:
        return uart->state.scr;
    }
}

/* ---- the outside
 * --------------------------------------------------------------------------------------------------- */

size_t uart16550_receive(struct uart16550 *uart, const uint8_t *data, size_t length)
{
    size_t taken = 0;

    while (taken < length && uart16550_can_receive(uart))
        uart16550_receive_one(uart, data[taken++], 0);
    uart->input_waits = taken < length;
    uart16550_update_irq(uart);
    update_deadline(uart);
    return taken;
}

bool uart16550_receive_error(struct uart16550 *uart, uint8_t data, uint8_t lsr_bits)
{
    bool room = uart16550_can_receive(uart);

    if (room)
        uart16550_receive_one(uart, data, lsr_bits);
    else
        uart->input_waits = true;
    uart16550_update_irq(uart);
    update_deadline(uart);
    return room;
}

void uart16550_room(struct uart16550 *uart)
{
    uart16550_transmitter_resume(uart);
    uart16550_run_due(uart, guest_clock_now(uart->clock));
    settle(uart);
}

void uart16550_set_modem(struct uart16550 *uart, uint8_t msr_bits)
{
    uart->state.modem = msr_bits & MSR_LINES;
    update_modem(uart);
    uart16550_update_irq(uart);
}

/* ---- reset and state
 * ----------------------------------------------------------------------------------------------- */

static void uart16550_reset(void *opaque)
{
    struct uart16550 *uart = opaque;
    struct uart16550_state *state = &uart->state;

    memset(state, 0, sizeof(*state));
    state->tx.start_cycles = state->tx.end_cycles = state->tx.thre_cycles = state->tx.stall_cycles =
        DEADLINE_NEVER;
    state->rx.end_cycles = state->rx.timeout_cycles = DEADLINE_NEVER;
    state->tx.peak = 2;
    state->divisor = FIRMWARE_DIVISOR;
    state->lcr = FIRMWARE_LCR;
    state->modem = MSR_DCD | MSR_DSR | MSR_CTS;
    state->msr = state->modem;
    uart16550_update_divisor(uart);
    settle(uart);
}

/* No moment lies further ahead than 28 s: 98 half bits of 65536 divisors, the time-out of the longest frame,
 * take less. */
static void clamp_moment(const struct uart16550 *uart, uint64_t *moment, uint64_t seconds)
{
    uint64_t latest = guest_clock_now(uart->clock) + seconds * guest_clock_hz(uart->clock);

    if (*moment != DEADLINE_NEVER)
        *moment = MIN(*moment, latest);
}

/* Forces every field into range; moments in the past run at the next advance of the clock. */
static void uart16550_restored(void *opaque)
{
    struct uart16550 *uart = opaque;
    struct uart16550_state *state = &uart->state;
    struct uart16550_transmitter *tx = &state->tx;

    state->ier &= 0x0f;
    state->fcr = state->fcr & FCR_ENABLE ? state->fcr & FCR_STORED : 0;
    state->mcr &= MCR_STORED;
    state->lsr_errors &= LSR_OE | LSR_CHARACTER_ERRORS;
    state->modem &= MSR_LINES;
    state->thre_interrupt = !!state->thre_interrupt;
    tx->head %= UART16550_FIFO;
    tx->count = (uint8_t)MIN(tx->count, uart16550_fifo_size(uart));
    state->rx.head %= UART16550_FIFO;
    state->rx.count = (uint8_t)MIN(state->rx.count, uart16550_fifo_size(uart));
    for (unsigned i = 0; i < UART16550_FIFO; i++)
        state->rx.errors[i] &= LSR_CHARACTER_ERRORS;
    clamp_moment(uart, &tx->start_cycles, 28);
    clamp_moment(uart, &tx->end_cycles, 28);
    clamp_moment(uart, &tx->thre_cycles, 28);
    clamp_moment(uart, &tx->stall_cycles, 0);
    clamp_moment(uart, &state->rx.end_cycles, 28);
    clamp_moment(uart, &state->rx.timeout_cycles, 28);
    if (tx->count == 0)
        tx->start_cycles = DEADLINE_NEVER;
    uart16550_update_divisor(uart);
    if (tx->count && uart16550_shift_idle(uart) && uart->speed == UART16550_BAUD)
        tx->start_cycles = guest_clock_now(uart->clock); /* saved in fast speed with a full sink */
    settle(uart);
}

void uart16550_init(struct uart16550 *uart, const struct uart16550_config *config)
{
    static const struct bus_ops ops = {uart16550_read, uart16550_write};

    memset(uart, 0, sizeof(*uart));
    uart->clock = config->clock;
    uart->wire = config->wire;
    uart->speed = config->speed;
    deadline_init(&uart->deadline, config->deadlines, deadline_fired, uart, config->name);
    uart->ports = (struct bus_region){.base = config->base,
                                      .length = UART16550_PORTS,
                                      .widths = 1,
                                      .ops = &ops,
                                      .opaque = uart,
                                      .name = config->name};
    uart->device = (struct device){.name = "uart16550",
                                   .opaque = uart,
                                   .reset = uart16550_reset,
                                   .state = &uart->state,
                                   .state_size = sizeof(uart->state),
                                   .state_version = UART16550_STATE_VERSION,
                                   .restored = uart16550_restored};
    uart16550_reset(uart);
}
