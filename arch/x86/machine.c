/*
 * How the machine ends. ACPI power-off through FADT comes with the ACPI tables; until then: the exit port of emulators (QEMU
 * isa-debug-exit at F4h, harmless elsewhere) and halt.
 */
#include "arch/x86/api/machine.h"
#include "arch/x86/asm.h"

#define PORT_DEBUG_EXIT 0xF4
#define PORT_RESET_CONTROL 0xCF9
#define PORT_I8042_COMMAND 0x64

_Noreturn void machine_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

_Noreturn void machine_power_off(unsigned code)
{
    outl(PORT_DEBUG_EXIT, code);
    machine_halt();
}

_Noreturn void machine_reboot(void)
{
    outb(PORT_RESET_CONTROL, 0x02);
    outb(PORT_RESET_CONTROL, 0x06);
    outb(PORT_I8042_COMMAND, 0xFE);
    /* An empty IDT and an exception: the CPU shuts down, which resets every PC. */
    __asm__ volatile("lidt %0; int3" : : "m"(*(const char (*)[10])"\0\0\0\0\0\0\0\0\0"));
    machine_halt();
}
