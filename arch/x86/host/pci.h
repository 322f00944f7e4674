/*
 * PCI configuration space through ports CF8h and CFCh, as it stands: nothing is enumerated, numbered or
 * assigned, firmware has done that. On the boot CPU. Source: PCI Local Bus Specification 3.0, "Configuration
 * Mechanism #1", "Configuration Space".
 */
#ifndef ARCH_X86_HOST_PCI_H
#define ARCH_X86_HOST_PCI_H

#include "lib/base.h"

#define PCI_FUNCTIONS 0x10000u /* bus << 8 | device << 3 | function */

#define PCI_ID         0x00u
#define PCI_COMMAND    0x04u
#define PCI_CLASS      0x08u /* class, subclass, programming interface in bits 31:8 */
#define PCI_BAR(index) (0x10u + 4 * (index))

#define PCI_COMMAND_IO     BIT(0)
#define PCI_COMMAND_MEMORY BIT(1)

/* The dword at a multiple of 4; all ones where there is no function. */
uint32_t pci_read(unsigned function, unsigned offset);
void pci_write(unsigned function, unsigned offset, uint32_t value);

/* The first function from `function` on; PCI_FUNCTIONS: there is none, or the machine has no PCI. */
unsigned pci_next(unsigned function);

#endif
