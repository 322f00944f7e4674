/* A freestanding snprintf; the contract is in fmt.h. */
#include "lib/fmt.h"
#include "lib/string.h"

struct output {
    char *buffer;
    size_t size;
    size_t length;
};

struct conversion {
    bool zero, left, commas;
    int width;
    int precision; /* -1: none */
    int longs;     /* hh -2, h -1, none 0, l 1, ll 2, z 3 */
};

static void put(struct output *out, char c)
{
    if (out->length + 1 < out->size)
        out->buffer[out->length] = c;
    out->length++;
}

static void put_padded(struct output *out, const struct conversion *how, const char *prefix, const char *text,
                       size_t length)
{
    size_t prefix_length = strlen(prefix);
    size_t total = length + prefix_length;
    size_t width = how->width > 0 ? (size_t)how->width : 0;
    size_t padding = width > total ? width - total : 0;

    if (!how->left && !how->zero)
        for (size_t i = 0; i < padding; i++)
            put(out, ' ');
    for (size_t i = 0; i < prefix_length; i++)
        put(out, prefix[i]);
    if (!how->left && how->zero)
        for (size_t i = 0; i < padding; i++)
            put(out, '0');
    for (size_t i = 0; i < length; i++)
        put(out, text[i]);
    if (how->left)
        for (size_t i = 0; i < padding; i++)
            put(out, ' ');
}

static void put_number(struct output *out, const struct conversion *how, uint64_t value, unsigned base,
                       bool upper, const char *prefix)
{
    char digits[96];
    size_t at = sizeof digits;
    int count = 0;

    do {
        if (how->commas && count && count % 3 == 0)
            digits[--at] = ',';
        digits[--at] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
        value /= base;
        count++;
    } while (value);
    while (count < how->precision && at > 0) {
        digits[--at] = '0';
        count++;
    }
    put_padded(out, how, prefix, digits + at, sizeof digits - at);
}

static int64_t take_signed(const struct conversion *how, va_list *arguments)
{
    switch (how->longs) {
    case -2:
        return (signed char)va_arg(*arguments, int);
    case -1:
        return (short)va_arg(*arguments, int);
    case 0:
        return va_arg(*arguments, int);
    default:
        return va_arg(*arguments, long long);
    }
}

static uint64_t take_unsigned(const struct conversion *how, va_list *arguments)
{
    switch (how->longs) {
    case -2:
        return (unsigned char)va_arg(*arguments, unsigned);
    case -1:
        return (unsigned short)va_arg(*arguments, unsigned);
    case 0:
        return va_arg(*arguments, unsigned);
    default:
        return va_arg(*arguments, unsigned long long);
    }
}

static int parse_number(const char **format, va_list *arguments)
{
    int value = 0;

    if (**format == '*') {
        (*format)++;
        return va_arg(*arguments, int);
    }
    while (**format >= '0' && **format <= '9' && value < 10000)
        value = value * 10 + *(*format)++ - '0';
    return value;
}

static void parse_conversion(const char **format, struct conversion *how, va_list *arguments)
{
    *how = (struct conversion){.precision = -1};
    for (;; (*format)++) {
        if (**format == '0')
            how->zero = true;
        else if (**format == '-')
            how->left = true;
        else if (**format == '\'')
            how->commas = true;
        else
            break;
    }
    how->width = parse_number(format, arguments);
    if (how->width < 0) {
        how->left = true;
        how->width = -how->width;
    }
    if (**format == '.') {
        (*format)++;
        how->precision = parse_number(format, arguments);
    }
    for (;; (*format)++) {
        if (**format == 'l')
            how->longs++;
        else if (**format == 'h')
            how->longs--;
        else if (**format == 'z')
            how->longs = 3;
        else
            break;
    }
}

static void put_string(struct output *out, const struct conversion *how, const char *text)
{
    size_t length = 0;

    if (!text)
        text = "(null)";
    while ((how->precision < 0 || length < (size_t)how->precision) && text[length])
        length++;
    put_padded(out, how, "", text, length);
}

static void convert(struct output *out, struct conversion *how, char kind, va_list *arguments)
{
    char character;
    int64_t number;

    switch (kind) {
    case 'd':
    case 'i':
        number = take_signed(how, arguments);
        put_number(out, how, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10, false,
                   number < 0 ? "-" : "");
        break;
    case 'u':
        put_number(out, how, take_unsigned(how, arguments), 10, false, "");
        break;
    case 'x':
    case 'X':
        put_number(out, how, take_unsigned(how, arguments), 16, kind == 'X', "");
        break;
    case 'p':
        put_number(out, how, (uint64_t)(uintptr_t)va_arg(*arguments, void *), 16, false, "0x");
        break;
    case 'c':
        character = (char)va_arg(*arguments, int);
        put_padded(out, how, "", &character, 1);
        break;
    case 's':
        put_string(out, how, va_arg(*arguments, const char *));
        break;
    default:
        put(out, kind);
        break;
    }
}

size_t fmt_vsnprintf(char *buffer, size_t size, const char *format, va_list arguments)
{
    struct output out = {.buffer = buffer, .size = size};
    struct conversion how;
    va_list copy;

    va_copy(copy, arguments);
    while (*format) {
        if (*format != '%') {
            put(&out, *format++);
            continue;
        }
        format++;
        parse_conversion(&format, &how, &copy);
        if (!*format)
            break;
        convert(&out, &how, *format++, &copy);
    }
    va_end(copy);
    if (size)
        buffer[MIN(out.length, size - 1)] = 0;
    return out.length;
}

size_t fmt_snprintf(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    size_t length = fmt_vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    return length;
}
