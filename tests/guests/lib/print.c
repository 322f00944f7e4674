/* COM1, polled, and a small formatter. A missing or stuck UART never hangs the guest: the wait for room is
 * bounded. */
#include "tests/guests/lib/guest.h"
#include <stdarg.h>

#define COM1     0x3F8
#define LSR_THRE 0x20

struct sink {
    char *buffer; /* NULL: the UART */
    size_t size, length;
};

void uart_start(void)
{
    out8(COM1 + 1, 0);    /* IER: no interrupts */
    out8(COM1 + 3, 0x80); /* DLAB */
    out8(COM1, 1);        /* 115200 */
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 3); /* 8n1 */
    out8(COM1 + 2, 1); /* FIFO on */
    out8(COM1 + 4, 3); /* DTR, RTS; loopback off */
}

static void put(struct sink *sink, char c)
{
    if (sink->buffer) {
        if (sink->length + 1 < sink->size)
            sink->buffer[sink->length] = c;
    } else {
        for (unsigned tries = 0; tries < 100000 && !(in8(COM1 + 5) & LSR_THRE); tries++) {
        }
        out8(COM1, (uint8_t)c);
    }
    sink->length++;
}

static void put_number(struct sink *sink, uint64_t value, unsigned base, unsigned width, char pad,
                       bool negative)
{
    char digits[24];
    unsigned n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        digits[n++] = '-';
    for (unsigned i = n; i < width; i++)
        put(sink, pad);
    while (n)
        put(sink, digits[--n]);
}

static void put_signed(struct sink *sink, int64_t value, unsigned width, char pad)
{
    put_number(sink, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, width, pad, value < 0);
}

static void format_all(struct sink *sink, const char *f, va_list arguments)
{
    for (; *f; f++) {
        if (*f != '%') {
            if (*f == '\n' && !sink->buffer)
                put(sink, '\r');
            put(sink, *f);
            continue;
        }
        char pad = ' ';
        unsigned width = 0;
        bool is_long = false;
        if (*++f == '0')
            pad = '0';
        while (*f >= '0' && *f <= '9')
            width = width * 10 + (unsigned)(*f++ - '0');
        while (*f == 'l')
            is_long = true, f++;
        switch (*f) {
        case 'u':
            put_number(sink, is_long ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned), 10,
                       width, pad, false);
            break;
        case 'x':
            put_number(sink, is_long ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned), 16,
                       width, pad, false);
            break;
        case 'd':
            put_signed(sink, is_long ? va_arg(arguments, long) : va_arg(arguments, int), width, pad);
            break;
        case 'c':
            put(sink, (char)va_arg(arguments, int));
            break;
        case 's':
            for (const char *s = va_arg(arguments, const char *); *s; s++)
                put(sink, *s);
            break;
        default:
            put(sink, *f);
            break;
        }
    }
}

void print(const char *format, ...)
{
    struct sink sink = {0};
    va_list arguments;
    va_start(arguments, format);
    format_all(&sink, format, arguments);
    va_end(arguments);
}

size_t format_text(char *buffer, size_t size, const char *format, ...)
{
    struct sink sink = {.buffer = buffer, .size = size};
    va_list arguments;
    va_start(arguments, format);
    format_all(&sink, format, arguments);
    va_end(arguments);
    if (sink.length + 1 > size)
        sink.length = size - 1;
    buffer[sink.length] = 0;
    return sink.length;
}
