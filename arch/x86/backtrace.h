/* A backtrace by frame pointers, with names from the symbol table that the second link adds to the image. */
#ifndef ARCH_X86_BACKTRACE_H
#define ARCH_X86_BACKTRACE_H

#include "lib/base.h"

/* The function that holds `address` and the offset in it; NULL outside the image's text. */
const char *symbol_find(uint64_t address, uint64_t *offset);

/* Logs the frames from (rip, rbp) outwards; stops at anything that isn't a frame on a monitor stack. */
void backtrace_show(uint64_t rip, uint64_t rbp);

#endif
