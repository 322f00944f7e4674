/*
 * The host's serial ports: 16550s, each of which Verge gives a number. A port that does not answer is absent:
 * writes vanish, reads find nothing, and nothing ever hangs.
 */
#ifndef ARCH_X86_API_SERIAL_H
#define ARCH_X86_API_SERIAL_H

#include "lib/base.h"

#define HOST_SERIAL_PORTS 2

/* The line: data_bits 5 to 8, stop_bits 1 or 2, parity 'n', 'o' or 'e', divisor 115200 / baud, 0: as firmware
 * left it. */
struct host_serial_line {
    uint16_t divisor;
    uint8_t data_bits, stop_bits;
    char parity;
};

enum host_serial_kind {
    HOST_SERIAL_LEGACY, /* COM1 is at port 3F8h, COM2 at 2F8h */
    HOST_SERIAL_IO,     /* at the port `address` */
    HOST_SERIAL_MMIO,   /* in memory at `address`, a byte each */
    HOST_SERIAL_MMIO32, /* in memory at `address`, 32 bits each */
    HOST_SERIAL_PCI,    /* on the PCI card `address`, or on the first with one */
    HOST_SERIAL_TABLES, /* what ACPI's SPCR names, else DBG2 */
};

#define HOST_SERIAL_ANY_CARD UINT64_MAX

/* Where a port is looked for. */
struct host_serial_where {
    enum host_serial_kind kind;
    uint64_t address; /* a card: bus << 8 | device << 3 | function */
};

/*
 * Opens port `index`, after closing it. Of several places the first counts that answers and that no other
 * port has; where it is is logged unless it is the legacy one. HOST_SERIAL_TABLES needs
 * machine_read_tables(). Returns whether a UART answered.
 */
bool host_serial_open(unsigned index, struct host_serial_where where, struct host_serial_line line);

/* The port is absent from now on. */
void host_serial_close(unsigned index);

/* What the loader's map calls RAM is no place for a UART from now on. `info` lasts. */
struct boot_info;
void host_serial_learn_memory(const struct boot_info *info);

/* The monitor's own page tables are active. Right behind that: a port in memory can't be reached between. */
void host_serial_map(void);

/* Hands over as many bytes as the transmitter takes now; returns how many. An absent port takes all. */
size_t host_serial_write(unsigned index, const uint8_t *data, size_t length);

/* Waits, boundedly, until all is written: for panics and the last line. */
void host_serial_write_all(unsigned index, const uint8_t *data, size_t length);

/* Waits, boundedly, until the transmitters of all ports are empty: before the machine ends. */
void host_serial_drain(void);

/* Takes up to `length` received bytes; returns how many there were. */
size_t host_serial_read(unsigned index, uint8_t *data, size_t length);

#endif
