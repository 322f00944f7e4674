/*
 * Settings: the one parser for the words of the hypervisor's string, of module strings and of verge.cfg, and
 * for tables of keys.
 *
 * Words are divided by blanks (space, tab). Quotes, ' or ", may open and close anywhere in a word; a
 * backslash takes the next character as it is, inside quotes too. The first stand-alone `--`, unquoted, ends
 * the words: what follows its one blank is the guest's, untouched. Control characters, an open quote, a
 * backslash at the very end and a word of WORD_SIZE bytes or more are errors.
 *
 * A table of `struct setting` is const data: it drives the parser, the defaults (each given as the text that
 * a user would write), the error texts, the console's help and docs/settings.md, so they cannot disagree.
 * Only what is built stands in a table.
 *
 * Pure functions on the caller's memory, at boot or on the host; nothing is allocated and no state is kept.
 * Units: sizes in bytes (K, M, G are binary), durations in nanoseconds (ns, us, ms, s; a bare number is
 * refused).
 */
#ifndef LIB_SETTINGS_H
#define LIB_SETTINGS_H

#include "lib/base.h"

#define WORD_SIZE 256 /* bytes of a word, its terminator included */

enum word_status {
    WORD_END,    /* no more words */
    WORD_FOUND,  /* one is in `word` */
    WORD_DASHES, /* a stand-alone --: *at is on the guest's part, which may be empty */
    WORD_BAD,    /* open quote, lone backslash, control character or too long */
};

/* Takes the next word from *at and moves *at behind it. On WORD_BAD `word` holds what was read of it; *at is
 * not to be used further. */
enum word_status word_next(const char **at, char word[WORD_SIZE]);

/* The first fault found, as one printable line that names the word and shows a right one. Start with an empty
 * text. */
struct settings_error {
    char text[256];
};

/* Sets the text, if none is set yet; bytes that aren't printable ASCII become '?'. Returns false, so that
 * `return settings_fail(...)` reads well. */
bool settings_fail(struct settings_error *error, const char *format, ...) PRINTF_LIKE(2, 3);

enum setting_type {
    SETTING_FLAG,     /* a bare key; the field becomes 1 */
    SETTING_INTEGER,  /* decimal, or hexadecimal with 0x */
    SETTING_SIZE,     /* integer with K, M or G or none */
    SETTING_DURATION, /* integer with ns, us, ms or s */
    SETTING_CHOICE,   /* one of `form`'s words, divided by |; the field becomes its position */
    SETTING_CUSTOM,   /* `parse` */
};

/* Reads `value` into the field; on a bad one returns false and leaves the field alone. */
typedef bool setting_parser(const char *value, void *field);

struct setting {
    const char *key;
    const char *form; /* what stands behind the `=`: "SIZE", "wait|skip"; "" for a flag */
    const char
        *standard; /* the default as it would be written; NULL: the field starts as zero (a flag: off) */
    const char *example; /* a right word: "mem=256M" */
    const char *help;    /* one line */
    const char *applied; /* when it takes effect */
    enum setting_type type;
    uint16_t offset;       /* of the field in the result */
    uint8_t size;          /* of the field: 1, 2, 4 or 8; any for SETTING_CUSTOM */
    uint64_t lowest;       /* of integers, sizes and durations */
    uint64_t highest;      /* as above */
    uint64_t multiple;     /* the value must be a multiple of this; 0: any */
    setting_parser *parse; /* SETTING_CUSTOM only */
};

#define SETTING_FIELD(type_name, member)                                                                     \
    .offset = (uint16_t)offsetof(type_name, member), .size = (uint8_t)sizeof(((type_name *)0)->member)

#define SETTINGS_MAX 64 /* keys in a table: `seen` is one bit each */

struct setting_table {
    const char *title;      /* "guest" */
    const char *right_line; /* shown when an unknown key is like none of ours */
    const struct setting *settings;
    unsigned count;
};

/* Fills every field of `object` with its default. The rest of it isn't touched. */
void settings_defaults(const struct setting_table *table, void *object);

/*
 * Reads one word, `key=value` or a flag, into `object`. `seen` (start with 0) notes which keys came, to
 * refuse a second one. `where` begins the error: "module 2". False: *error is set, object and seen are as
 * before.
 */
bool settings_set(const struct setting_table *table, void *object, uint64_t *seen, const char *word,
                  const char *where, struct settings_error *error);

/* The table's row for the key of `word` (the part before =), or NULL. */
const struct setting *settings_find(const struct setting_table *table, const char *word);

/* As settings_set() fails for an unknown key: names it and shows the nearest right word. */
bool settings_unknown(const struct setting_table *table, const char *word, const char *where,
                      struct settings_error *error);

/*
 * The hypervisor's string begins with its own file name where the loader put it there (QEMU; GRUB does not),
 * blanks in the path included: skips words until one has a key of the table, or looks like key=value, key
 * being [a-z0-9_-]+, without a slash in it. A first word that is one plain [a-z0-9_-]+ and doesn't begin with
 * "verge" is no file name either: so a misspelt flag is named, not skipped. Returns where the words begin.
 */
const char *settings_skip_name(const struct setting_table *table, const char *string);

/* If `word` is key=value for this key, its value; else NULL. */
const char *word_value(const char *word, const char *key);

/* Whole-string numbers: decimal or 0x; with size and duration suffixes. False when malformed or past 2^64
 * - 1. */
bool parse_integer(const char *text, uint64_t *value);
bool parse_size(const char *text, uint64_t *bytes);
bool parse_duration(const char *text, uint64_t *ns);

/* "key=FORM", or "key" of a flag; and the range, as "1M to 1024G", "" where it has none. For help and docs.
 * Both terminate. */
void setting_format_form(const struct setting *setting, char *text, size_t size);
void setting_format_range(const struct setting *setting, char *text, size_t size);

#endif
