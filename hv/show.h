/* What the log says of a VM when it has ended. In any context that may log. */
#ifndef HV_SHOW_H
#define HV_SHOW_H

#include "hv/vm.h"

/* Its time accounts, exit counters and marks, at debug level. */
void show_exits(const struct vm *vm);

/* Its text screen, at every log level. */
void show_screen(struct vm *vm);

#endif
