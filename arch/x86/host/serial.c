/*
 * The host's 16550s, polled. Source: National PC16550D datasheet. Contract: api/serial.h.
 */
#include "arch/x86/api/serial.h"
#include "arch/x86/asm.h"

#define REG_DATA    0
#define REG_IER     1
#define REG_FCR     2
#define REG_IIR     2
#define REG_LCR     3
#define REG_MCR     4
#define REG_LSR     5
#define REG_SCRATCH 7

#define LCR_2_STOP       0x04
#define LCR_PARITY       0x08
#define LCR_EVEN         0x10
#define LCR_DLAB         0x80
#define MCR_DTR_RTS      0x03
#define FCR_ENABLE_CLEAR 0x07
#define IIR_FIFO         0xC0
#define LSR_DATA_READY   BIT(0)
#define LSR_THRE         BIT(5)
#define LSR_TEMT         BIT(6)

#define FIFO_SIZE 16u
#define DRAIN_SPINS                                                                                          \
    10000000u /* about ten seconds of port reads at 1 us: an emulator's port waits for whoever reads behind  \
                 it */

static const uint16_t base_ports[HOST_SERIAL_PORTS] = {0x3F8, 0x2F8};
static bool present[HOST_SERIAL_PORTS];
static size_t room[HOST_SERIAL_PORTS]; /* bytes that an empty transmitter takes: 1 without a working FIFO */
static bool stuck[HOST_SERIAL_PORTS];  /* took nothing for all that time: no more waiting until it does */

static bool answers(uint16_t base)
{
    outb(base + REG_SCRATCH, 0x5A);
    if (inb(base + REG_SCRATCH) != 0x5A)
        return false;
    outb(base + REG_SCRATCH, 0xA5);
    return inb(base + REG_SCRATCH) == 0xA5;
}

static uint8_t line_control(struct host_serial_line line)
{
    uint8_t parity = line.parity == 'n' ? 0 : line.parity == 'o' ? LCR_PARITY : LCR_PARITY | LCR_EVEN;

    return (uint8_t)(line.data_bits - 5u) | (line.stop_bits == 2 ? LCR_2_STOP : 0) | parity;
}

bool host_serial_open(unsigned index, struct host_serial_line line)
{
    uint16_t base = base_ports[index];

    present[index] = answers(base);
    if (!present[index])
        return false;
    outb(base + REG_IER, 0);
    outb(base + REG_LCR, LCR_DLAB);
    outb(base + REG_DATA, (uint8_t)line.divisor);
    outb(base + REG_IER, (uint8_t)(line.divisor >> 8));
    outb(base + REG_LCR, line_control(line));
    outb(base + REG_FCR, FCR_ENABLE_CLEAR);
    room[index] = (inb(base + REG_IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_SIZE : 1;
    outb(base + REG_MCR, MCR_DTR_RTS);
    return true;
}

size_t host_serial_write(unsigned index, const uint8_t *data, size_t length)
{
    uint16_t base = base_ports[index];
    size_t count = MIN(length, room[index]);

    if (!present[index])
        return length;
    if (!(inb(base + REG_LSR) & LSR_THRE))
        return 0;
    for (size_t i = 0; i < count; i++)
        outb(base + REG_DATA, data[i]);
    return count;
}

void host_serial_write_all(unsigned index, const uint8_t *data, size_t length)
{
    unsigned spins = stuck[index] ? DRAIN_SPINS - 1 : 0;

    while (length && spins++ < DRAIN_SPINS) {
        size_t taken = host_serial_write(index, data, length);

        data += taken;
        length -= taken;
        if (taken)
            spins = 0;
    }
    stuck[index] = length != 0;
}

static void drain(unsigned index)
{
    unsigned spins = stuck[index] ? DRAIN_SPINS - 1 : 0;

    while (!(inb(base_ports[index] + REG_LSR) & LSR_TEMT) && spins++ < DRAIN_SPINS)
        ;
}

void host_serial_drain(void)
{
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        if (present[i])
            drain(i);
}

size_t host_serial_read(unsigned index, uint8_t *data, size_t length)
{
    uint16_t base = base_ports[index];
    size_t count = 0;

    if (!present[index])
        return 0;
    while (count < length && inb(base + REG_LSR) & LSR_DATA_READY)
        data[count++] = inb(base + REG_DATA);
    return count;
}
