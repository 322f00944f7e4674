/* Scan codes to text; the contract and the sources are in scan_codes.h. */
#include "arch/x86/host/scan_codes.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define RELEASED      0x80u
#define PREFIX_E0     0xE0u
#define PREFIX_E1     0xE1u /* the Pause key: E1 1D 45 E1 9D C5, and no code when it is let go */
#define PAUSE_REST    5u
#define KEY_BACKSPACE 0x0Eu
#define KEY_ENTER     0x1Cu
#define KEY_CONTROL   0x1Du
#define KEY_SHIFT     0x2Au
#define KEY_SLASH     0x35u
#define KEY_SHIFT_R   0x36u
#define KEY_ALT       0x38u
#define KEY_CAPS_LOCK 0x3Au
#define KEY_F1        0x3Bu
#define KEY_NUM_LOCK  0x45u
#define KEY_KEYPAD    0x47u /* up to KEY_KEYPAD_END; grey keys have these behind E0h */
#define KEY_DELETE    0x53u
#define KEY_F11       0x57u
#define KEY_F12       0x58u

/* By code, \0: no text. */
static const char plain[] = "\0\033"
                            "1234567890-=\177\t"
                            "qwertyuiop[]\r\0"
                            "asdfghjkl;'`\0\\"
                            "zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\033"
                              "!@#$%^&*()_+\177\t"
                              "QWERTYUIOP{}\r\0"
                              "ASDFGHJKL:\"~\0|"
                              "ZXCVBNM<>?\0*\0 ";
static const char keypad[] = "789-456+1230.";

/* The keypad's other side: the letter behind ESC [, or the number before ~. */
static const char *const cursor[] = {"H", "A", "5~", "", "D", "", "C", "", "F", "B", "6~", "2~", "3~"};
static const char *const functions[] = {"OP",   "OQ",   "OR",   "OS",   "[15~", "[17~",
                                        "[18~", "[19~", "[20~", "[21~", "[23~", "[24~"};

static void hold(uint8_t *held, unsigned bit, bool released)
{
    *held = (uint8_t)(released ? *held & ~BIT(bit) : *held | BIT(bit));
}

/* Shift, Control, Alt: pressed or let go. False: it is another key. */
static bool take_modifier(struct scan_codes *codes, unsigned key, bool extended, bool released)
{
    switch (key) {
    case KEY_SHIFT:
    case KEY_SHIFT_R:
        if (!extended) /* behind E0h they are no keys, but come with grey ones */
            hold(&codes->shifts, key == KEY_SHIFT_R, released);
        return true;
    case KEY_CONTROL:
        hold(&codes->controls, extended, released);
        return true;
    case KEY_ALT:
        hold(&codes->alts, extended, released);
        return true;
    default:
        return false;
    }
}

/* What the Control key makes of a character: ASCII's control codes, else itself. */
static char with_control(char character)
{
    if (character >= '@' && character <= '~')
        return character & 0x1F;
    return character == ' ' || character == '2' ? 0 : character == '-' || character == '/' ? 0x1F : character;
}

/* The character of a key; false: it has none. */
static bool character_of(const struct scan_codes *codes, unsigned key, bool extended, char *character)
{
    bool shift = codes->shifts != 0;

    if (extended && key != KEY_ENTER && key != KEY_SLASH)
        return false;
    if (key >= KEY_KEYPAD && key <= KEY_DELETE) {
        *character = keypad[key - KEY_KEYPAD];
        return !(codes->num_unlock ^ shift) || *character == '-' || *character == '+';
    }
    if (key == 0x56) /* beside the left Shift on other keyboards */
        *character = shift ? '|' : '\\';
    else if (key < sizeof plain - 1 && plain[key])
        *character = shift && !extended ? shifted[key] : plain[key];
    else
        return false;
    if (codes->caps_lock && (*character | 0x20) >= 'a' && (*character | 0x20) <= 'z')
        *character ^= 0x20;
    if (codes->controls)
        *character = with_control(*character);
    return true;
}

static const char *sequence_of(unsigned key)
{
    if (key >= KEY_F1 && key < KEY_F1 + 10)
        return functions[key - KEY_F1];
    if (key == KEY_F11 || key == KEY_F12)
        return functions[key - KEY_F11 + 10];
    return NULL;
}

static unsigned press(const struct scan_codes *codes, unsigned key, bool extended, char text[SCAN_TEXT_MAX])
{
    char character;
    const char *sequence;

    if (character_of(codes, key, extended, &character)) {
        unsigned length = 0;

        if (codes->alts)
            text[length++] = 033;
        text[length++] = character;
        return length;
    }
    if (key >= KEY_KEYPAD && key <= KEY_DELETE && *(sequence = cursor[key - KEY_KEYPAD]))
        return (unsigned)fmt_snprintf(text, SCAN_TEXT_MAX, "\033[%s", sequence);
    if (!extended && (sequence = sequence_of(key)))
        return (unsigned)fmt_snprintf(text, SCAN_TEXT_MAX, "\033%s", sequence);
    return 0;
}

unsigned scan_codes_take(struct scan_codes *codes, uint8_t code, uint8_t text[SCAN_TEXT_MAX])
{
    bool extended = codes->extended, released = code & RELEASED;
    unsigned key = code & ~RELEASED;

    if (codes->skip) {
        codes->skip--;
        return 0;
    }
    codes->extended = code == PREFIX_E0;
    codes->skip = code == PREFIX_E1 ? PAUSE_REST : 0;
    if (code == PREFIX_E0 || code == PREFIX_E1 || take_modifier(codes, key, extended, released) || released)
        return 0;
    if (key == KEY_CAPS_LOCK)
        codes->caps_lock = !codes->caps_lock;
    else if (key == KEY_NUM_LOCK && !extended)
        codes->num_unlock = !codes->num_unlock;
    else
        return press(codes, key, extended, (char *)text);
    return 0;
}
