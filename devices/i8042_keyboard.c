/* The keyboard behind the i8042: commands, buffers, scan codes. What it models and its sources are in
 * i8042.h. */
#include "devices/i8042_internal.h"

#include "lib/string.h"

#define COMMAND_LEDS      0xed
#define COMMAND_ECHO      0xee
#define COMMAND_SCAN_SET  0xf0
#define COMMAND_IDENTIFY  0xf2
#define COMMAND_TYPEMATIC 0xf3
#define COMMAND_ENABLE    0xf4
#define COMMAND_DISABLE   0xf5
#define COMMAND_DEFAULTS  0xf6
#define COMMAND_RESEND    0xfe
#define COMMAND_RESET     0xff

#define REPLY_ACK       0xfa
#define REPLY_PASSED    0xaa
#define REPLY_RESEND    0xfe
#define IDENTITY_FIRST  0xab
#define IDENTITY_SECOND 0x83

#define BREAK_PREFIX      0xf0
#define EXTENDED_PREFIX   0xe0
#define SET1_BREAK        0x80
#define TYPEMATIC_DEFAULT 0x2b /* 10.9 a second after 500 ms */

/* "Keyboard Controller", scan code translation: index set 2, value set 1. */
static const uint8_t set1_of_set2[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

uint8_t i8042_translate(uint8_t byte)
{
    if (byte < sizeof(set1_of_set2))
        return set1_of_set2[byte];
    if (byte == 0x83) /* F7 */
        return 0x41;
    if (byte == 0x84) /* Alt with Print Screen */
        return 0x54;
    return byte;
}

/* ---- buffers
 * ------------------------------------------------------------------------------------------------------- */

static void queue_put(struct i8042_queue *queue, uint8_t byte)
{
    if (queue->count == I8042_QUEUE)
        return;
    queue->bytes[(unsigned)(queue->head + queue->count) % I8042_QUEUE] = byte;
    queue->count++;
}

static uint8_t queue_take(struct i8042_queue *queue)
{
    uint8_t byte = queue->bytes[queue->head];

    queue->head = (uint8_t)((unsigned)(queue->head + 1) % I8042_QUEUE);
    queue->count--;
    return byte;
}

static void queue_restored(struct i8042_queue *queue)
{
    queue->head %= I8042_QUEUE;
    queue->count = MIN(queue->count, I8042_QUEUE);
}

bool i8042_keyboard_has_byte(const struct i8042_keyboard *keyboard)
{
    return keyboard->replies.count || keyboard->keys.count;
}

uint8_t i8042_keyboard_take(struct i8042_keyboard *keyboard)
{
    struct i8042_queue *queue = keyboard->replies.count ? &keyboard->replies : &keyboard->keys;
    uint8_t byte = queue_take(queue);

    keyboard->last_sent = byte;
    return byte;
}

unsigned i8042_keyboard_room(const struct i8042_keyboard *keyboard)
{
    return I8042_QUEUE - (unsigned)keyboard->keys.count;
}

void i8042_keyboard_key(struct i8042_keyboard *keyboard, uint8_t code, bool extended, bool pressed)
{
    struct i8042_queue *keys = &keyboard->keys;

    if (!keyboard->scanning)
        return;
    if (extended)
        queue_put(keys, EXTENDED_PREFIX);
    if (keyboard->scan_set == 1) {
        queue_put(keys, i8042_translate(code) | (pressed ? 0 : SET1_BREAK));
        return;
    }
    if (!pressed)
        queue_put(keys, BREAK_PREFIX);
    queue_put(keys, code);
}

/* ---- commands
 * ------------------------------------------------------------------------------------------------------ */

static void set_defaults(struct i8042_keyboard *keyboard)
{
    keyboard->scan_set = 2;
    keyboard->typematic = TYPEMATIC_DEFAULT;
    keyboard->keys.count = 0;
}

static void power_on(struct i8042_keyboard *keyboard)
{
    set_defaults(keyboard);
    keyboard->scanning = 1;
    keyboard->leds = 0;
}

static void write_parameter(struct i8042_keyboard *keyboard, uint8_t command, uint8_t value)
{
    uint8_t reply = REPLY_ACK;

    if (command == COMMAND_LEDS) {
        keyboard->leds = value & 7;
    } else if (command == COMMAND_TYPEMATIC) {
        keyboard->typematic = value;
    } else if (value == 1 || value == 2) {
        keyboard->scan_set = value;
        keyboard->keys.count = 0;
    } else if (value != 0) {
        reply = REPLY_RESEND;
    }
    queue_put(&keyboard->replies, reply);
    if (command == COMMAND_SCAN_SET && value == 0)
        queue_put(&keyboard->replies, keyboard->scan_set);
}

static void write_command(struct i8042_keyboard *keyboard, uint8_t command)
{
    struct i8042_queue *replies = &keyboard->replies;

    switch (command) {
    case COMMAND_ECHO:
        queue_put(replies, COMMAND_ECHO);
        return;
    case COMMAND_RESEND:
        queue_put(replies, keyboard->last_sent);
        return;
    case COMMAND_LEDS:
    case COMMAND_SCAN_SET:
    case COMMAND_TYPEMATIC:
        keyboard->command = command;
        queue_put(replies, REPLY_ACK);
        return;
    case COMMAND_IDENTIFY:
        queue_put(replies, REPLY_ACK);
        queue_put(replies, IDENTITY_FIRST);
        queue_put(replies, IDENTITY_SECOND);
        return;
    case COMMAND_ENABLE:
        keyboard->keys.count = 0;
        keyboard->scanning = 1;
        queue_put(replies, REPLY_ACK);
        return;
    case COMMAND_DISABLE:
    case COMMAND_DEFAULTS:
        set_defaults(keyboard);
        if (command == COMMAND_DISABLE)
            keyboard->scanning = 0;
        queue_put(replies, REPLY_ACK);
        return;
    case COMMAND_RESET:
        power_on(keyboard);
        replies->count = 0;
        queue_put(replies, REPLY_ACK);
        queue_put(replies, REPLY_PASSED);
        return;
    default:
        queue_put(replies, REPLY_RESEND);
    }
}

void i8042_keyboard_write(struct i8042_keyboard *keyboard, uint8_t value)
{
    uint8_t command = keyboard->command;

    keyboard->command = 0;
    if (command && value < 0x80) /* a command in place of the parameter ends the wait for it */
        write_parameter(keyboard, command, value);
    else
        write_command(keyboard, value);
}

void i8042_keyboard_reset(struct i8042_keyboard *keyboard)
{
    memset(keyboard, 0, sizeof(*keyboard));
    power_on(keyboard);
}

void i8042_keyboard_restored(struct i8042_keyboard *keyboard)
{
    queue_restored(&keyboard->replies);
    queue_restored(&keyboard->keys);
    keyboard->scanning = !!keyboard->scanning;
    if (keyboard->scan_set != 1)
        keyboard->scan_set = 2;
}
