/*
 * The map of a guest's memory as a PC's firmware reports it (ACPI specification, "INT 15H, E820H - Query
 * System Address Map"), and the little that firmware leaves in low memory, for guests that are started
 * without a BIOS.
 *
 * A guest of `ram_bytes`: 0 to 9FC00h usable, the extended BIOS data area to A0000h reserved, F0000h to 1 MB
 * reserved, RAM from 1 MB to the hole (hv/memory.h), the rest from 4 GB. Pure: callable from any context.
 */
#ifndef GUEST_E820_H
#define GUEST_E820_H

#include "hv/memory.h"

#define E820_USABLE   1u
#define E820_RESERVED 2u

#define E820_EBDA     UINT64_C(0x9FC00) /* extended BIOS data area: 1 KB below the VGA window */
#define E820_EBDA_END UINT64_C(0xA0000)
#define E820_BIOS     UINT64_C(0xF0000)
#define E820_HIGH     UINT64_C(0x100000) /* extended memory */
#define E820_ENTRIES  5                  /* at most */

/* The firmware's own layout, as Linux and Multiboot hand it on. */
struct e820_entry {
    uint64_t base;
    uint64_t length;
    uint32_t type; /* E820_USABLE, E820_RESERVED */
} __attribute__((packed));

_Static_assert(sizeof(struct e820_entry) == 20, "E820 entries have 20 bytes");

/* Fills entries in ascending order; returns how many. ram_bytes: at least 1 MB. */
unsigned e820_build(uint64_t ram_bytes, struct e820_entry entries[E820_ENTRIES]);

/* The BIOS data area at 400h and the size byte of the extended one: COM1, 639 KB, colour text 80x25. False
 * without RAM there. */
bool bios_data_write(struct guest_memory *memory);

#endif
