/*
 * Formatting for the log: a freestanding snprintf. Supports %d %i %u %x %X %c %s %p %%, the lengths hh h l ll
 * z, a width (also *), a precision for %s and %d (also *), and the flags 0, - and ' (thousands commas).
 */
#ifndef LIB_FMT_H
#define LIB_FMT_H

#include "lib/base.h"
#include <stdarg.h>

/* Always terminates when size > 0. Returns the length the whole text would have had. */
size_t fmt_snprintf(char *buffer, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
size_t fmt_vsnprintf(char *buffer, size_t size, const char *format, va_list arguments) PRINTF_LIKE(3, 0);

#endif
