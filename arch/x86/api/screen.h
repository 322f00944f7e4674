/*
 * The host's screen: VGA text, or the framebuffer that firmware or loader left, as a console. Without one,
 * writing does nothing.
 */
#ifndef ARCH_X86_API_SCREEN_H
#define ARCH_X86_API_SCREEN_H

#include "lib/base.h"

struct boot_screen;

/*
 * Finds it; `pixels`: a framebuffer will do. The boot page tables are active: what is within the first 4 GB
 * is drawn at once, the rest with host_screen_map(). Returns what it is, for the log; NULL: there is none.
 */
const char *host_screen_open(const struct boot_screen *screen, bool pixels);

/* The monitor's own page tables are active. */
void host_screen_map(void);

/* Text; on the screen before it returns. */
void host_screen_write(const uint8_t *data, size_t length);

#endif
