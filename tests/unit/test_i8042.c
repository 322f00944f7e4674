/*
 * The i8042 and its keyboard, rule by rule. Typed text is read back as an operating system does: set 1 scan
 * codes through a US layout that is written here by rows of the keyboard, not taken from the device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "devices/i8042.h"
#include "hv/clock.h"

#define HZ 1000000000
#define MS (HZ / 1000)

static struct rig {
    struct guest_clock clock;
    struct i8042 chip;
    bool a20, restoring;
    unsigned resets, rises, readies;
    bool keyboard_line, auxiliary_line;
    const char *waiting;
} rig;

static void note_reset(void *opaque)
{
    assert_ptr_equal(opaque, &rig);
    rig.resets++;
}

static void set_a20(void *opaque, bool enabled)
{
    (void)opaque;
    rig.a20 = enabled;
}

static bool get_a20(void *opaque)
{
    (void)opaque;
    return rig.a20;
}

static size_t type(const char *text)
{
    return i8042_receive_key(&rig.chip, (const uint8_t *)text, strlen(text));
}

static void note_ready(void *opaque)
{
    (void)opaque;
    rig.readies++;
    if (rig.waiting)
        rig.waiting += type(rig.waiting);
}

static void line_changed(void *opaque, unsigned input, bool level)
{
    (void)opaque;
    if (input == 1)
        rig.keyboard_line = level;
    else
        rig.auxiliary_line = level;
    rig.rises += level;
}

static void make(bool wired)
{
    struct i8042_wiring wiring = {note_reset, set_a20, get_a20, note_ready, &rig};
    struct i8042_wiring nothing = {0};

    i8042_init(&rig.chip, &rig.clock, &rig.clock.deadlines, wired ? &wiring : &nothing);
    irq_line_connect(&rig.chip.irq_keyboard, line_changed, NULL, 1);
    irq_line_connect(&rig.chip.irq_auxiliary, line_changed, NULL, 12);
}

static void round_trip(void)
{
    if (!rig.restoring)
        return;
    struct i8042_state saved = rig.chip.state;
    bool wait = rig.chip.keys_wait;
    unsigned rises = rig.rises;

    deadline_cancel(&rig.chip.deadline);
    memset(&rig.chip, 0xa5, sizeof(rig.chip));
    make(true);
    rig.chip.keys_wait = wait;
    rig.chip.irq_keyboard.level = rig.keyboard_line; /* the far end is restored on its own */
    rig.chip.irq_auxiliary.level = rig.auxiliary_line;
    rig.chip.state = saved;
    rig.chip.device.restored(rig.chip.device.opaque);
    assert_memory_equal(&saved, &rig.chip.state, sizeof(saved));
    assert_int_equal(rises, rig.rises);
}

static uint8_t in(unsigned port)
{
    round_trip();
    return (uint8_t)rig.chip.ports[port == 0x64].ops->read(rig.chip.ports[port == 0x64].opaque, 0, 1);
}

static void out(unsigned port, unsigned value)
{
    round_trip();
    rig.chip.ports[port == 0x64].ops->write(rig.chip.ports[port == 0x64].opaque, 0, 1, value);
}

static void pass(uint64_t cycles)
{
    round_trip();
    guest_clock_advance(&rig.clock, rig.clock.now + cycles);
}

static int setup(void **unused)
{
    (void)unused;
    memset(&rig, 0, sizeof(rig));
    rig.a20 = true;
    guest_clock_init(&rig.clock, HZ);
    make(true);
    return 0;
}

static int setup_restoring(void **unused)
{
    setup(unused);
    rig.restoring = true;
    return 0;
}

/* Reads what the keyboard sends within 50 ms of guest time. */
static size_t collect(uint8_t *bytes, size_t size)
{
    size_t count = 0;

    for (unsigned ms = 0; ms < 50; ms++) {
        pass(MS);
        if (in(0x64) & 1) {
            assert_in_range(count, 0, size - 1);
            bytes[count++] = in(0x60);
        }
    }
    return count;
}

static void expect(const char *bytes, size_t length)
{
    uint8_t got[64];
    size_t count = collect(got, sizeof(got));

    assert_int_equal(count, length);
    assert_memory_equal(got, bytes, length);
}

#define EXPECT(bytes) expect(bytes, sizeof(bytes) - 1)

static uint8_t command(unsigned value)
{
    out(0x64, value);
    assert_int_equal(in(0x64) & 1, 1);
    return in(0x60);
}

static void test_reset_state(void **unused)
{
    (void)unused;
    assert_int_equal(in(0x64), 0x14); /* not FFh, nothing in the buffers, system flag, not locked */
    assert_int_equal(command(0x20), 0x65);
    assert_int_equal(command(0xd0) & 3, 3);
    assert_int_equal(rig.chip.deadline.when, DEADLINE_NEVER);
    out(0x64, 0x60);
    out(0x60, 0x00);
    out(0x64, 0xdd);
    rig.chip.device.reset(rig.chip.device.opaque);
    assert_int_equal(command(0x20), 0x65);
    assert_false(rig.a20);
}

static void test_commands(void **unused)
{
    (void)unused;
    assert_int_equal(command(0xaa), 0x55);
    assert_int_equal(command(0xab), 0x00);
    assert_int_equal(command(0xa9), 0x00);
    assert_int_equal(command(0xa4), 0xf1);
    assert_int_equal(command(0xc0), 0xb0);
    assert_int_equal(command(0xe0), 0x00);
    out(0x64, 0xa8);
    assert_int_equal(command(0x20), 0x45);
    out(0x64, 0xa7);
    assert_int_equal(command(0x20), 0x65);
    out(0x64, 0xad);
    assert_int_equal(command(0x20), 0x75);
    out(0x64, 0xae);
    assert_int_equal(command(0x20), 0x65);
    out(0x64, 0x60);
    assert_int_equal(in(0x64) & 0x08, 0x08);
    out(0x60, 0x41);
    assert_int_equal(in(0x64), 0x10); /* system flag and "last was a command" gone */
    assert_int_equal(command(0xaa), 0x55);
    assert_int_equal(in(0x64) & 0x04, 0x04); /* the self test sets the flag */
    for (unsigned i = 1; i < 32; i++) {
        out(0x64, 0x60 + i);
        out(0x60, 0xc0 + i);
        assert_int_equal(command(0x20 + i), 0xc0 + i);
    }
    out(0x64, 0xac); /* unknown: no answer */
    assert_int_equal(in(0x64) & 1, 0);
    out(0x64, 0x60); /* a command in place of the data byte */
    assert_int_equal(command(0xab), 0x00);
    out(0x60, 0xee); /* goes to the keyboard, not to the command byte */
    EXPECT("\xee");
}

static void test_a20_and_reset(void **unused)
{
    (void)unused;
    out(0x64, 0xdd);
    assert_false(rig.a20);
    assert_int_equal(command(0xd0) & 2, 0);
    out(0x64, 0xdf);
    assert_true(rig.a20);
    out(0x64, 0xd1);
    out(0x60, 0xdd);
    assert_false(rig.a20);
    out(0x64, 0xd1);
    out(0x60, 0xdf);
    assert_true(rig.a20);
    assert_int_equal(rig.resets, 0);
    out(0x64, 0xff);
    out(0x64, 0xfd);
    assert_int_equal(rig.resets, 0);
    out(0x64, 0xfe);
    assert_int_equal(rig.resets, 1);
    out(0x64, 0xf0);
    assert_int_equal(rig.resets, 2);
    out(0x64, 0xd1);
    out(0x60, 0x02);
    assert_int_equal(rig.resets, 3);
    /* With no machine around it. */
    deadline_cancel(&rig.chip.deadline);
    make(false);
    rig.restoring = false;
    out(0x64, 0xfe);
    out(0x64, 0xdd);
    assert_int_equal(command(0xd0) & 2, 2);
    assert_int_equal(type("12345"), 3); /* three bytes each, and 9 of 16 must be free */
    uint8_t bytes[64];
    collect(bytes, sizeof(bytes));
}

static void test_irq1(void **unused)
{
    (void)unused;
    out(0x64, 0x20);
    assert_true(rig.keyboard_line);
    assert_int_equal(command(0xd0) & 0x30, 0x10);
    assert_false(rig.keyboard_line);
    out(0x64, 0xd2);
    out(0x60, 0x77);
    assert_true(rig.keyboard_line);
    assert_int_equal(in(0x64) & 0x21, 0x01);
    assert_int_equal(in(0x60), 0x77);
    out(0x64, 0x60);
    out(0x60, 0x64);
    out(0x64, 0xd2);
    out(0x60, 0x77);
    assert_false(rig.keyboard_line);
    out(0x64, 0x60);
    out(0x60, 0x65);
    assert_true(rig.keyboard_line);
    assert_int_equal(in(0x60), 0x77);
    /* Each byte of the keyboard is an edge of its own. */
    rig.rises = 0;
    type("a");
    pass(100 * MS);
    assert_int_equal(rig.rises, 1); /* waits to be read */
    EXPECT("\x1e\x9e");
    assert_int_equal(rig.rises, 2);
}

static void test_timing(void **unused)
{
    (void)unused;
    pass(12345);
    out(0x60, 0xf2);
    pass(MS - 1);
    assert_int_equal(in(0x64) & 1, 0);
    pass(1);
    assert_int_equal(in(0x60), 0xfa);
    pass(MS - 1);
    assert_int_equal(in(0x64) & 1, 0);
    pass(1);
    assert_int_equal(in(0x60), 0xab);
    /* An answer of the controller in the way: the frame starts again when the buffer is free. */
    pass(MS / 2);
    out(0x64, 0x20);
    pass(10 * MS);
    assert_int_equal(in(0x60), 0x65);
    pass(MS - 1);
    assert_int_equal(in(0x64) & 1, 0);
    pass(1);
    assert_int_equal(in(0x60), 0x41); /* 83h, translated as each byte is */
}

static void test_displaced_byte(void **unused)
{
    (void)unused;
    type("a");
    pass(2 * MS);
    assert_int_equal(command(0x20), 0x65);
    assert_true(rig.keyboard_line); /* fell and rose */
    EXPECT("\x1e\x9e");
}

static void test_read_empty(void **unused)
{
    (void)unused;
    command(0xaa);
    assert_int_equal(in(0x60), 0x55);
    assert_int_equal(in(0x64) & 1, 0);
}

static void test_auxiliary(void **unused)
{
    (void)unused;
    out(0x64, 0xd3);
    out(0x60, 0x5a);
    assert_int_equal(in(0x64) & 0x61, 0x21);
    assert_false(rig.auxiliary_line); /* not enabled */
    assert_false(rig.keyboard_line);
    assert_int_equal(in(0x60), 0x5a);
    out(0x64, 0x60);
    out(0x60, 0x47);
    out(0x64, 0xd4);
    out(0x60, 0xff);
    assert_true(rig.auxiliary_line);
    assert_int_equal(in(0x64) & 0x61, 0x61);
    assert_int_equal(in(0x60), 0xfe);
    assert_false(rig.auxiliary_line);
    assert_int_equal(in(0x64) & 0x61, 0x00);
    out(0x64, 0xd3);
    out(0x60, 0x00);
    out(0x64, 0xd0); /* displaced for good: it was no byte of the keyboard */
    assert_int_equal(in(0x60) & 0x30, 0x20);
    assert_int_equal(in(0x64) & 1, 0);
}

static void test_keyboard_commands(void **unused)
{
    (void)unused;
    out(0x60, 0xff);
    EXPECT("\xfa\xaa");
    out(0x60, 0xf2);
    EXPECT("\xfa\xab\x41");
    out(0x60, 0xee);
    EXPECT("\xee");
    out(0x60, 0xed);
    EXPECT("\xfa");
    out(0x60, 0x06);
    EXPECT("\xfa");
    assert_int_equal(rig.chip.state.keyboard.leds, 6);
    out(0x60, 0xf3);
    EXPECT("\xfa");
    out(0x60, 0x20);
    EXPECT("\xfa");
    out(0x60, 0xfe);
    EXPECT("\xfa"); /* the last byte again */
    out(0x60, 0xf0);
    EXPECT("\xfa");
    out(0x60, 0x00);
    EXPECT("\xfa\x41"); /* 2, translated */
    out(0x60, 0xed);
    EXPECT("\xfa");
    out(0x60, 0xf4); /* a command in place of the parameter */
    EXPECT("\xfa");
    assert_int_equal(rig.chip.state.keyboard.leds, 6);
    out(0x60, 0xf6);
    EXPECT("\xfa");
}

static void test_keyboard_refuses(void **unused)
{
    (void)unused;
    out(0x60, 0x00);
    EXPECT("\xfe");
    out(0x60, 0xf1);
    EXPECT("\xfe");
    out(0x60, 0xf0);
    EXPECT("\xfa");
    out(0x60, 0x03);
    EXPECT("\xfe");
}

static void test_reply_overflow(void **unused)
{
    uint8_t bytes[64];

    (void)unused;
    for (unsigned i = 0; i < 100; i++)
        out(0x60, 0xee);
    assert_int_equal(collect(bytes, sizeof(bytes)), 16);
}

static void test_disabled(void **unused)
{
    (void)unused;
    out(0x60, 0xf5);
    EXPECT("\xfa");
    assert_int_equal(type("lost"), 4);
    EXPECT("");
    out(0x60, 0xf4);
    EXPECT("\xfa");
    type("a");
    EXPECT("\x1e\x9e");
    out(0x64, 0xad);
    type("b");
    EXPECT("");
    out(0x64, 0xae);
    EXPECT("\x30\xb0");
    out(0x64, 0xad);
    out(0x60, 0xee);
    EXPECT("\xee");
    assert_int_equal(command(0x20) & 0x10, 0);
}

static void test_scan_sets(void **unused)
{
    (void)unused;
    out(0x64, 0x60);
    out(0x60, 0x05); /* no translation */
    type("A\x1b[A");
    EXPECT("\x12\x1c\xf0\x1c\xf0\x12\xe0\x75\xe0\xf0\x75");
    out(0x60, 0xf2);
    EXPECT("\xfa\xab\x83");
    out(0x60, 0xf0);
    EXPECT("\xfa");
    out(0x60, 0x01);
    EXPECT("\xfa");
    type("a\x1b[A");
    EXPECT("\x1e\x9e\xe0\x48\xe0\xc8");
    out(0x60, 0xf0);
    EXPECT("\xfa");
    out(0x60, 0x00);
    EXPECT("\xfa\x01");
}

/* Set 1 scan codes 1 to 39h by rows of a US keyboard. */
static const char plain[] = "\0\0331234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\033!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

/* What a console driver makes of the bytes. */
static char decode(const uint8_t *bytes, size_t count)
{
    bool shift = false, control = false;
    char result = 0;

    for (size_t i = 0; i < count; i++) {
        uint8_t key = bytes[i] & 0x7f;
        bool down = bytes[i] < 0x80;

        if (key == 0x2a) {
            shift = down;
        } else if (key == 0x1d) {
            control = down;
        } else if (down) {
            assert_in_range(key, 1, 0x39);
            assert_int_equal(result, 0);
            result = shift ? shifted[key] : plain[key];
            if (control)
                result &= 0x1f;
        }
    }
    assert_false(shift || control);
    return result;
}

static void test_typing(void **unused)
{
    (void)unused;
    for (char c = 1; c < 0x7f; c++) {
        uint8_t bytes[64];
        char text[2] = {c, 0};

        if (c == 0x1b)
            continue;
        assert_int_equal(type(text), 1);
        char got = decode(bytes, collect(bytes, sizeof(bytes)));
        if (c == 0x1e) /* Ctrl-6 and Ctrl-minus: a console's key map gives them */
            assert_int_equal(got, '6' & 0x1f);
        else if (c == 0x1f)
            assert_int_equal(got, '-' & 0x1f);
        else
            assert_int_equal(got, c == '\r' ? '\n' : c);
    }
    type("\x7f");
    EXPECT("\x0e\x8e");
    assert_int_equal(i8042_receive_key(&rig.chip, (const uint8_t *)"\0\xe9", 2), 2);
    EXPECT("\x1d\x03\x83\x9d"); /* Ctrl-2; what no key makes is dropped */
}

static void test_escape_sequences(void **unused)
{
    static const struct {
        const char *text;
        uint8_t key; /* set 1 */
        bool extended;
    } keys[] = {
        {"\x1b[A", 0x48, true},    {"\x1b[B", 0x50, true},    {"\x1b[C", 0x4d, true},
        {"\x1b[D", 0x4b, true},    {"\x1bOA", 0x48, true},    {"\x1b[H", 0x47, true},
        {"\x1b[F", 0x4f, true},    {"\x1b[1~", 0x47, true},   {"\x1b[2~", 0x52, true},
        {"\x1b[3~", 0x53, true},   {"\x1b[4~", 0x4f, true},   {"\x1b[5~", 0x49, true},
        {"\x1b[6~", 0x51, true},   {"\x1bOP", 0x3b, false},   {"\x1bOQ", 0x3c, false},
        {"\x1bOR", 0x3d, false},   {"\x1bOS", 0x3e, false},   {"\x1b[11~", 0x3b, false},
        {"\x1b[12~", 0x3c, false}, {"\x1b[13~", 0x3d, false}, {"\x1b[14~", 0x3e, false},
        {"\x1b[15~", 0x3f, false}, {"\x1b[17~", 0x40, false}, {"\x1b[18~", 0x41, false},
        {"\x1b[19~", 0x42, false}, {"\x1b[20~", 0x43, false}, {"\x1b[21~", 0x44, false},
        {"\x1b[23~", 0x57, false}, {"\x1b[24~", 0x58, false},
    };

    (void)unused;
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char extended[] = {(char)0xe0, (char)keys[i].key, (char)0xe0, (char)(keys[i].key | 0x80)};
        char simple[] = {(char)keys[i].key, (char)(keys[i].key | 0x80)};

        assert_int_equal(type(keys[i].text), strlen(keys[i].text));
        if (keys[i].extended)
            expect(extended, 4);
        else
            expect(simple, 2);
    }
    type("\x1b[99~\x1b[?25h\x1bOx"); /* unknown: nothing, and text goes on */
    type("a");
    EXPECT("\x1e\x9e");
    type("\x1b");
    type("[");
    type("A");
    EXPECT("\xe0\x48\xe0\xc8");
}

static void test_escape_key(void **unused)
{
    (void)unused;
    type("\x1b");
    pass(50 * MS - 1);
    assert_int_equal(rig.chip.state.keyboard.keys.count, 0);
    pass(1);
    EXPECT("\x01\x81");
    type("\x1b"
         "a"); /* something else follows: Esc, then that */
    EXPECT("\x01\x81\x1e\x9e");
    type("\x1b\x1b[A");
    EXPECT("\x01\x81\xe0\x48\xe0\xc8");
}

static void test_flow_of_keys(void **unused)
{
    uint8_t bytes[256];

    (void)unused;
    rig.waiting = "The Quick Brown Fox";
    rig.waiting += type(rig.waiting);
    assert_int_not_equal(*rig.waiting, 0);
    size_t count = 0;
    for (unsigned i = 0; i < 10; i++)
        count += collect(bytes + count, sizeof(bytes) - count);
    assert_int_equal(*rig.waiting, 0);
    assert_int_equal(count, 2 * 19 + 4 * 2); /* four capitals */
    assert_true(rig.readies >= 5);
}

static void test_restore_garbage(void **unused)
{
    (void)unused;
    for (unsigned seed = 0; seed < 512; seed++) {
        setup(NULL);
        pass(1000);
        for (size_t i = 0; i < sizeof(rig.chip.state); i++)
            ((uint8_t *)&rig.chip.state)[i] = (uint8_t)(seed * 91 + i * seed * 7 + i / 5);
        rig.chip.device.restored(rig.chip.device.opaque);
        for (unsigned i = 0; i < 40; i++) {
            pass(MS);
            in(0x64);
            in(0x60);
        }
        type("a\x1b[A\x1b");
        pass(HZ);
        rig.chip.device.reset(rig.chip.device.opaque);
        type("a");
        EXPECT("\x1e\x9e");
    }
}

int main(void)
{
#define BOTH_WAYS(test) cmocka_unit_test_setup(test, setup), cmocka_unit_test_setup(test, setup_restoring)
    const struct CMUnitTest tests[] = {
        BOTH_WAYS(test_reset_state),
        BOTH_WAYS(test_commands),
        BOTH_WAYS(test_a20_and_reset),
        BOTH_WAYS(test_irq1),
        BOTH_WAYS(test_timing),
        BOTH_WAYS(test_displaced_byte),
        BOTH_WAYS(test_read_empty),
        BOTH_WAYS(test_auxiliary),
        BOTH_WAYS(test_keyboard_commands),
        BOTH_WAYS(test_keyboard_refuses),
        BOTH_WAYS(test_reply_overflow),
        BOTH_WAYS(test_disabled),
        BOTH_WAYS(test_scan_sets),
        BOTH_WAYS(test_typing),
        BOTH_WAYS(test_escape_sequences),
        BOTH_WAYS(test_escape_key),
        BOTH_WAYS(test_flow_of_keys),
        cmocka_unit_test_setup(test_restore_garbage, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
