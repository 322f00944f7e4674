/* A 16550 by its registers; the contract and the source are in uart.h. */
#include "arch/x86/host/uart.h"
#include "arch/x86/asm.h"

#define REG_DATA    0u
#define REG_IER     1u
#define REG_FCR     2u
#define REG_IIR     2u
#define REG_LCR     3u
#define REG_MCR     4u
#define REG_LSR     5u
#define REG_MSR     6u
#define REG_SCRATCH 7u
#define REG_DLL     0u /* these two under DLAB */
#define REG_DLM     1u

#define LCR_2_STOP       0x04
#define LCR_PARITY       0x08
#define LCR_EVEN         0x10
#define LCR_DLAB         0x80
#define MCR_DTR_RTS      0x03
#define MCR_LOOP         0x10
#define FCR_ENABLE_CLEAR 0x07
#define IIR_FIFO         0xC0
#define LSR_DATA_READY   BIT(0)
#define LSR_THRE         BIT(5)
#define LSR_TEMT         BIT(6)
#define ABSENT           0xFF /* as line status: no device drives the bus */

#define FIFO_SIZE 16u

/*
 * How long a transmitter that takes nothing is waited for: until both have passed, or the longest. On a PC
 * the reads are about ten seconds, at 1 us each. An emulator's port, whose reads cost next to nothing, waits
 * for whoever reads behind it: there the TSC says how long.
 */
#define PATIENCE_READS   10000000u
#define PATIENCE_CYCLES  BIT64(34)
#define PATIENCE_LONGEST BIT64(35) /* however slow its reads are; LOCK_CYCLES is more */
#define LAST_BYTES_READS 100000u   /* 0.1 s: sixteen bytes at 2400 baud */

struct patience {
    unsigned reads;
    uint64_t since;
};

static uint8_t reg_read(const struct uart *uart, unsigned reg)
{
    unsigned at = reg * uart->place.stride;

    if (!uart->place.memory)
        return inb((uint16_t)(uart->place.address + at));
    return uart->place.width == 32 ? (uint8_t)mmio_read32(uart->memory + at) : mmio_read8(uart->memory + at);
}

static void reg_write(const struct uart *uart, unsigned reg, uint8_t value)
{
    unsigned at = reg * uart->place.stride;

    if (!uart->place.memory)
        outb((uint16_t)(uart->place.address + at), value);
    else if (uart->place.width == 32)
        mmio_write32(uart->memory + at, value);
    else
        mmio_write8(uart->memory + at, value);
}

static bool holds(const struct uart *uart, uint8_t value)
{
    reg_write(uart, REG_SCRATCH, value);
    return reg_read(uart, REG_SCRATCH) == value;
}

/* In loopback DTR, RTS, OUT1 and OUT2 are read as DSR, CTS, RI and DCD. */
static bool loops(const struct uart *uart, uint8_t outputs, uint8_t inputs)
{
    reg_write(uart, REG_MCR, MCR_LOOP | outputs);
    return (reg_read(uart, REG_MSR) & 0xF0) == inputs;
}

/* What firmware or a boot loader has sent last leaves at the rate it was meant for. */
static void let_finish(const struct uart *uart)
{
    for (unsigned i = 0; i < LAST_BYTES_READS; i++)
        if (reg_read(uart, REG_LSR) & LSR_TEMT)
            return;
}

static bool answers(const struct uart *uart)
{
    if (reg_read(uart, REG_LSR) == ABSENT)
        return false;
    let_finish(uart); /* loopback would cut it off */
    if (holds(uart, 0x5A) && holds(uart, 0xA5))
        return true;
    uint8_t before = reg_read(uart, REG_MCR);
    bool found = loops(uart, 0x0A, 0x90) && loops(uart, 0x05, 0x60);
    reg_write(uart, REG_MCR, before);
    return found;
}

static uint8_t line_control(struct host_serial_line line)
{
    uint8_t parity = line.parity == 'n' ? 0 : line.parity == 'o' ? LCR_PARITY : LCR_PARITY | LCR_EVEN;

    return (uint8_t)(line.data_bits - 5u) | (line.stop_bits == 2 ? LCR_2_STOP : 0) | parity;
}

/* Divisor 0 in `line`: what firmware set stays, else what its tables say, else 115200. */
static void set_divisor(const struct uart *uart, struct host_serial_line line)
{
    unsigned divisor = line.divisor;

    reg_write(uart, REG_LCR, LCR_DLAB);
    if (!divisor && (reg_read(uart, REG_DLL) || reg_read(uart, REG_DLM)))
        return;
    if (!divisor)
        divisor = uart->place.baud ? UART_HZ / uart->place.baud : 1;
    reg_write(uart, REG_DLL, (uint8_t)divisor);
    reg_write(uart, REG_DLM, (uint8_t)(divisor >> 8));
}

bool uart_open(struct uart *uart, struct host_serial_line line)
{
    uart->stuck = false;
    if (!answers(uart))
        return false;
    set_divisor(uart, line);
    reg_write(uart, REG_LCR, line_control(line));
    reg_write(uart, REG_IER, 0); /* behind DLAB's end: with it, this is half of the divisor */
    reg_write(uart, REG_FCR, FCR_ENABLE_CLEAR);
    uart->room = (reg_read(uart, REG_IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_SIZE : 1;
    reg_write(uart, REG_MCR, MCR_DTR_RTS);
    return true;
}

size_t uart_write(struct uart *uart, const uint8_t *data, size_t length)
{
    size_t count = MIN(length, uart->room);
    uint8_t status = reg_read(uart, REG_LSR);

    if (status == ABSENT)
        return length;
    if (!(status & LSR_THRE))
        return uart->stuck ? length : 0;
    uart->stuck = false;
    for (size_t i = 0; i < count; i++)
        reg_write(uart, REG_DATA, data[i]);
    return count;
}

static bool ended(struct patience *patience)
{
    if (patience->reads++ == 0)
        patience->since = rdtsc();
    uint64_t cycles = rdtsc() - patience->since;
    return (patience->reads > PATIENCE_READS && cycles > PATIENCE_CYCLES) || cycles > PATIENCE_LONGEST;
}

void uart_write_all(struct uart *uart, const uint8_t *data, size_t length)
{
    struct patience patience = {0};

    while (length) {
        size_t taken = uart_write(uart, data, length);

        data += taken;
        length -= taken;
        if (taken)
            patience.reads = 0;
        else
            uart->stuck = ended(&patience);
    }
}

void uart_drain(struct uart *uart)
{
    struct patience patience = {0};

    while (!uart->stuck && !(reg_read(uart, REG_LSR) & LSR_TEMT))
        uart->stuck = ended(&patience);
}

size_t uart_read(const struct uart *uart, uint8_t *data, size_t length)
{
    size_t count = 0;

    while (count < length) {
        uint8_t status = reg_read(uart, REG_LSR);

        if (status == ABSENT || !(status & LSR_DATA_READY))
            break;
        data[count++] = reg_read(uart, REG_DATA);
    }
    return count;
}
