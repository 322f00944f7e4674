/* Text from the console to presses on a US keyboard. The contract is in i8042.h; scan codes are set 2. */
#include "devices/i8042_internal.h"

#define ESC         0x1b
#define SHIFT       0x80 /* in `keys`: with Shift */
#define KEY_SHIFT   0x12
#define KEY_CONTROL 0x14
#define KEY_ESC     0x76

/* ANSI: ESC alone, ESC O, ESC [ with a number so far. */
enum { PHASE_TEXT, PHASE_ESC, PHASE_SS3, PHASE_CSI, PHASES };

/* What ASCII 20h to 7Eh needs: the key, and SHIFT. */
static const uint8_t keys[95] = {
    [' ' - 32] = 0x29,         ['!' - 32] = 0x16 | SHIFT, ['"' - 32] = 0x52 | SHIFT,
    ['#' - 32] = 0x26 | SHIFT, ['$' - 32] = 0x25 | SHIFT, ['%' - 32] = 0x2e | SHIFT,
    ['&' - 32] = 0x3d | SHIFT, ['\'' - 32] = 0x52,        ['(' - 32] = 0x46 | SHIFT,
    [')' - 32] = 0x45 | SHIFT, ['*' - 32] = 0x3e | SHIFT, ['+' - 32] = 0x55 | SHIFT,
    [',' - 32] = 0x41,         ['-' - 32] = 0x4e,         ['.' - 32] = 0x49,
    ['/' - 32] = 0x4a,         ['0' - 32] = 0x45,         ['1' - 32] = 0x16,
    ['2' - 32] = 0x1e,         ['3' - 32] = 0x26,         ['4' - 32] = 0x25,
    ['5' - 32] = 0x2e,         ['6' - 32] = 0x36,         ['7' - 32] = 0x3d,
    ['8' - 32] = 0x3e,         ['9' - 32] = 0x46,         [':' - 32] = 0x4c | SHIFT,
    [';' - 32] = 0x4c,         ['<' - 32] = 0x41 | SHIFT, ['=' - 32] = 0x55,
    ['>' - 32] = 0x49 | SHIFT, ['?' - 32] = 0x4a | SHIFT, ['@' - 32] = 0x1e | SHIFT,
    ['[' - 32] = 0x54,         ['\\' - 32] = 0x5d,        [']' - 32] = 0x5b,
    ['^' - 32] = 0x36 | SHIFT, ['_' - 32] = 0x4e | SHIFT, ['`' - 32] = 0x0e,
    ['{' - 32] = 0x54 | SHIFT, ['|' - 32] = 0x5d | SHIFT, ['}' - 32] = 0x5b | SHIFT,
    ['~' - 32] = 0x0e | SHIFT,
};

/* The keys of a to z. */
static const uint8_t letters[26] = {0x1c, 0x32, 0x21, 0x23, 0x24, 0x2b, 0x34, 0x33, 0x43,
                                    0x3b, 0x42, 0x4b, 0x3a, 0x31, 0x44, 0x4d, 0x15, 0x2d,
                                    0x1b, 0x2c, 0x3c, 0x2a, 0x1d, 0x22, 0x35, 0x1a};

struct sequence {
    uint8_t code; /* the final letter, or the number before ~ */
    uint8_t key;
    bool extended;
};

/* ESC [ letter and ESC O letter. */
static const struct sequence by_letter[] = {
    {'A', 0x75, true}, {'B', 0x72, true},  {'C', 0x74, true},  {'D', 0x6b, true},  {'H', 0x6c, true},
    {'F', 0x69, true}, {'P', 0x05, false}, {'Q', 0x06, false}, {'R', 0x04, false}, {'S', 0x0c, false},
};

/* ESC [ number ~. */
static const struct sequence by_number[] = {
    {1, 0x6c, true},   {2, 0x70, true},   {3, 0x71, true},   {4, 0x69, true},   {5, 0x7d, true},
    {6, 0x7a, true},   {11, 0x05, false}, {12, 0x06, false}, {13, 0x04, false}, {14, 0x0c, false},
    {15, 0x03, false}, {17, 0x0b, false}, {18, 0x83, false}, {19, 0x0a, false}, {20, 0x01, false},
    {21, 0x09, false}, {23, 0x78, false}, {24, 0x07, false},
};

/* modifier: the key held meanwhile, or 0. */
static void press(struct i8042 *i8042, uint8_t modifier, uint8_t key, bool extended)
{
    struct i8042_keyboard *keyboard = &i8042->state.keyboard;

    if (modifier)
        i8042_keyboard_key(keyboard, modifier, false, true);
    i8042_keyboard_key(keyboard, key, extended, true);
    i8042_keyboard_key(keyboard, key, extended, false);
    if (modifier)
        i8042_keyboard_key(keyboard, modifier, false, false);
}

static void press_sequence(struct i8042 *i8042, const struct sequence *table, size_t count, uint8_t code)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].code == code)
            press(i8042, 0, table[i].key, table[i].extended);
}

static void press_printable(struct i8042 *i8042, uint8_t modifier, uint8_t ascii)
{
    if (ascii >= 'a' && ascii <= 'z') {
        press(i8042, modifier, letters[ascii - 'a'], false);
    } else if (ascii >= 'A' && ascii <= 'Z') {
        press(i8042, KEY_SHIFT, letters[ascii - 'A'], false);
    } else {
        uint8_t key = keys[ascii - 32];

        press(i8042, modifier ? modifier : key & SHIFT ? KEY_SHIFT : 0, key & (uint8_t)~SHIFT, false);
    }
}

static void press_ascii(struct i8042 *i8042, uint8_t ascii)
{
    /* The control codes above Z: the keys that make them with Ctrl. */
    static const uint8_t above_z[4] = {'\\', ']', '6', '-'};

    switch (ascii) {
    case '\r':
    case '\n':
        press(i8042, 0, 0x5a, false);
        return;
    case '\t':
        press(i8042, 0, 0x0d, false);
        return;
    case '\b':
    case 0x7f:
        press(i8042, 0, 0x66, false);
        return;
    default:
        break;
    }
    if (ascii >= 0x80)
        return;
    if (ascii >= 32)
        press_printable(i8042, 0, ascii);
    else if (ascii == 0)
        press_printable(i8042, KEY_CONTROL, '2');
    else if (ascii <= 26)
        press_printable(i8042, KEY_CONTROL, (uint8_t)('a' + ascii - 1));
    else
        press_printable(i8042, KEY_CONTROL, above_z[ascii - 28]);
}

/* Inside ESC [: digits collect, any final byte ends the sequence. */
static void control_sequence(struct i8042 *i8042, uint8_t byte)
{
    struct i8042_escape *escape = &i8042->state.escape;

    if (byte >= '0' && byte <= '9') {
        escape->number = (uint8_t)(escape->number % 10 * 10 + (byte - '0'));
        return;
    }
    if (byte >= 0x20 && byte < 0x40) /* parameters of sequences that no key stands for */
        return;
    escape->phase = PHASE_TEXT;
    if (byte == '~')
        press_sequence(i8042, by_number, ARRAY_SIZE(by_number), escape->number);
    else
        press_sequence(i8042, by_letter, ARRAY_SIZE(by_letter), byte);
}

static void text_byte(struct i8042 *i8042, uint8_t byte)
{
    struct i8042_escape *escape = &i8042->state.escape;

    if (byte == ESC) {
        escape->phase = PHASE_ESC;
        escape->number = 0;
        escape->expires_cycles = guest_clock_now(i8042->clock) + i8042->escape_time_cycles;
        return;
    }
    press_ascii(i8042, byte);
}

static void receive_byte(struct i8042 *i8042, uint8_t byte)
{
    struct i8042_escape *escape = &i8042->state.escape;

    switch (escape->phase) {
    case PHASE_ESC:
        escape->expires_cycles = DEADLINE_NEVER;
        escape->phase = byte == '[' ? PHASE_CSI : byte == 'O' ? PHASE_SS3 : PHASE_TEXT;
        if (escape->phase == PHASE_TEXT) {
            press(i8042, 0, KEY_ESC, false);
            text_byte(i8042, byte);
        }
        break;
    case PHASE_SS3:
        escape->phase = PHASE_TEXT;
        press_sequence(i8042, by_letter, ARRAY_SIZE(by_letter), byte);
        break;
    case PHASE_CSI:
        control_sequence(i8042, byte);
        break;
    default:
        text_byte(i8042, byte);
        break;
    }
}

size_t i8042_receive_key(struct i8042 *i8042, const uint8_t *ascii, size_t length)
{
    size_t taken = 0;

    while (taken < length && i8042_keyboard_room(&i8042->state.keyboard) >= I8042_KEY_ROOM)
        receive_byte(i8042, ascii[taken++]);
    i8042->keys_wait = taken < length;
    i8042_settle(i8042);
    return taken;
}

void i8042_keys_expired(struct i8042 *i8042)
{
    i8042->state.escape.expires_cycles = DEADLINE_NEVER;
    i8042->state.escape.phase = PHASE_TEXT;
    press(i8042, 0, KEY_ESC, false);
}

void i8042_keys_reset(struct i8042 *i8042)
{
    i8042->state.escape = (struct i8042_escape){.expires_cycles = DEADLINE_NEVER, .phase = PHASE_TEXT};
}
