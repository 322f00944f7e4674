/*
 * How the machine ends: power-off and reset, each by the best way that this machine has, then by those that
 * most have. The exit port of emulators (QEMU isa-debug-exit at F4h, harmless elsewhere) comes first, since
 * it alone carries a code. Left out: a reset register in memory, and AML methods before S5 (_PTS, _GTS). Any
 * context, interrupts off. Sources: ACPI Specification 6.4, "Reset Register", "PM1 Control Registers",
 * "Legacy/ACPI Select and the SCI_EN Bit"; Intel ICH9 Family Datasheet, "RST_CNT: Reset Control Register";
 * PCI Local Bus Specification 3.0, "Configuration Mechanism #1".
 */
#include "arch/x86/api/machine.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/api/serial.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/acpi.h"
#include "lib/fmt.h"
#include "lib/log.h"

#define PORT_DEBUG_EXIT    0xF4
#define PORT_RESET_CONTROL 0xCF9
#define PORT_I8042_COMMAND 0x64
#define PORT_PCI_ADDRESS   0xCF8
#define PORT_PCI_DATA      0xCFC
#define PCI_ENABLE         0x80000000u
#define PM1_SCI_EN         BIT(0)
#define PM1_SLP_TYP(type)  ((type) << 10)
#define PM1_SLP_EN         BIT(13)
#define MODE_WAIT_CYCLES   (UINT64_C(1) << 32) /* a second or more: firmware may take its time */
#define RESET_WAIT_CYCLES  (UINT64_C(1) << 26) /* some 20 ms for one way to show before the next is tried */
#define BOOT_MAP_END       BIT64(32)

static struct acpi_info acpi;

const struct acpi_info *host_acpi(void)
{
    return &acpi;
}

static const void *map_at_boot(void *opaque, uint64_t address, uint64_t size)
{
    (void)opaque;
    return address < BOOT_MAP_END && size <= BOOT_MAP_END - address ? phys_to_virt(address) : NULL;
}

static unsigned enabled_cpus(void)
{
    unsigned cpus = 0;

    for (unsigned i = 0; i < acpi.cpu_count; i++)
        cpus += acpi.cpus[i].enabled;
    return cpus;
}

void machine_describe(char *text, size_t size)
{
    if (acpi.found)
        fmt_snprintf(text, size, "ACPI: CPUs %u, %sHPET, %sPM timer, S5 %s, %sreset register%s%s",
                     enabled_cpus(), acpi.hpet_base ? "" : "no ", acpi.pm_timer_port ? "" : "no ",
                     acpi.s5_known ? "known" : "unknown", acpi.reset_known ? "" : "no ",
                     acpi.iommu ? ", " : "", acpi.iommu ? acpi.iommu : "");
    else
        fmt_snprintf(text, size, "no ACPI");
}

static void show_tables(void)
{
    unsigned cpus = enabled_cpus();

    log_info(
        "ACPI: HPET at %llx, PM timer at port %x, PM1 control at ports %x and %x, S5 %s, reset register %s",
        (unsigned long long)acpi.hpet_base, acpi.pm_timer_port, acpi.pm1a_control, acpi.pm1b_control,
        acpi.s5_known ? "known" : "unknown", acpi.reset_known ? "known" : "unknown");
    if (acpi.mcfg_base)
        log_debug("ACPI: PCI configuration space at %llx, buses %02x to %02x",
                  (unsigned long long)acpi.mcfg_base, acpi.mcfg_first_bus, acpi.mcfg_last_bus);
    if (acpi.iommu)
        log_info("ACPI: the machine has an IOMMU (%s): not used", acpi.iommu);
    if (cpus)
        log_info("ACPI: %u CPU%s", cpus, cpus == 1 ? "" : "s");
}

void machine_read_tables(uint64_t rsdp)
{
    const struct acpi_memory memory = {.map = map_at_boot};

    acpi_read(&memory, rsdp, &acpi);
    if (acpi.found)
        show_tables();
    else
        log_info("ACPI: no tables");
}

static void wait_cycles(uint64_t cycles)
{
    for (uint64_t start = rdtsc(); rdtsc() - start < cycles;)
        __asm__ volatile("pause");
}

_Noreturn void machine_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* The PM1 registers obey only in ACPI mode, which a loader may have left to us to enter. */
static void enter_acpi_mode(void)
{
    if (!acpi.smi_command || (inw(acpi.pm1a_control) & PM1_SCI_EN))
        return;
    outb(acpi.smi_command, acpi.acpi_enable);
    for (uint64_t start = rdtsc();
         !(inw(acpi.pm1a_control) & PM1_SCI_EN) && rdtsc() - start < MODE_WAIT_CYCLES;)
        __asm__ volatile("pause");
}

static void write_sleep(uint16_t port, unsigned type, unsigned enable)
{
    if (port)
        outw(port, (uint16_t)((inw(port) & ~(PM1_SLP_TYP(7u) | PM1_SLP_EN)) | PM1_SLP_TYP(type) | enable));
}

static void soft_off(void)
{
    if (!acpi.s5_known || !acpi.pm1a_control)
        return;
    enter_acpi_mode();
    /* The types first: some chip sets look at both registers when the first enable bit is written. */
    write_sleep(acpi.pm1a_control, acpi.s5_type_a, 0);
    write_sleep(acpi.pm1b_control, acpi.s5_type_b, 0);
    write_sleep(acpi.pm1a_control, acpi.s5_type_a, PM1_SLP_EN);
    write_sleep(acpi.pm1b_control, acpi.s5_type_b, PM1_SLP_EN);
}

/* The exit port, else a line that tools/run_emulator.py reads. */
static void tell_emulator(unsigned code, const char *what)
{
    host_serial_drain(); /* the exit port ends an emulator with whatever its transmitter still holds */
    outl(PORT_DEBUG_EXIT, code);
    log_error("%s, code %u", what, code);
    host_serial_drain();
}

_Noreturn void machine_power_off(unsigned code)
{
    tell_emulator(code, "power-off");
    soft_off();
    machine_halt();
}

_Noreturn void machine_stop(unsigned code)
{
    tell_emulator(code, "halted");
    machine_halt();
}

static void write_reset_register(void)
{
    unsigned device = (unsigned)(acpi.reset_address >> 32),
             function = (unsigned)(acpi.reset_address >> 16) & 7;
    unsigned offset = (unsigned)acpi.reset_address & 0xFF;

    if (!acpi.reset_known)
        return;
    if (acpi.reset_space == ACPI_SPACE_IO) {
        outb((uint16_t)acpi.reset_address, acpi.reset_value);
    } else {
        outl(PORT_PCI_ADDRESS, PCI_ENABLE | device << 11 | function << 8 | (offset & ~3u));
        outb((uint16_t)(PORT_PCI_DATA + (offset & 3)), acpi.reset_value);
    }
    wait_cycles(RESET_WAIT_CYCLES);
}

_Noreturn void machine_reboot(void)
{
    host_serial_drain();
    write_reset_register();
    outb(PORT_RESET_CONTROL, 0x02);
    outb(PORT_RESET_CONTROL, 0x06);
    wait_cycles(RESET_WAIT_CYCLES);
    outb(PORT_I8042_COMMAND, 0xFE);
    wait_cycles(RESET_WAIT_CYCLES);
    /* An empty IDT and an exception: the CPU shuts down, which resets every PC. */
    __asm__ volatile("lidt %0; int3" : : "m"(*(const char(*)[10]) "\0\0\0\0\0\0\0\0\0"));
    machine_halt();
}
