/*
 * Text on a screen of character cells: lines, scrolling, and as much of a terminal's control sequences as
 * keeps a guest's console readable (erase, cursor position; colours are skipped). Pure: a device draws the
 * cells.
 *
 * Source: ECMA-48, "Control functions"; UTF-8 beyond ASCII is one cell for each character.
 */
#ifndef ARCH_X86_HOST_TERMINAL_H
#define ARCH_X86_HOST_TERMINAL_H

#include "lib/base.h"

#define TERMINAL_COLUMNS_MAX 256u
#define TERMINAL_ROWS_MAX    128u
#define TERMINAL_OTHER       0x7F /* stands for every character that is not ASCII */
#define TERMINAL_NUMBERS     2u   /* of a control sequence that count */

/* Draws one cell: a character of 20h to 7Fh. */
typedef void terminal_draw(unsigned row, unsigned column, uint8_t character);

struct terminal {
    unsigned columns, rows; /* of the device, at most the above */
    terminal_draw *draw;
    unsigned row, column; /* of the next character; column == columns: behind the last one */
    enum { TERMINAL_TEXT, TERMINAL_ESCAPE, TERMINAL_SEQUENCE } state;
    unsigned numbers[TERMINAL_NUMBERS], number_count;
    uint8_t cells[TERMINAL_ROWS_MAX][TERMINAL_COLUMNS_MAX]; /* as they should be */
    uint8_t shown[TERMINAL_ROWS_MAX][TERMINAL_COLUMNS_MAX]; /* as they are */
    unsigned first_changed, last_changed;                   /* rows that may differ; first > last: none */
};

/* All blank, and the device as well as it stands now. Larger devices are used in part. */
void terminal_init(struct terminal *terminal, unsigned columns, unsigned rows, terminal_draw *draw);

/* The device is blank, or shows something else: all of it is drawn again. */
void terminal_redraw(struct terminal *terminal);

/* Takes text and draws every cell that has changed, before it returns. */
void terminal_write(struct terminal *terminal, const uint8_t *data, size_t length);

#endif
