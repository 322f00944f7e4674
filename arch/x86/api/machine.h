/* The machine as a whole: how it ends. */
#ifndef ARCH_X86_API_MACHINE_H
#define ARCH_X86_API_MACHINE_H

#include "lib/base.h"

/* Stops this CPU for good. */
_Noreturn void machine_halt(void);

/* Ends the run with `code` (0 to 127): the emulator's exit port, then power-off by the known chip sets' PM1a port, then halt. */
_Noreturn void machine_power_off(unsigned code);

/* Resets by CF9h, then the keyboard controller, then a triple fault. */
_Noreturn void machine_reboot(void);

#endif
