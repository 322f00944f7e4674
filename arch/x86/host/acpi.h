/*
 * What Verge needs from the machine's ACPI tables: where the HPET and the PM timer are, how to power off and
 * reset, which CPUs there are, and the UARTs that firmware names. A reader of static tables only: no AML
 * interpreter. The one value that lies in AML, the package \_S5, is found by its bytes (acpi_s5.c), as small
 * kernels usually do: it is a named package of constants in practice; _PTS and other methods that should run
 * before are not run. Of several tables of one kind the first sound one counts. A table that is not sound is
 * left out with one line in the log.
 *
 * Pure: it sees memory through one function, trusts no length, pointer or count in a table, and is tested and
 * fuzzed on the host (tests/unit/test_acpi*.c, tests/fuzz/fuzz_acpi.c). Called once at boot.
 *
 * Sources: Advanced Configuration and Power Interface Specification 6.4, "Root System Description Pointer",
 * "System Description Table Header", "Fixed ACPI Description Table", "Generic Address Structure"; IA-PC HPET
 * Specification 1.0a, "The ACPI 2.0 HPET Description Table"; PCI Firmware Specification 3.2, "MCFG Table
 * Description". Those of acpi_madt.c and acpi_uart.c stand there.
 */
#ifndef ARCH_X86_HOST_ACPI_H
#define ARCH_X86_HOST_ACPI_H

#include "arch/x86/host/uart.h"

#define ACPI_CPUS_MAX  256u
#define ACPI_UARTS_MAX 4u

/* Shows [address, address + size) of physical memory; NULL when not all of it can be read. Stays valid while
 * acpi_read() runs. */
struct acpi_memory {
    const void *(*map)(void *opaque, uint64_t address, uint64_t size);
    void *opaque;
};

enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };

struct acpi_cpu {
    uint32_t apic_id;
    bool enabled; /* else it could be plugged in while the machine runs */
};

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
    uint64_t mcfg_base; /* of segment group 0, where bus 0's space would be; a multiple of 1 MB; 0: none */
    uint8_t mcfg_first_bus, mcfg_last_bus;
    const char *iommu;                   /* the table that tells of one: "DMAR" or "IVRS"; NULL: none */
    struct acpi_cpu cpus[ACPI_CPUS_MAX]; /* each APIC ID once */
    unsigned cpu_count;
    struct uart_place uarts[ACPI_UARTS_MAX]; /* SPCR's, then DBG2's; any address; 0: none */
};

/*
 * Fills *info. `rsdp` is where the boot loader says that the root pointer stands, 0 when it said nothing;
 * without a valid one the first KB of the extended BIOS data area and E0000h to FFFFFh are searched.
 * info->found false: no tables.
 */
void acpi_read(const struct acpi_memory *memory, uint64_t rsdp, struct acpi_info *info);

/* The two SLP_TYP values of \_S5 in the AML bytes of a DSDT or SSDT; false when they hold no such package. */
bool acpi_find_s5(const uint8_t *aml, size_t size, uint8_t *type_a, uint8_t *type_b);

/* Of the MADT's entries those of CPUs that are there or can come, as they stand: an APIC ID may come again.
 */
#define ACPI_MADT_ENTRIES 44u /* where they begin in the table */

struct acpi_madt_walk {
    const uint8_t *bytes; /* the entries */
    uint32_t length, at;
    bool broken; /* at the end: it came because an entry's length is wrong */
};

/* The next CPU; false: there is none. */
bool acpi_next_cpu(struct acpi_madt_walk *walk, struct acpi_cpu *cpu);

/* What this machine's tables said (machine.c); all zero before machine_read_tables(). */
const struct acpi_info *host_acpi(void);

#endif
