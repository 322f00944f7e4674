/* Cutting a string into words, and numbers with units; the contract is in settings.h. */
#include "lib/settings.h"
#include "lib/string.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

enum word_status word_next(const char **at, char word[WORD_SIZE])
{
    const char *from = *at;
    size_t length = 0;
    char quote = 0;

    while (is_blank(*from))
        from++;
    word[0] = 0;
    *at = from;
    if (!*from)
        return WORD_END;
    if (from[0] == '-' && from[1] == '-' && (!from[2] || is_blank(from[2]))) {
        *at = from + (from[2] ? 3 : 2);
        return WORD_DASHES;
    }
    for (; *from && (quote || !is_blank(*from)); from++) {
        if (is_control(*from))
            return WORD_BAD;
        if (quote ? *from == quote : (*from == '"' || *from == '\'')) {
            quote = quote ? 0 : *from;
            continue;
        }
        if (*from == '\\' && (!*++from || is_control(*from)))
            return WORD_BAD;
        if (length + 1 >= WORD_SIZE)
            return WORD_BAD;
        word[length++] = *from;
        word[length] = 0;
    }
    *at = from;
    return quote ? WORD_BAD : WORD_FOUND;
}

const char *word_value(const char *word, const char *key)
{
    size_t length = strlen(key);

    return strncmp(word, key, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* Reads the digits at *at; false without one or past 2^64 - 1. */
static bool take_integer(const char **at, uint64_t *value)
{
    const char *from = *at;
    unsigned base = 10;
    uint64_t result = 0;

    if (from[0] == '0' && (from[1] == 'x' || from[1] == 'X')) {
        base = 16;
        from += 2;
    }
    if (digit_value(*from) >= (int)base)
        return false;
    for (; digit_value(*from) < (int)base; from++)
        if (__builtin_mul_overflow(result, base, &result) ||
            __builtin_add_overflow(result, (unsigned)digit_value(*from), &result))
            return false;
    *at = from;
    *value = result;
    return true;
}

bool parse_integer(const char *text, uint64_t *value)
{
    uint64_t result;

    if (!take_integer(&text, &result) || *text)
        return false;
    *value = result;
    return true;
}

bool parse_size(const char *text, uint64_t *bytes)
{
    uint64_t result, unit = 1;

    if (!take_integer(&text, &result))
        return false;
    if (*text == 'K' || *text == 'k')
        unit = UINT64_C(1) << 10;
    else if (*text == 'M' || *text == 'm')
        unit = UINT64_C(1) << 20;
    else if (*text == 'G' || *text == 'g')
        unit = UINT64_C(1) << 30;
    if (unit > 1)
        text++;
    if (*text || __builtin_mul_overflow(result, unit, &result))
        return false;
    *bytes = result;
    return true;
}

bool parse_duration(const char *text, uint64_t *ns)
{
    static const struct {
        const char *suffix;
        uint64_t ns;
    } units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
    uint64_t result;

    if (!take_integer(&text, &result))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (strcmp(text, units[i].suffix) == 0) {
            if (__builtin_mul_overflow(result, units[i].ns, &result))
                return false;
            *ns = result;
            return true;
        }
    return false;
}
