/* i8042: the controller. What it models, its sources and choices are in i8042.h. */
#include "devices/i8042_internal.h"

#include "lib/string.h"

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM      0x04
#define STATUS_COMMAND     0x08
#define STATUS_UNLOCKED    0x10
#define STATUS_AUXILIARY   0x20
#define STATUS_TIMEOUT     0x40

/* The command byte, RAM byte 0. */
#define MODE_KEYBOARD_INTERRUPT  0x01
#define MODE_AUXILIARY_INTERRUPT 0x02
#define MODE_SYSTEM              0x04
#define MODE_KEYBOARD_OFF        0x10
#define MODE_AUXILIARY_OFF       0x20
#define MODE_TRANSLATE           0x40
#define MODE_FIRMWARE            (MODE_KEYBOARD_INTERRUPT | MODE_SYSTEM | MODE_AUXILIARY_OFF | MODE_TRANSLATE)

#define OUTPUT_PORT_RUN       0x01 /* 0 resets the machine */
#define OUTPUT_PORT_A20       0x02
#define OUTPUT_PORT_KEYBOARD  0x10
#define OUTPUT_PORT_AUXILIARY 0x20
#define OUTPUT_PORT_LINES     0xcc /* clock and data of both devices, idle */
#define INPUT_PORT            0xb0 /* not locked, no manufacturing jumper, colour display */

#define BREAK_PREFIX 0xf0
#define BREAK_BIT    0x80
#define REPLY_RESEND 0xfe

enum { FROM_NOBODY, FROM_CONTROLLER, FROM_KEYBOARD, FROM_AUXILIARY };

/* ---- the output buffer
 * --------------------------------------------------------------------------------------------- */

static void update_lines(struct i8042 *i8042)
{
    const struct i8042_state *state = &i8042->state;
    bool full = state->output_from != FROM_NOBODY;
    bool auxiliary = state->output_from == FROM_AUXILIARY;

    irq_line_set(&i8042->irq_keyboard, full && !auxiliary && state->ram[0] & MODE_KEYBOARD_INTERRUPT);
    irq_line_set(&i8042->irq_auxiliary, auxiliary && state->ram[0] & MODE_AUXILIARY_INTERRUPT);
}

static void put_output(struct i8042 *i8042, uint8_t value, uint8_t from)
{
    struct i8042_state *state = &i8042->state;

    if (state->output_from == FROM_KEYBOARD) {
        state->displaced = state->output;
        state->displaced_valid = 1;
    }
    state->output = value;
    state->output_from = from;
    state->output_timeout = 0;
}

static uint8_t take_output(struct i8042 *i8042)
{
    struct i8042_state *state = &i8042->state;
    uint8_t value = state->output;

    state->output_from = FROM_NOBODY;
    state->output_timeout = 0;
    update_lines(i8042); /* the line falls here, so that a next byte is a new edge */
    if (state->displaced_valid) {
        state->displaced_valid = 0;
        put_output(i8042, state->displaced, FROM_KEYBOARD);
    }
    return value;
}

/* ---- bytes from the keyboard
 * --------------------------------------------------------------------------------------- */

static void keyboard_byte_arrives(struct i8042 *i8042)
{
    struct i8042_state *state = &i8042->state;
    uint8_t byte = i8042_keyboard_take(&state->keyboard);

    if (!(state->ram[0] & MODE_TRANSLATE)) {
        state->break_prefix = 0;
    } else if (byte == BREAK_PREFIX) {
        state->break_prefix = 1;
        return;
    } else {
        byte = i8042_translate(byte) | (state->break_prefix ? BREAK_BIT : 0);
        state->break_prefix = 0;
    }
    put_output(i8042, byte, FROM_KEYBOARD);
}

static bool keyboard_may_send(const struct i8042 *i8042)
{
    const struct i8042_state *state = &i8042->state;

    return state->output_from == FROM_NOBODY && !(state->ram[0] & MODE_KEYBOARD_OFF) &&
           i8042_keyboard_has_byte(&state->keyboard);
}

/* Last in each entry point: `ready` may call back into i8042_receive_key(). */
void i8042_settle(struct i8042 *i8042)
{
    struct i8042_state *state = &i8042->state;

    update_lines(i8042);
    if (!keyboard_may_send(i8042))
        state->byte_cycles = DEADLINE_NEVER;
    else if (state->byte_cycles == DEADLINE_NEVER)
        state->byte_cycles = guest_clock_now(i8042->clock) + i8042->byte_time_cycles;
    uint64_t next = MIN(state->byte_cycles, state->escape.expires_cycles);
    if (next != i8042->deadline.when)
        deadline_set(&i8042->deadline, next);
    if (i8042->keys_wait && i8042_keyboard_room(&state->keyboard) >= I8042_KEY_ROOM) {
        i8042->keys_wait = false;
        if (i8042->wiring.ready)
            i8042->wiring.ready(i8042->wiring.opaque);
    }
}

static void deadline_fired(void *opaque, uint64_t when)
{
    struct i8042 *i8042 = opaque;

    if (i8042->state.escape.expires_cycles <= when)
        i8042_keys_expired(i8042);
    if (i8042->state.byte_cycles <= when) {
        i8042->state.byte_cycles = DEADLINE_NEVER;
        if (keyboard_may_send(i8042))
            keyboard_byte_arrives(i8042);
    }
    i8042_settle(i8042);
}

/* ---- the output port
 * ----------------------------------------------------------------------------------------------- */

static void set_a20(struct i8042 *i8042, bool enabled)
{
    if (i8042->wiring.set_a20)
        i8042->wiring.set_a20(i8042->wiring.opaque, enabled);
}

static void request_reset(struct i8042 *i8042)
{
    if (i8042->wiring.request_reset)
        i8042->wiring.request_reset(i8042->wiring.opaque);
}

static uint8_t read_output_port(const struct i8042 *i8042)
{
    unsigned value = OUTPUT_PORT_LINES | OUTPUT_PORT_RUN;

    if (!i8042->wiring.a20 || i8042->wiring.a20(i8042->wiring.opaque))
        value |= OUTPUT_PORT_A20;
    if (i8042->irq_keyboard.level)
        value |= OUTPUT_PORT_KEYBOARD;
    if (i8042->irq_auxiliary.level)
        value |= OUTPUT_PORT_AUXILIARY;
    return (uint8_t)value;
}

static void write_output_port(struct i8042 *i8042, uint8_t value)
{
    set_a20(i8042, value & OUTPUT_PORT_A20);
    if (!(value & OUTPUT_PORT_RUN))
        request_reset(i8042);
}

/* ---- controller commands
 * --------------------------------------------------------------------------------------------- */

static void answer(struct i8042 *i8042, uint8_t value)
{
    put_output(i8042, value, FROM_CONTROLLER);
}

static void controller_command(struct i8042 *i8042, uint8_t command)
{
    struct i8042_state *state = &i8042->state;

    switch (command) {
    case 0x20 ... 0x3f:
        answer(i8042, state->ram[command & 0x1f]);
        break;
    case 0x60 ... 0x7f: /* write RAM, */
    case 0xd1 ... 0xd4: /* output port, output buffer as keyboard and as auxiliary, auxiliary device: the byte
                           comes through 60h */
        state->command = command;
        break;
    case 0xa4: /* is a password set? no */
        answer(i8042, 0xf1);
        break;
    case 0xa7:
        state->ram[0] |= MODE_AUXILIARY_OFF;
        break;
    case 0xa8:
        state->ram[0] &= (uint8_t)~MODE_AUXILIARY_OFF;
        break;
    case 0xa9: /* tests of the two interfaces: no fault */
    case 0xab:
        answer(i8042, 0x00);
        break;
    case 0xaa: /* self test passed */
        state->ram[0] |= MODE_SYSTEM;
        answer(i8042, 0x55);
        break;
    case 0xad:
        state->ram[0] |= MODE_KEYBOARD_OFF;
        break;
    case 0xae:
        state->ram[0] &= (uint8_t)~MODE_KEYBOARD_OFF;
        break;
    case 0xc0:
        answer(i8042, INPUT_PORT);
        break;
    case 0xd0:
        answer(i8042, read_output_port(i8042));
        break;
    case 0xdd:
    case 0xdf:
        set_a20(i8042, command == 0xdf);
        break;
    case 0xe0: /* test inputs: clock and data of the keyboard low */
        answer(i8042, 0x00);
        break;
    case 0xf0 ... 0xff: /* pulses low each output port line whose bit is 0; line 0 is the reset */
        if (!(command & OUTPUT_PORT_RUN))
            request_reset(i8042);
        break;
    default: /* not implemented by the chip's firmware: ignored */
        break;
    }
}

/* The data byte of a command that waited for it. */
static void command_data(struct i8042 *i8042, uint8_t command, uint8_t value)
{
    struct i8042_state *state = &i8042->state;

    switch (command) {
    case 0xd1:
        write_output_port(i8042, value);
        break;
    case 0xd2:
        put_output(i8042, value, FROM_KEYBOARD);
        break;
    case 0xd3:
        put_output(i8042, value, FROM_AUXILIARY);
        break;
    case 0xd4: /* nobody there */
        put_output(i8042, REPLY_RESEND, FROM_AUXILIARY);
        state->output_timeout = 1;
        break;
    default:
        state->ram[command & 0x1f] = value;
        break;
    }
}

/* ---- ports
 * ---------------------------------------------------------------------------------------------------------
 */

static uint64_t data_read(void *opaque, uint64_t offset, unsigned width)
{
    uint8_t value = take_output(opaque);

    (void)offset;
    (void)width;
    i8042_settle(opaque);
    return value;
}

static void data_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct i8042 *i8042 = opaque;
    uint8_t command = i8042->state.command;

    (void)offset;
    (void)width;
    i8042->state.last_was_command = 0;
    i8042->state.command = 0;
    if (command) {
        command_data(i8042, command, (uint8_t)value);
    } else {
        i8042->state.ram[0] &= (uint8_t)~MODE_KEYBOARD_OFF;
        i8042_keyboard_write(&i8042->state.keyboard, (uint8_t)value);
    }
    i8042_settle(i8042);
}

static uint64_t status_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct i8042_state *state = &((const struct i8042 *)opaque)->state;
    unsigned value = STATUS_UNLOCKED;

    (void)offset;
    (void)width;
    if (state->output_from != FROM_NOBODY)
        value |= STATUS_OUTPUT_FULL;
    if (state->ram[0] & MODE_SYSTEM)
        value |= STATUS_SYSTEM;
    if (state->last_was_command)
        value |= STATUS_COMMAND;
    if (state->output_from == FROM_AUXILIARY)
        value |= STATUS_AUXILIARY;
    if (state->output_timeout)
        value |= STATUS_TIMEOUT;
    return value;
}

static void command_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct i8042 *i8042 = opaque;

    (void)offset;
    (void)width;
    i8042->state.last_was_command = 1;
    i8042->state.command = 0;
    controller_command(i8042, (uint8_t)value);
    i8042_settle(i8042);
}

/* ---- reset and state
 * ----------------------------------------------------------------------------------------------- */

static void i8042_reset(void *opaque)
{
    struct i8042 *i8042 = opaque;
    struct i8042_state *state = &i8042->state;

    memset(state, 0, sizeof(*state));
    state->ram[0] = MODE_FIRMWARE;
    state->byte_cycles = DEADLINE_NEVER;
    i8042_keyboard_reset(&state->keyboard);
    i8042_keys_reset(i8042);
    i8042_settle(i8042);
}

static void clamp_moment(const struct i8042 *i8042, uint64_t *moment, uint64_t furthest)
{
    if (*moment != DEADLINE_NEVER)
        *moment = MIN(*moment, guest_clock_now(i8042->clock) + furthest);
}

static void i8042_restored(void *opaque)
{
    struct i8042 *i8042 = opaque;
    struct i8042_state *state = &i8042->state;

    if (state->output_from > FROM_AUXILIARY)
        state->output_from = FROM_NOBODY;
    if (state->output_from == FROM_NOBODY)
        state->displaced_valid = 0;
    i8042_keyboard_restored(&state->keyboard);
    clamp_moment(i8042, &state->byte_cycles, i8042->byte_time_cycles);
    clamp_moment(i8042, &state->escape.expires_cycles, i8042->escape_time_cycles);
    i8042_settle(i8042);
}

void i8042_init(struct i8042 *i8042, const struct guest_clock *clock, struct deadline_queue *deadlines,
                const struct i8042_wiring *wiring)
{
    static const struct bus_ops data_ops = {data_read, data_write};
    static const struct bus_ops command_ops = {status_read, command_write};
    uint64_t hz = guest_clock_hz(clock);

    memset(i8042, 0, sizeof(*i8042));
    i8042->clock = clock;
    i8042->wiring = *wiring;
    i8042->byte_time_cycles = MAX(hz * I8042_BYTE_US / 1000000, 1);
    i8042->escape_time_cycles = MAX(hz * I8042_ESCAPE_US / 1000000, 1);
    deadline_init(&i8042->deadline, deadlines, deadline_fired, i8042, "i8042");
    i8042->ports[0] = (struct bus_region){
        .base = 0x60, .length = 1, .widths = 1, .ops = &data_ops, .opaque = i8042, .name = "i8042 data"};
    i8042->ports[1] = (struct bus_region){.base = 0x64,
                                          .length = 1,
                                          .widths = 1,
                                          .ops = &command_ops,
                                          .opaque = i8042,
                                          .name = "i8042 command"};
    i8042->device = (struct device){.name = "i8042",
                                    .opaque = i8042,
                                    .reset = i8042_reset,
                                    .state = &i8042->state,
                                    .state_size = sizeof(i8042->state),
                                    .state_version = I8042_STATE_VERSION,
                                    .restored = i8042_restored};
    i8042_reset(i8042);
}
