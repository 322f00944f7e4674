/* PCI configuration space; the contract is in pci.h. */
#include "arch/x86/host/pci.h"
#include "arch/x86/asm.h"

#define PORT_ADDRESS   0xCF8
#define PORT_DATA      0xCFC
#define ADDRESS_ENABLE BIT(31)
#define HEADER         0x0Cu /* header type in bits 23:16 */
#define MULTI_FUNCTION BIT(23)

static void select(unsigned function, unsigned offset)
{
    outl(PORT_ADDRESS, ADDRESS_ENABLE | function << 8 | offset);
}

uint32_t pci_read(unsigned function, unsigned offset)
{
    select(function, offset);
    return inl(PORT_DATA);
}

void pci_write(unsigned function, unsigned offset, uint32_t value)
{
    select(function, offset);
    outl(PORT_DATA, value);
}

/* The address register holds what is written: the mechanism is there. */
static bool has_pci(void)
{
    select(0, 0);
    return inl(PORT_ADDRESS) == ADDRESS_ENABLE;
}

static bool exists(unsigned function)
{
    return (pci_read(function, PCI_ID) & 0xFFFF) != 0xFFFF;
}

/* Functions 1 to 7 of a device that has one only may be answered by it. */
unsigned pci_next(unsigned function)
{
    if (!has_pci())
        return PCI_FUNCTIONS;
    while (function < PCI_FUNCTIONS) {
        unsigned first = function & ~7u;
        bool several = exists(first) && pci_read(first, HEADER) & MULTI_FUNCTION;

        if (function == first || several)
            if (exists(function))
                return function;
        function = several ? function + 1 : first + 8;
    }
    return PCI_FUNCTIONS;
}
