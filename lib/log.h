/*
 * The log front: levelled lines, handed whole to one sink (hv/console.c in the monitor, stderr or a buffer in
 * host tests). Each line leaves as `[seconds.micros] vg: text`; the sink adds the time. Not for the path from
 * exit to entry: it formats.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "lib/base.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Receives one line without a newline. */
typedef void log_sink(void *opaque, enum log_level level, const char *line);

void log_set_sink(log_sink *sink, void *opaque);
void log_set_level(enum log_level highest);

/* Formats with fmt.h's rules; a line longer than 255 bytes is cut. */
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)

#endif
