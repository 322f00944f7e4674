/* The lines of verge.cfg; the contract is in cfg_line.h, the rules in cfg.h. Sources for UTF-8: RFC 3629,
 * "UTF-8 definition". */
#include "guest/cfg_line.h"
#include "lib/string.h"

struct joined {
    char *line;
    size_t size;
    size_t length;
    size_t word;  /* where the word that is open begins */
    char quote;   /* 0, ' or " */
    bool escaped; /* a backslash stands before */
    bool guests;  /* behind the -- */
};

void cfg_reader_init(struct cfg_reader *reader, const void *data, size_t size)
{
    *reader =
        (struct cfg_reader){.at = data, .end = data ? (const char *)data + size : NULL, .line_number = 1};
    if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
        reader->at += 3;
}

/* Bytes of the character at `at`, 0 when it is none: bad UTF-8 or a control character but tab and LF. */
static size_t character_size(const char *at, const char *end)
{
    const unsigned char first = (unsigned char)*at;
    const size_t size = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : (first & 0xf0) == 0xe0 ? 3 : 4;
    unsigned second;

    if (size == 1)
        return (first >= 0x20 && first != 0x7f) || first == '\t' || first == '\n';
    if (first < 0xc2 || first > 0xf4 || (size_t)(end - at) < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return 0;
    second = (unsigned char)at[1];
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return 0;
    return size;
}

/* The size of a line end at `at`: LF 1, CRLF 2, none 0. */
static size_t line_end(const char *at, const char *end)
{
    if (at < end && *at == '\n')
        return 1;
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

static bool put(struct joined *out, char c)
{
    bool blank = c == ' ' || c == '\t';

    if (out->length + 1 >= out->size)
        return false;
    if (blank && !out->quote && !out->escaped && !out->guests) {
        out->guests = out->length - out->word == 2 && memcmp(out->line + out->word, "--", 2) == 0;
        out->word = out->length + 1;
    }
    if (out->escaped)
        out->escaped = false;
    else if (c == '\\')
        out->escaped = true;
    else if (!out->guests && (out->quote ? c == out->quote : (c == '"' || c == '\'')))
        out->quote = out->quote ? 0 : c;
    out->line[out->length++] = c;
    return true;
}

static bool comment_begins(const struct joined *out, char c)
{
    return c == '#' && !out->quote && !out->escaped && !out->guests && out->word == out->length;
}

enum cfg_status cfg_next_line(struct cfg_reader *reader, char *line, size_t size, unsigned *number)
{
    struct joined out = {.line = line, .size = size};
    bool comment = false;

    *number = reader->line_number;
    if (reader->at == reader->end)
        return CFG_END;
    while (reader->at < reader->end) {
        const char *at = reader->at;
        size_t taken = line_end(at, reader->end);

        if (taken) {
            reader->at += taken;
            reader->line_number++;
            break;
        }
        taken = *at == '\\' && !out.escaped && !comment ? line_end(at + 1, reader->end) : 0;
        if (taken) {
            reader->at += 1 + taken;
            reader->line_number++;
            if (!put(&out, ' '))
                return CFG_TOO_LONG;
            continue;
        }
        taken = character_size(at, reader->end);
        if (!taken)
            return CFG_NOT_TEXT;
        comment = comment || comment_begins(&out, *at);
        for (size_t i = 0; i < taken && !comment; i++)
            if (!put(&out, at[i]))
                return CFG_TOO_LONG;
        reader->at += taken;
    }
    line[out.length] = 0;
    return CFG_LINE;
}
