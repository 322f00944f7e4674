/* Console keys, as in Xen: Ctrl-A, then a letter; everything else goes to the guest in focus. */
#ifndef HV_KEYS_H
#define HV_KEYS_H

#include "lib/base.h"

/* One byte from the console. */
void keys_input(uint8_t byte);

bool keys_quit(void);

#endif
