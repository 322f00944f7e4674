/* The byte port that emulators offer at E9h (Bochs: port_e9_hack, QEMU: -debugcon): for test builds only. A
 * machine without it drops the bytes. */
#ifndef ARCH_X86_API_DEBUG_PORT_H
#define ARCH_X86_API_DEBUG_PORT_H

#include "lib/base.h"

#define HOST_DEBUG_PORT 0xE9

static inline void host_debug_write(const char *text, size_t length)
{
    __asm__ volatile("rep outsb" : "+S"(text), "+c"(length) : "d"((uint16_t)HOST_DEBUG_PORT) : "memory");
}

#endif
