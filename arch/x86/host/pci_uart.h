/*
 * UARTs on PCI cards: class 0700h, which says 8250 to 16950 by its programming interface, and of the cards
 * with several ports QEMU's, whose ports stand side by side; others need words such as io:. Sources: PCI Code
 * and ID Assignment Specification 1.11, "Base Class 07h"; PCI Local Bus Specification 3.0, "Base Addresses";
 * QEMU, "QEMU PCI serial devices".
 */
#ifndef ARCH_X86_HOST_PCI_UART_H
#define ARCH_X86_HOST_PCI_UART_H

#include "arch/x86/host/uart.h"

/*
 * Where the registers of port `port` (from 0) of the card are, its decoding switched on; false: the function
 * is no such card, has fewer ports, or has its registers beyond the first 4 GB, which is logged.
 */
bool pci_uart_place(unsigned function, unsigned port, struct uart_place *place);

#endif
