/*
 * 16550A UART (NS PC16550D) as COM port of a PC.
 *
 * Models: all registers; 16450 and FIFO mode with trigger levels and the receive time-out; the four
 * interrupt causes with their priorities and clearing rules; overrun, framing, parity and break reports per
 * character; loopback; modem inputs with deltas; OUT2 as the gate of the PC's IRQ line; word length, parity
 * and stop bits as the length of a frame.
 *
 * Leaves out: the RXRDY and TXRDY pins (DMA mode is stored only), parity bits on the wire (there is no
 * wire), factory test writes.
 *
 * Two speeds. UART16550_FAST: a character leaves within the write to THR, and input arrives as fast as the
 * FIFO takes it. UART16550_BAUD: both directions run on the grid of half bits, edge k at ceil(k * guest_hz *
 * divisor / 230400) guest cycles (1.8432 MHz crystal, 16 clocks a bit). Interrupt rules are the same in
 * both; in fast mode the transmitter is never seen busy.
 *
 * Called by the port bus, the VM's input queue and the deadline queue, in the monitor, on the CPU that owns
 * the VM. Never charges time.
 *
 * Times: guest cycles.
 *
 * Sources: National Semiconductor, "PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs",
 * sections "Registers" and "FIFO Interrupt Mode Operation"; IBM, "PC/XT Technical Reference", Asynchronous
 * Communications Adapter (OUT2).
 *
 * What the datasheet leaves open, and what is chosen (each pinned by the test in parentheses,
 * tests/unit/test_uart16550.c):
 *  1. Reset state is what PC firmware leaves: 8n1, divisor 12 (9600), the rest as after master reset
 *     (test_reset_state).
 *  2. Divisor 0 counts as 65536 (test_divisor_zero).
 *  3. ETBEI going from 0 to 1 with THR empty raises the THRE interrupt; writing 1 over 1 does not
 *     (test_thre_interrupt).
 *  4. Emptying a non-empty transmit FIFO by FCR raises THRE like sending it; an empty one does not
 *     (test_fcr_clears_transmitter).
 *  5. A pending time-out shows as IIR 0Ch also when the trigger level has been reached meanwhile
 *     (test_timeout_over_trigger).
 *  6. LSR error bits stay until LSR is read, though their character has left the FIFO or the FIFO was
 *     cleared (test_error_bits_latch).
 *  7. An empty RBR gives the last character again (test_rbr_repeats).
 *  8. Writing a full transmitter: 16450 mode replaces the character in THR, FIFO mode loses the new one
 *     (test_transmitter_overflow).
 *  9. In loopback the OUT2 pin is idle, so the PC's IRQ line is too; IIR still works
 *     (test_loopback_gates_irq).
 * 10. Entering and leaving loopback changes the modem inputs and sets deltas like a cable
 *     (test_loopback_modem).
 * 11. Input is not taken in loopback, rather than lost (test_loopback_holds_input). A character already
 *     under way still arrives.
 * 12. Characters that end while LCR has set break do not leave the chip; loopback is not affected by break
 *     (test_break).
 * 13. Baud: an idle transmitter starts at the first whole-bit edge after the write; the next frame follows
 *     without a gap. A frame keeps the length and speed it started with; after a change of divisor the
 *     next starts on the new grid (test_baud_edges, test_baud_divisor_change).
 * 14. Baud: a character is received at the end of its last stop bit, counted from the first half-bit edge
 *     at or after its arrival (test_baud_receive).
 * 15. The time-out is 4 frames of the present LCR and divisor from the first whole-bit edge after the last
 *     arrival or RBR read, in both speeds (test_receive_timeout). A character lost by overrun does not
 *     restart it (test_overrun).
 * 16. The delay of the THRE indication of "FIFO Interrupt Mode Operation" (single characters in the FIFO)
 *     holds in baud speed, for LSR and interrupt alike; the last stop bit counts as one bit
 *     (test_baud_thre_delay).
 */
#ifndef DEVICES_UART16550_H
#define DEVICES_UART16550_H

#include "hv/devapi/bus.h"
#include "hv/devapi/chardev.h"
#include "hv/devapi/clock.h"
#include "hv/devapi/deadline.h"
#include "hv/devapi/device.h"
#include "hv/devapi/irq_line.h"
#include "lib/ratio.h"

#define UART16550_STATE_VERSION 1
#define UART16550_FIFO          16
#define UART16550_PORTS         8

enum uart16550_speed { UART16550_FAST, UART16550_BAUD };

/* Moments are guest cycles; DEADLINE_NEVER: not under way. */
struct uart16550_transmitter {
    uint64_t start_cycles; /* when the shift register takes the next character */
    uint64_t end_cycles;   /* when the character in the shift register is out */
    uint64_t thre_cycles;  /* when the delayed "empty" shows (choice 16) */
    uint64_t stall_cycles; /* the end of the character that the sink did not take */
    uint8_t fifo[UART16550_FIFO];
    uint8_t head;
    uint8_t count; /* 16450 mode: 0 or 1 */
    uint8_t peak;  /* most characters at once since THRE was last set */
    uint8_t shift;
};

struct uart16550_receiver {
    uint64_t end_cycles;     /* when the character on the wire has arrived */
    uint64_t timeout_cycles; /* the time-out shows from here on, while the FIFO holds anything */
    uint8_t fifo[UART16550_FIFO];
    uint8_t errors[UART16550_FIFO]; /* LSR bits of each character, 0 once shown */
    uint8_t head;
    uint8_t count;
    uint8_t shift;
    uint8_t shift_errors;
    uint8_t last; /* what an empty RBR gives */
};

struct uart16550_state {
    struct uart16550_transmitter tx;
    struct uart16550_receiver rx;
    uint16_t divisor;
    uint8_t ier;
    uint8_t fcr; /* bits 7, 6, 3, 0 */
    uint8_t lcr;
    uint8_t mcr;
    uint8_t scr;
    uint8_t lsr_errors; /* OE, PE, FE, BI */
    uint8_t msr;
    uint8_t modem;          /* the input pins, as MSR bits 7 to 4 */
    uint8_t thre_interrupt; /* 0 or 1 */
};

struct uart16550 {
    struct uart16550_state state;
    const struct guest_clock *clock;
    struct deadline deadline; /* the next moment anything above falls due */
    struct grid half_bits;    /* of state.divisor */
    struct chardev wire;
    enum uart16550_speed speed;
    bool input_waits; /* receive() took less than offered and wire.ready has not been called since */
    struct irq_line irq;
    struct bus_region ports; /* for bus_add() */
    struct device device;
};

struct uart16550_config {
    const struct guest_clock *clock; /* its rate must be set */
    struct deadline_queue *deadlines;
    struct chardev wire; /* write: taking nothing means "full"; see uart16550_room() */
    enum uart16550_speed speed;
    uint64_t base;    /* 3F8h for COM1 */
    const char *name; /* for the bus and the trace: "uart16550 com1" */
};

/* Leaves the device reset and the IRQ line not connected. */
void uart16550_init(struct uart16550 *uart, const struct uart16550_config *config);

/*
 * Input from the outside. Returns how many characters were taken: the free places of the FIFO (16450 mode:
 * 1), in baud speed one, and only while none is on the wire; none in loopback. After a short answer
 * wire.ready is called once when there is room; it may call this again.
 */
size_t uart16550_receive(struct uart16550 *uart, const uint8_t *data, size_t length);

/* As one character with LSR error bits (PE 04h, FE 08h, BI 10h). A break is character 0 with BI and FE.
 * False: not taken. */
bool uart16550_receive_error(struct uart16550 *uart, uint8_t data, uint8_t lsr_bits);

/*
 * The sink has room again: offers it what it did not take. Until then THRE stays clear (fast) or the shift
 * register stays full (baud). The run loop freezes the VM while its sink is full, so the guest never sees
 * this.
 */
void uart16550_room(struct uart16550 *uart);

/* Sets the modem inputs: MSR bits 7 to 4 (DCD 80h, RI 40h, DSR 20h, CTS 10h; 1: asserted). After reset B0h: a
 * terminal is connected. */
void uart16550_set_modem(struct uart16550 *uart, uint8_t msr_bits);

#endif
