/* What whoever writes about a machine should send along: one block of lines. */
#ifndef HV_REPORT_H
#define HV_REPORT_H

struct boot_info;

/* `info` is kept. Once, when the machine has been started. */
void report_init(const struct boot_info *info);

/* To the consoles, at every log level; with the guests' figures so far. */
void report_show(void);

#endif
