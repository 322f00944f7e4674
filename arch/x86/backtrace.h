/* A backtrace by frame pointers, with names from the symbol table that the second link adds to the image. */
#ifndef ARCH_X86_BACKTRACE_H
#define ARCH_X86_BACKTRACE_H

#include "lib/base.h"

/* The function that holds `address` and the offset in it; NULL outside the image's text. */
const char *symbol_find(uint64_t address, uint64_t *offset);

#define BACKTRACE_MOST 16

/* Where the frames from (rip, rbp) outwards stand, on this CPU's stacks; stops at anything that isn't a
 * frame. Returns how many. */
unsigned backtrace_take(uint64_t rip, uint64_t rbp, uint64_t rips[BACKTRACE_MOST]);

/* Logs them. */
void backtrace_show_taken(const uint64_t *rips, unsigned count);
void backtrace_show(uint64_t rip, uint64_t rbp);

#endif
