/*
 * The host's PS/2 keyboard, or the USB keyboard that firmware shows as one, as console input: polled, US
 * layout. Without one nothing ever comes.
 */
#ifndef ARCH_X86_API_KEYBOARD_H
#define ARCH_X86_API_KEYBOARD_H

#include "lib/base.h"

/* Finds it and sets it up; what was typed before is dropped. Bounded. Returns whether its controller answers.
 */
bool host_keyboard_open(void);

/* What was typed, as a terminal sends it; how many bytes. A look costs a port read, an SMI where firmware
 * shows a USB keyboard: not for each exit. */
size_t host_keyboard_read(uint8_t *data, size_t length);

#endif
