/*
 * What Verge needs from the machine's ACPI tables: where the HPET and the PM timer are, and how to power off
 * and reset. A reader of static tables only: no AML interpreter. The one value that lies in AML, the package
 * \_S5, is found by its bytes (acpi_s5.c), as small kernels usually do: it is a named package of constants in
 * practice; _PTS and other methods that should run before are not run.
 *
 * Pure: it sees memory through one function, trusts no length, pointer or count in a table, and is tested and
 * fuzzed on the host (tests/unit/test_acpi.c, tests/fuzz/fuzz_acpi.c). Called once at boot.
 *
 * Sources: Advanced Configuration and Power Interface Specification 6.4, "Root System Description Pointer",
 * "System Description Table Header", "Fixed ACPI Description Table", "Generic Address Structure"; IA-PC HPET
 * Specification 1.0a, "The ACPI 2.0 HPET Description Table".
 */
#ifndef ARCH_X86_HOST_ACPI_H
#define ARCH_X86_HOST_ACPI_H

#include "lib/base.h"

/* Shows [address, address + size) of physical memory; NULL when not all of it can be read. Stays valid while
 * acpi_read() runs. */
struct acpi_memory {
    const void *(*map)(void *opaque, uint64_t address, uint64_t size);
    void *opaque;
};

enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };

/* All zero where the tables say nothing usable. */
struct acpi_info {
    bool found;             /* a root table was there */
    uint64_t hpet_base;     /* physical, a multiple of 8; 0: none */
    uint16_t pm_timer_port; /* 0: none. The low 24 bits count in every variant */
    uint16_t pm1a_control;  /* ports, 0: none */
    uint16_t pm1b_control;
    uint16_t smi_command; /* 0: the machine is always in ACPI mode */
    uint8_t acpi_enable;  /* what to write there to enter ACPI mode */
    bool s5_known;
    uint8_t s5_type_a, s5_type_b; /* SLP_TYP for the PM1 control registers, 0 to 7 */
    bool reset_known;
    enum acpi_space reset_space; /* I/O port below 64 K, or PCI configuration space of bus 0 */
    uint64_t reset_address;      /* PCI: device in bits 47:32, function in 31:16, offset in 15:0 */
    uint8_t reset_value;
};

/*
 * Fills *info. `rsdp` is where the boot loader says that the root pointer stands, 0 when it said nothing;
 * without a valid one the first KB of the extended BIOS data area and E0000h to FFFFFh are searched.
 * info->found false: no tables.
 */
void acpi_read(const struct acpi_memory *memory, uint64_t rsdp, struct acpi_info *info);

/* The two SLP_TYP values of \_S5 in the AML bytes of a DSDT or SSDT; false when they hold no such package. */
bool acpi_find_s5(const uint8_t *aml, size_t size, uint8_t *type_a, uint8_t *type_b);

/* What this machine's tables said (machine.c); all zero before machine_read_tables(). */
const struct acpi_info *host_acpi(void);

#endif
