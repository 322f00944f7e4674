/*
 * The host's keyboard driver on the i8042 that guests get: text typed into that one comes out of the driver.
 * The two know nothing of each other's tables: the device makes set 2 and translates, the driver reads set 1.
 * What the device's keyboard can't type stands as scan codes of set 1, from the manual's table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/api/keyboard.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/scan_codes.h"
#include "devices/i8042.h"
#include "hv/clock.h"

#define HZ      1000000000
#define STEP    (HZ / 100000)
#define SETTLES 20000u

static struct guest_clock clock;
static struct i8042 chip;
static enum { CHIP, ABSENT, ZERO, BUSY, DEAF, FLOODING } kind;
static unsigned long accesses;

uint8_t inb(uint16_t port)
{
    struct bus_region *region = &chip.ports[port == 0x64];

    assert_true(port == 0x60 || port == 0x64);
    accesses++;
    switch (kind) {
    case ABSENT:
        return 0xFF;
    case ZERO:
    case DEAF:
        return 0;
    case BUSY:
        return 0x02;
    case FLOODING:
        return port == 0x64 ? 0x01 : 0x00; /* 00h: an overrun */
    case CHIP:
    default:
        guest_clock_advance(&clock, clock.now + STEP);
        return (uint8_t)region->ops->read(region->opaque, 0, 1);
    }
}

void outb(uint16_t port, uint8_t value)
{
    struct bus_region *region = &chip.ports[port == 0x64];

    assert_true(port == 0x60 || port == 0x64);
    accesses++;
    if (kind == CHIP)
        region->ops->write(region->opaque, 0, 1, value);
}

static int setup(void **unused)
{
    struct i8042_wiring nothing = {0};

    (void)unused;
    kind = CHIP;
    memset(&chip, 0, sizeof chip);
    guest_clock_init(&clock, HZ);
    i8042_init(&chip, &clock, &clock.deadlines, &nothing);
    return 0;
}

static void settle(char *got, size_t size)
{
    size_t count = 0;

    for (unsigned i = 0; i < SETTLES; i++) {
        uint8_t bytes[16];
        size_t more = host_keyboard_read(bytes, sizeof bytes);

        assert_in_range(count + more, 0, size - 1);
        memcpy(got + count, bytes, more);
        count += more;
    }
    got[count] = 0;
}

/* Typed in one piece, or in as many as the device's buffer makes of it. */
static void expect_typed(const char *text)
{
    char got[64];

    for (const char *rest = text; *rest;) {
        size_t taken = i8042_receive_key(&chip, (const uint8_t *)rest, strlen(rest));

        settle(got, sizeof got);
        assert_int_equal(strlen(got), taken);
        assert_memory_equal(got, rest, taken);
        rest += taken;
    }
}

static void test_text(void **unused)
{
    char all[2] = "";

    (void)unused;
    assert_true(host_keyboard_open());
    for (char c = ' '; c < 0x7F; c++) {
        all[0] = c;
        expect_typed(all);
    }
    expect_typed("echo \"Hello, World\"; ls -l | wc\r");
    expect_typed("\x01t\x03\x04\x1a\t\r\x7f");
}

static void test_cursor_and_function_keys(void **unused)
{
    static const char *const sequences[] = {
        "\033[A",   "\033[B",   "\033[C",   "\033[D",   "\033[H",   "\033[F",   "\033[2~",  "\033[3~",
        "\033[5~",  "\033[6~",  "\033OP",   "\033OQ",   "\033OR",   "\033OS",   "\033[15~", "\033[17~",
        "\033[18~", "\033[19~", "\033[20~", "\033[21~", "\033[23~", "\033[24~",
    };

    (void)unused;
    assert_true(host_keyboard_open());
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++)
        expect_typed(sequences[i]);
    i8042_receive_key(&chip, (const uint8_t *)"\033", 1); /* alone */
    guest_clock_advance(&clock, clock.now + HZ);
    char got[64];
    settle(got, sizeof got);
    assert_string_equal(got, "\033");
}

/* Firmware left its interrupts on and the keyboard off, without translation, and something was typed. */
static void test_set_up(void **unused)
{
    (void)unused;
    i8042_receive_key(&chip, (const uint8_t *)"typed before", 4);
    guest_clock_advance(&clock, clock.now + HZ / 100);
    outb(0x64, 0x60);
    outb(0x60, 0x13);
    guest_clock_advance(&clock, clock.now + HZ / 100);
    assert_true(host_keyboard_open());
    assert_int_equal(chip.state.ram[0] & 0x7B, 0x60); /* bit 2 says that the system has started */
    assert_int_equal(chip.state.keyboard.scanning, 1);
    char got[64];
    settle(got, sizeof got); /* the rest of what was typed before */
    expect_typed("now");
}

static void test_nothing_there(void **unused)
{
    uint8_t bytes[16];

    (void)unused;
    for (kind = ABSENT; kind <= FLOODING; kind++) {
        accesses = 0;
        assert_false(host_keyboard_open());
        assert_true(accesses < 300000);
        accesses = 0;
        assert_int_equal(host_keyboard_read(bytes, sizeof bytes), 0);
        assert_true(accesses < 100);
    }
}

/* It breaks later: bytes without end that are no text, in a look that must end. */
static void test_breaks(void **unused)
{
    uint8_t bytes[16];

    (void)unused;
    assert_true(host_keyboard_open());
    for (kind = ABSENT; kind <= FLOODING; kind++) {
        accesses = 0;
        assert_int_equal(host_keyboard_read(bytes, sizeof bytes), 0);
        assert_true(accesses < 100);
    }
}

static const char *text_of(struct scan_codes *codes, const char *scan, size_t length)
{
    static char text[64];
    size_t count = 0;

    for (size_t i = 0; i < length; i++) {
        uint8_t piece[SCAN_TEXT_MAX];
        unsigned more = scan_codes_take(codes, (uint8_t)scan[i], piece);

        assert_in_range(more, 0, SCAN_TEXT_MAX);
        memcpy(text + count, piece, more);
        count += more;
    }
    text[count] = 0;
    return text;
}

#define TEXT(codes, scan) text_of(codes, scan, sizeof(scan) - 1)

static void test_locks(void **unused)
{
    struct scan_codes codes = {0};

    (void)unused;
    assert_string_equal(TEXT(&codes, "\x3a\xba\x1e\x9e\x02\x82"), "A1"); /* Caps Lock: letters only */
    assert_string_equal(TEXT(&codes, "\x2a\x1e\x9e\xaa"), "a");
    assert_string_equal(TEXT(&codes, "\x3a\xba\x1e\x9e"), "a");
    assert_string_equal(TEXT(&codes, "\x47\xc7\x48\x53\x4a\x4e\x37"), "78.-+*"); /* the keypad */
    assert_string_equal(TEXT(&codes, "\x45\xc5\x48\xc8\x4c\x4a"), "\033[A-");
    assert_string_equal(TEXT(&codes, "\x2a\x48\xaa"), "8");
    assert_string_equal(TEXT(&codes, "\x45\xc5\x48"), "8");
    assert_string_equal(TEXT(&codes, "\xe0\x1c\xe0\x9c\xe0\x35\xe0\xb5"), "\r/");
}

static void test_modifiers(void **unused)
{
    struct scan_codes codes = {0};

    (void)unused;
    assert_string_equal(TEXT(&codes, "\x38\x30\xb0\xb8"), "\033b"); /* Alt-b */
    assert_string_equal(TEXT(&codes, "\xe0\x1d\x2e\xae\xe0\x9d\x2e"), "\x03"
                                                                      "c");               /* right Control */
    assert_string_equal(TEXT(&codes, "\x2a\x36\x1e\xaa\x1e\xb6\x1e"), "AAa");             /* both Shifts */
    assert_string_equal(TEXT(&codes, "\xe0\x2a\xe0\x4b\xe0\xcb\xe0\xaa\x1e"), "\033[Da"); /* a grey key's */
    assert_string_equal(TEXT(&codes, "\x1d\x1a\x1b\x2b\x9d"), "\033\x1d\x1c");
}

static void test_no_text(void **unused)
{
    struct scan_codes codes = {0};

    (void)unused;
    assert_string_equal(TEXT(&codes, "\xe1\x1d\x45\xe1\x9d\xc5\x1e\x48"), "a8"); /* Pause; no lock changes */
    assert_string_equal(TEXT(&codes, "\xfa\xfe\xee\xaa\x00\xff"), "");           /* answers, overrun */
    assert_string_equal(TEXT(&codes, "\xe0\x37\xe0\xb7\xe0\x5b\xe0\xdb\x46\xc6"), "");
    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++) {
            const char scan[2] = {(char)first, (char)second};

            codes = (struct scan_codes){0};
            text_of(&codes, scan, 2); /* any bytes: its bounds */
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_text, setup),
        cmocka_unit_test_setup(test_cursor_and_function_keys, setup),
        cmocka_unit_test_setup(test_set_up, setup),
        cmocka_unit_test_setup(test_nothing_there, setup),
        cmocka_unit_test_setup(test_breaks, setup),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_modifiers),
        cmocka_unit_test(test_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
