/*
 * The console: guests' output to a serial line, whole lines with a name when there are several; Verge's log
 * to another (or the same); keys. Runs between slices only. Who writes to the log or asks the two questions
 * may be any CPU, and so may who ends a VM; the rest is the boot CPU's.
 */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include "hv/settings.h"
#include "hv/vm.h"
#include "lib/log.h"

/* A line that is shown at every log level. */
#define log_notice(...) log_line(LOG_ERROR, __VA_ARGS__)

/* Opens the serial lines that can be found without tables and takes over the log, whose times count from
 * here. Lines that come while their port isn't open are kept for it. */
void console_init(const struct hv_settings *settings);

/* The ACPI tables have been read: looks for lines that are not open yet, by the default where that finds
 * none, too. */
void console_search(const struct hv_settings *settings);

/* Opens the serial lines again, by words that were found later (verge.cfg). */
void console_open(const struct hv_settings *settings);

/* From now on guests run: on one shared line Verge falls silent. */
void console_start(void);

/* Moves output on, takes input, looks for keys. */
void console_service(void);

/* Waits until all output has left. */
void console_flush(void);

/* A VM has ended: on one shared line its last bytes come before what Verge says of it. Not within a slice. */
void console_let_finish(const struct vm *vm);

/* Ctrl-A x was pressed. */
bool console_quit(void);

/* A guest's reset under onreset=machine. */
void console_machine_reset(void);
bool console_wants_machine_reset(void);

/* Of the host's TSC; before its rate is known, as if it were 1 GHz. */
uint64_t console_cycles_of_ms(uint64_t ms);

#endif
