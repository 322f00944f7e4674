/* The command line as words parted by blanks. No quoting: a test's words need none. The loader may put a file
 * name first. */
#include "tests/guests/lib/guest.h"
#include "tests/guests/lib/boot.h"

static const char *next_word(const char *at)
{
    while (*at && *at != ' ')
        at++;
    while (*at == ' ')
        at++;
    return at;
}

/* The rest of the word behind `prefix`, or NULL. */
static const char *after(const char *word, const char *prefix)
{
    while (*prefix)
        if (*word++ != *prefix++)
            return NULL;
    return word;
}

static bool word_ends(const char *at)
{
    return *at == 0 || *at == ' ';
}

bool word_bare(const char *name)
{
    for (const char *at = command_line; *at; at = next_word(at)) {
        const char *rest = after(at, name);
        if (rest && word_ends(rest))
            return true;
    }
    return false;
}

const char *word_text(const char *key)
{
    for (const char *at = command_line; *at; at = next_word(at)) {
        const char *rest = after(at, key);
        if (rest && *rest == '=')
            return rest + 1;
    }
    return NULL;
}

bool word_is(const char *key, const char *value)
{
    const char *text = word_text(key);
    const char *rest = text ? after(text, value) : NULL;
    return rest && word_ends(rest);
}

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    return 99;
}

uint64_t word_number(const char *key, uint64_t otherwise)
{
    const char *text = word_text(key);
    if (!text)
        return otherwise;
    unsigned base = 10;
    if (text[0] == '0' && text[1] == 'x')
        base = 16, text += 2;
    uint64_t value = 0;
    const char *start = text;
    for (; digit_value(*text) < base; text++)
        value = value * base + digit_value(*text);
    return text != start && word_ends(text) ? value : otherwise;
}

uint64_t word_thousandths(const char *key, uint64_t otherwise)
{
    const char *text = word_text(key);
    if (!text)
        return otherwise;
    uint64_t value = 0;
    for (; digit_value(*text) < 10; text++)
        value = value * 10 + digit_value(*text);
    unsigned places = 0;
    if (*text == '.')
        for (text++; digit_value(*text) < 10 && places < 3; text++, places++)
            value = value * 10 + digit_value(*text);
    for (; places < 3; places++)
        value *= 10;
    return word_ends(text) ? value : otherwise;
}
