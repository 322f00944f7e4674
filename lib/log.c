/* The log front; the contract is in log.h. */
#include "lib/log.h"
#include "lib/fmt.h"

static log_sink *current_sink;
static void *current_opaque;
static enum log_level current_level = LOG_INFO;

void log_set_sink(log_sink *sink, void *opaque)
{
    current_sink = sink;
    current_opaque = opaque;
}

void log_set_level(enum log_level highest)
{
    current_level = highest;
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[256];
    va_list arguments;

    if (!current_sink || level > current_level)
        return;
    va_start(arguments, format);
    fmt_vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    current_sink(current_opaque, level, line);
}
