/*
 * i8042 keyboard controller of a PS/2-class PC with an IBM enhanced (MF2) keyboard on it, and nothing on the
 * auxiliary port.
 *
 * Models: data port 60h, status and command port 64h; controller commands 20h to 7Fh (its RAM, with the
 * command byte), A4h, A7h to ABh, ADh, AEh, C0h, D0h to D4h, DDh, DFh, E0h, F0h to FFh; the output port with
 * A20 and the reset line; translation of scan code set 2 to 1; the keyboard's commands EDh, EEh, F0h, F2h to
 * F6h, FEh, FFh with its buffers. Text from outside becomes key presses of a US keyboard.
 *
 * Leaves out: typematic repeat, scan code set 3 and its commands, port 60h traffic inhibited by a key lock,
 * a mouse.
 *
 * Called by the port bus, the VM's input queue and the deadline queue, in the monitor, on the CPU that owns
 * the VM. Never charges time.
 *
 * Time, in guest cycles: the controller carries out and answers commands at once (the input buffer is never
 * seen full). Each byte of the keyboard, answer or scan code, arrives I8042_BYTE_US after the output buffer,
 * the enabled interface and the byte are all there: a frame of 11 bits at 10 to 16.7 kHz takes about that.
 * An ESC of the input that nothing follows for I8042_ESCAPE_US is the Esc key.
 *
 * Sources: IBM, "PC/AT Technical Reference", Keyboard Controller and Keyboard; IBM, "PS/2 Hardware Interface
 * Technical Reference", Keyboard and Auxiliary Device Controller (auxiliary commands).
 *
 * Choices (tests/unit/test_i8042.c):
 *  1. Reset leaves what firmware does: command byte 65h (IRQ 1 on, system flag, auxiliary off,
 *     translation), keyboard scanning, A20 untouched (test_reset_state).
 *  2. Any byte in the output buffer that isn't auxiliary raises IRQ 1 if enabled, answers of the
 *     controller too (test_irq1).
 *  3. An answer of the controller displaces a byte of the keyboard, which comes back right after the
 *     answer is read (test_displaced_byte).
 *  4. Reading 60h with nothing there gives the last byte again (test_read_empty).
 *  5. D3h and D4h: their byte raises IRQ 12 if enabled. D4h gives FEh with the time-out flag: nobody
 *     answers (test_auxiliary).
 *  6. Keys while scanning is disabled are lost; while the interface is disabled they wait (test_disabled).
 *  7. Writing to the keyboard enables its interface (test_disabled).
 *  8. F0h 03h is refused with FEh, and so is every unknown command (test_keyboard_refuses).
 *  9. More unread answers of the keyboard than its buffer holds are lost (test_reply_overflow).
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "hv/devapi/bus.h"
#include "hv/devapi/clock.h"
#include "hv/devapi/deadline.h"
#include "hv/devapi/device.h"
#include "hv/devapi/irq_line.h"

#define I8042_STATE_VERSION 1
#define I8042_BYTE_US       1000
#define I8042_ESCAPE_US     50000
#define I8042_QUEUE         16

struct i8042_queue {
    uint8_t bytes[I8042_QUEUE];
    uint8_t head;
    uint8_t count;
};

struct i8042_keyboard {
    struct i8042_queue replies; /* go before keys */
    struct i8042_queue keys;    /* scan codes */
    uint8_t scanning;           /* 0 or 1 */
    uint8_t scan_set;           /* 1 or 2 */
    uint8_t leds;               /* 1 scroll, 2 num, 4 caps */
    uint8_t typematic;          /* as written by F3h; stored only */
    uint8_t command;            /* the command that waits for its parameter, or 0 */
    uint8_t last_sent;          /* for FEh */
};

/* How far the input's escape sequence has come. */
struct i8042_escape {
    uint64_t expires_cycles; /* DEADLINE_NEVER: no ESC stands alone */
    uint8_t phase;
    uint8_t number;
};

struct i8042_state {
    uint64_t byte_cycles; /* when the keyboard's next byte arrives; DEADLINE_NEVER */
    struct i8042_keyboard keyboard;
    struct i8042_escape escape;
    uint8_t ram[32];          /* ram[0]: the command byte */
    uint8_t output;           /* the output buffer, */
    uint8_t output_from;      /* who filled it, */
    uint8_t output_timeout;   /* and the status flag that goes with it */
    uint8_t displaced;        /* a byte of the keyboard that an answer displaced, */
    uint8_t displaced_valid;  /* if 1 */
    uint8_t command;          /* the controller command that waits for its data byte, or 0 */
    uint8_t last_was_command; /* status bit 3 */
    uint8_t break_prefix;     /* the translator has seen F0h */
};

/* The machine around the controller. Any may be NULL. They run inside a port access and should only note the
 * fact. */
struct i8042_wiring {
    void (*request_reset)(void *opaque);
    void (*set_a20)(void *opaque, bool enabled); /* the one holder of A20 is elsewhere (port92_set_a20) */
    bool (*a20)(void *opaque);
    void (*ready)(void *opaque); /* keys are taken again after some were not */
    void *opaque;
};

struct i8042 {
    struct i8042_state state;
    const struct guest_clock *clock;
    struct deadline deadline;
    uint64_t byte_time_cycles;
    uint64_t escape_time_cycles;
    struct i8042_wiring wiring;
    bool keys_wait;                /* wiring.ready is owed */
    struct irq_line irq_keyboard;  /* IRQ 1 */
    struct irq_line irq_auxiliary; /* IRQ 12 */
    struct bus_region ports[2];    /* for bus_add(): 60h and 64h */
    struct device device;
};

/* Leaves the device reset, the lines not connected. The clock's rate must be set. */
void i8042_init(struct i8042 *i8042, const struct guest_clock *clock, struct deadline_queue *deadlines,
                const struct i8042_wiring *wiring);

/*
 * Text from outside, typed on the keyboard: ASCII, and the ANSI sequences of arrows, Home, End, Insert,
 * Delete, Page Up and Down, F1 to F12. Codes that no key makes are taken and dropped. Returns how many bytes
 * were taken; after a short answer wiring.ready is called once there is room.
 */
size_t i8042_receive_key(struct i8042 *i8042, const uint8_t *ascii, size_t length);

#endif
