/*
 * Cuts verge.cfg into joined lines without comments; the rules stand in guest/cfg.h. Only guest/cfg.c calls
 * it.
 */
#ifndef GUEST_CFG_LINE_H
#define GUEST_CFG_LINE_H

#include "lib/base.h"

struct cfg_reader {
    const char *at;
    const char *end;
    unsigned line_number; /* of the line that *at is in, from 1 */
};

enum cfg_status {
    CFG_LINE,     /* a line, perhaps empty */
    CFG_END,      /* no more */
    CFG_NOT_TEXT, /* a control character, a lone CR, or not UTF-8 */
    CFG_TOO_LONG, /* does not fit */
};

void cfg_reader_init(struct cfg_reader *reader, const void *data, size_t size);

/* The next line into line[size], terminated; *number is that of its first line in the file. After
 * CFG_NOT_TEXT and CFG_TOO_LONG read no further. */
enum cfg_status cfg_next_line(struct cfg_reader *reader, char *line, size_t size, unsigned *number);

#endif
