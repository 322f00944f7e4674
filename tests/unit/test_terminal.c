/* The screen's terminal (arch/x86/host/terminal.c), by ECMA-48 and by what a person expects to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/host/terminal.h"
#include "lib/prng.h"

#define ROWS    10u
#define COLUMNS 20u

static struct terminal terminal;
static char screen[ROWS][COLUMNS + 1];
static unsigned drawn;

static void draw(unsigned row, unsigned column, uint8_t character)
{
    assert_in_range(row, 0, ROWS - 1);
    assert_in_range(column, 0, COLUMNS - 1);
    assert_in_range(character, 0x20, 0x7F);
    screen[row][column] = (char)character;
    drawn++;
}

static int setup(void **state)
{
    (void)state;
    terminal_init(&terminal, COLUMNS, ROWS, draw);
    memset(screen, ' ', sizeof screen);
    for (unsigned row = 0; row < ROWS; row++)
        screen[row][COLUMNS] = 0;
    drawn = 0;
    return 0;
}

static void say(const char *text)
{
    terminal_write(&terminal, (const uint8_t *)text, strlen(text));
}

/* The row without its trailing blanks. */
static void check_row(unsigned row, const char *wanted)
{
    char text[COLUMNS + 1];
    size_t length = COLUMNS;

    memcpy(text, screen[row], sizeof text);
    while (length && text[length - 1] == ' ')
        text[--length] = 0;
    assert_string_equal(text, wanted);
}

static void test_lines(void **state)
{
    (void)state;
    say("one\r\ntwo\r\n  three\rX\r\na\tb\bc\r\n\x07\x01");
    check_row(0, "one");
    check_row(1, "two");
    check_row(2, "X three");
    check_row(3, "a       c");
    check_row(4, "");
}

/* A line as long as the screen is wide takes one row: the next one comes with the next character. */
static void test_long_lines(void **state)
{
    (void)state;
    say("01234567890123456789\r\nnext\r\n0123456789012345678901234");
    check_row(0, "01234567890123456789");
    check_row(1, "next");
    check_row(2, "01234567890123456789");
    check_row(3, "01234");
    say("\r\n01234567890123456789\b!");
    check_row(4, "0123456789012345678!");
}

/* The last line is always there, and the ones before it in order, whatever the share that a screen moves. */
static void test_scrolling(void **state)
{
    char text[8] = "";

    (void)state;
    for (char i = 0; i < 90; i++) {
        text[0] = (char)('!' + i);
        say(i ? "\r\n" : "");
        say(text);
        unsigned last = 0;
        for (unsigned row = 0; row < ROWS; row++)
            if (screen[row][0] != ' ')
                last = row;
        for (unsigned back = 0; back <= last; back++)
            assert_int_equal(screen[last - back][0], '!' + i - (char)back);
        assert_true(last + 1 == ROWS || (unsigned)i < ROWS || last >= ROWS / 2);
    }
}

/* Only what differs is drawn. */
static void test_little_is_drawn(void **state)
{
    (void)state;
    say("same\r\nsame\r\nsame\r\nsame\r\nsame\r\nsame\r\nsame\r\nsame\r\nsame\r\nsame");
    assert_int_equal(drawn, 40);
    say("\r\nsame");
    assert_int_equal(drawn, 40);
    say("\r    ");
    assert_int_equal(drawn, 44);
}

static void test_sequences(void **state)
{
    (void)state;
    say("\x1b[1;31mred\x1b[0m \x1b[6n\x1b[?25lplain\r\n");
    check_row(0, "red plain");
    say("abcdef\x1b[3D\x1b[K\r\n123456\x1b[1K");
    check_row(1, "abc");
    check_row(2, "");
    say("\x1b[5;3Hhere\x1b[A\x1b[2Cup\x1b[B\x1b[1Gdown");
    check_row(4, "downre");
    check_row(3, "        up");
    say("\x1b[2J\x1b[HX\x1b[99;99HY\x1b[99999999999A\x1b[99D!");
    check_row(0, "!");
    assert_int_equal(screen[ROWS - 1][COLUMNS - 1], 'Y');
    say("\x1b[J");
    assert_int_equal(screen[ROWS - 1][COLUMNS - 1], ' ');
    say("\x1b(Bx\x1b\x1b[1mz\x1b[3\nq");
    check_row(0, "!xz");
}

/* A character of several bytes takes one cell. */
static void test_utf8(void **state)
{
    (void)state;
    say("a\xc3\xa4o\xe2\x82\xac.");
    check_row(0, "a\x7fo\x7f.");
}

/* Whatever comes: inside the screen (draw() looks), and what is shown is what should be. */
static void test_random(void **state)
{
    static const char alphabet[] = "\x1b[[[;;0129ABCDGHJKfm\r\n\n\b\tabcdef \xc3\xa4";
    struct prng random;

    (void)state;
    prng_seed(&random, 5);
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t bytes[9];
        size_t length = 1 + (size_t)prng_below(&random, sizeof bytes);

        for (size_t at = 0; at < length; at++)
            bytes[at] = (uint8_t)alphabet[prng_below(&random, sizeof alphabet - 1)];
        terminal_write(&terminal, bytes, length);
        assert_in_range(terminal.row, 0, ROWS - 1);
        assert_in_range(terminal.column, 0, COLUMNS);
        for (unsigned row = 0; row < ROWS && i % 16 == 0; row++)
            assert_memory_equal(screen[row], terminal.cells[row], COLUMNS);
    }
}

/* No screen: nothing happens. A very large one is used in part. */
static void test_sizes(void **state)
{
    static struct terminal none;

    (void)state;
    terminal_write(&none, (const uint8_t *)"x", 1);
    terminal_init(&none, 1000, 1000, draw);
    assert_int_equal(none.columns, TERMINAL_COLUMNS_MAX);
    assert_int_equal(none.rows, TERMINAL_ROWS_MAX);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_lines),     T(test_long_lines), T(test_scrolling), T(test_little_is_drawn),
        T(test_sequences), T(test_utf8),       T(test_random),    T(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
