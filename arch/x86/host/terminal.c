/* Text on a screen of character cells; the contract is in terminal.h. */
#include "arch/x86/host/terminal.h"
#include "lib/string.h"

#define ESCAPE      0x1B
#define TAB         8u
#define NUMBER_MOST 9999u
/* A full screen moves up by this share of it at once: drawing is what costs. */
#define SCROLL_SHARE 8u

void terminal_init(struct terminal *terminal, unsigned columns, unsigned rows, terminal_draw *draw)
{
    memset(terminal, 0, sizeof *terminal);
    terminal->columns = MIN(columns, TERMINAL_COLUMNS_MAX);
    terminal->rows = MIN(rows, TERMINAL_ROWS_MAX);
    terminal->draw = draw;
    memset(terminal->cells, ' ', sizeof terminal->cells);
    memset(terminal->shown, ' ', sizeof terminal->shown);
    terminal->first_changed = TERMINAL_ROWS_MAX;
}

static void changed(struct terminal *terminal, unsigned first, unsigned last)
{
    terminal->first_changed = MIN(terminal->first_changed, first);
    terminal->last_changed = MAX(terminal->last_changed, last);
}

static void new_line(struct terminal *terminal)
{
    unsigned up = MAX(terminal->rows / SCROLL_SHARE, 1u);

    if (++terminal->row < terminal->rows)
        return;
    for (unsigned row = 0; row < terminal->rows; row++) {
        if (row + up < terminal->rows)
            memcpy(terminal->cells[row], terminal->cells[row + up], terminal->columns);
        else
            memset(terminal->cells[row], ' ', terminal->columns);
    }
    terminal->row -= up;
    changed(terminal, 0, terminal->rows - 1);
}

static void put(struct terminal *terminal, uint8_t character)
{
    if (terminal->column >= terminal->columns) {
        terminal->column = 0;
        new_line(terminal);
    }
    terminal->cells[terminal->row][terminal->column++] = character;
    changed(terminal, terminal->row, terminal->row);
}

static void erase(struct terminal *terminal, unsigned row, unsigned first, unsigned end)
{
    if (first < end)
        memset(&terminal->cells[row][first], ' ', end - first);
    changed(terminal, row, row);
}

/* EL: from the cursor (0), up to it (1), the whole line (2). */
static void erase_line(struct terminal *terminal, unsigned which)
{
    unsigned here = MIN(terminal->column, terminal->columns);

    erase(terminal, terminal->row, which ? 0 : here,
          which == 1 ? MIN(here + 1, terminal->columns) : terminal->columns);
}

/* ED, likewise. */
static void erase_screen(struct terminal *terminal, unsigned which)
{
    for (unsigned row = 0; row < terminal->rows; row++)
        if (which == 2 || (which == 1 ? row < terminal->row : row > terminal->row))
            erase(terminal, row, 0, terminal->columns);
    erase_line(terminal, which);
}

/* Counts from 1; 0 stands for it. */
static unsigned from_one(unsigned number, unsigned count)
{
    return MIN(number ? number - 1 : 0, count - 1);
}

static void end_sequence(struct terminal *terminal, uint8_t final)
{
    unsigned first = terminal->numbers[0], second = terminal->numbers[1];

    switch (final) {
    case 'H':
    case 'f':
        terminal->row = from_one(first, terminal->rows);
        terminal->column = from_one(second, terminal->columns);
        break;
    case 'A':
        terminal->row -= MIN(MAX(first, 1u), terminal->row);
        break;
    case 'B':
        terminal->row = MIN(terminal->row + MAX(first, 1u), terminal->rows - 1);
        break;
    case 'C':
        terminal->column = MIN(terminal->column + MAX(first, 1u), terminal->columns - 1);
        break;
    case 'D':
        terminal->column -= MIN(MAX(first, 1u), terminal->column);
        break;
    case 'G':
        terminal->column = from_one(first, terminal->columns);
        break;
    case 'J':
        erase_screen(terminal, first);
        break;
    case 'K':
        erase_line(terminal, first);
        break;
    default: /* colours, questions, modes */
        break;
    }
}

static void take_sequence(struct terminal *terminal, uint8_t byte)
{
    unsigned index = MIN(terminal->number_count, TERMINAL_NUMBERS);

    if (byte >= '0' && byte <= '9') {
        if (index < TERMINAL_NUMBERS)
            terminal->numbers[index] = MIN(terminal->numbers[index] * 10 + (byte - '0'), NUMBER_MOST);
    } else if (byte == ';') {
        terminal->number_count = index + 1;
    } else if (byte >= 0x40 && byte <= 0x7E) {
        terminal->state = TERMINAL_TEXT;
        end_sequence(terminal, byte);
    } else if (byte > 0x7E) {
        terminal->state = TERMINAL_TEXT; /* none after all */
    }
}

static void take_text(struct terminal *terminal, uint8_t byte)
{
    switch (byte) {
    case '\r':
        terminal->column = 0;
        break;
    case '\n':
        new_line(terminal);
        break;
    case '\b':
        terminal->column = MIN(terminal->column, terminal->columns) - (terminal->column > 0);
        break;
    case '\t':
        terminal->column = MIN(ALIGN_UP(terminal->column + 1, TAB), terminal->columns);
        break;
    case ESCAPE:
        terminal->state = TERMINAL_ESCAPE;
        break;
    default:
        if (byte >= 0x20 && byte < 0x7F)
            put(terminal, byte);
        else if (byte >= 0xC0) /* the first byte of a character; the others are 80h to BFh */
            put(terminal, TERMINAL_OTHER);
        break;
    }
}

/* Behind ESC: CSI; or a sequence of bytes of 20h to 2Fh and one more, of which none does anything here. */
static void take_escape(struct terminal *terminal, uint8_t byte)
{
    if (byte >= 0x20 && byte <= 0x2F)
        return;
    terminal->state = byte == '[' ? TERMINAL_SEQUENCE : TERMINAL_TEXT;
    terminal->number_count = 0;
    memset(terminal->numbers, 0, sizeof terminal->numbers);
}

/* A control character acts within a sequence too, which goes on, unless it is ESC. */
static void take(struct terminal *terminal, uint8_t byte)
{
    if (byte < 0x20) {
        take_text(terminal, byte);
        return;
    }
    switch (terminal->state) {
    case TERMINAL_TEXT:
        take_text(terminal, byte);
        break;
    case TERMINAL_ESCAPE:
        take_escape(terminal, byte);
        break;
    case TERMINAL_SEQUENCE:
        take_sequence(terminal, byte);
        break;
    }
}

static void show(struct terminal *terminal)
{
    for (unsigned row = terminal->first_changed; row <= terminal->last_changed && row < terminal->rows;
         row++) {
        for (unsigned column = 0; column < terminal->columns; column++) {
            uint8_t character = terminal->cells[row][column];

            if (terminal->shown[row][column] == character)
                continue;
            terminal->shown[row][column] = character;
            terminal->draw(row, column, character);
        }
    }
    terminal->first_changed = TERMINAL_ROWS_MAX;
    terminal->last_changed = 0;
}

void terminal_redraw(struct terminal *terminal)
{
    memset(terminal->shown, ' ', sizeof terminal->shown);
    changed(terminal, 0, terminal->rows - 1);
    show(terminal);
}

void terminal_write(struct terminal *terminal, const uint8_t *data, size_t length)
{
    if (!terminal->draw)
        return;
    for (size_t i = 0; i < length; i++)
        take(terminal, data[i]);
    show(terminal);
}
