/* The machine as a whole: how it ends. */
#ifndef ARCH_X86_API_MACHINE_H
#define ARCH_X86_API_MACHINE_H

#include "lib/base.h"

/* Stops this CPU for good. */
_Noreturn void machine_halt(void);

/* For a report: what machine_read_tables() found, in words. */
void machine_describe(char *text, size_t size);

/*
 * Reads the ACPI tables for what is below, the TSC's measurement and serial.h, and logs what they say. While
 * the boot page tables, which show the first 4 GB, are active and before any memory is given out: the
 * loader's copy of the root pointer lies in free memory. rsdp 0: searched.
 */
void machine_read_tables(uint64_t rsdp);

/* Ends the run with `code` (0 to 127): the emulator's exit port, or else the line "power-off, code N", ACPI's
 * soft-off where the tables tell how, then halt. */
_Noreturn void machine_power_off(unsigned code);

/* The same without the soft-off, and "halted, code N": what stands on the screen is to be read. */
_Noreturn void machine_stop(unsigned code);

/* Resets by the register that the ACPI tables name, then CF9h, then the keyboard controller, then a triple
 * fault. */
_Noreturn void machine_reboot(void);

#endif
