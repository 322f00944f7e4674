/*
 * A register file as the PC16550D's datasheet has it ("Registers", summary table), behind ports or memory
 * with any stride and access width: an access that is none of these fails the test. Nothing is ever sent
 * anywhere: `sent` holds it. Also supplies what asm.h leaves to a host test; the includer gives fake_at().
 */
#ifndef TESTS_UNIT_FAKE_16550_H
#define TESTS_UNIT_FAKE_16550_H

#include <string.h>

#include "arch/x86/asm.h"
#include "arch/x86/host/uart.h"

struct fake_16550 {
    bool memory;
    unsigned stride, width;
    uint64_t address;
    bool no_scratch, no_loopback, no_fifo, busy; /* what this one lacks; takes nothing */
    unsigned sends_on;                           /* looks at its status until its last byte has left */
    uint8_t dll, dlm, ier, fcr, lcr, mcr, scratch;
    unsigned divisor_writes;
    uint8_t sent[64], received[64];
    unsigned sent_count, received_count, received_taken;
};

/* The one at this address; NULL: nothing is there, and reads are all ones. */
static struct fake_16550 *fake_at(bool memory, uint64_t address);
static unsigned long fake_accesses;

static uint8_t fake_modem_status(const struct fake_16550 *fake)
{
    unsigned out = fake->mcr;

    if (!(out & 0x10) || fake->no_loopback)
        return 0xB0; /* somebody at the other end */
    return (uint8_t)((out & 2) << 3 | (out & 1) << 5 | (out & 4) << 4 | (out & 8) << 4);
}

static uint8_t fake_read(struct fake_16550 *fake, unsigned reg)
{
    bool latch = fake->lcr & 0x80;

    switch (reg) {
    case 0:
        return latch                                         ? fake->dll
               : fake->received_taken < fake->received_count ? fake->received[fake->received_taken++]
                                                             : 0;
    case 1:
        return latch ? fake->dlm : fake->ier;
    case 2:
        return fake->fcr & 1 && !fake->no_fifo ? 0xC1 : 0x01;
    case 3:
        return fake->lcr;
    case 4:
        return fake->mcr;
    case 5:
        fake->sends_on -= fake->sends_on > 0;
        return (uint8_t)((fake->busy || fake->sends_on ? 0 : 0x60) |
                         (fake->received_taken < fake->received_count));
    case 6:
        return fake_modem_status(fake);
    default:
        return fake->no_scratch ? 0x00 : fake->scratch;
    }
}

static void fake_write_latch(struct fake_16550 *fake, unsigned reg, uint8_t value)
{
    assert_int_equal(fake->sends_on, 0);
    *(reg ? &fake->dlm : &fake->dll) = value;
    fake->divisor_writes++;
}

static void fake_write(struct fake_16550 *fake, unsigned reg, uint8_t value)
{
    if (reg < 2 && fake->lcr & 0x80) {
        fake_write_latch(fake, reg, value);
        return;
    }
    switch (reg) {
    case 0:
        fake->sent[fake->sent_count++ % sizeof fake->sent] = value;
        break;
    case 1:
        fake->ier = value;
        break;
    case 2:
        fake->fcr = value;
        break;
    case 3:
        fake->lcr = value;
        break;
    case 4:
        fake->mcr = value;
        break;
    case 7:
        fake->scratch = value;
        break;
    default:
        break;
    }
}

/* The register that an access means. */
static unsigned fake_register(const struct fake_16550 *fake, uint64_t address, unsigned width)
{
    uint64_t offset = address - fake->address;

    assert_int_equal(width, fake->width);
    assert_int_equal(offset % fake->stride, 0);
    assert_in_range(offset / fake->stride, 0, 7);
    return (unsigned)(offset / fake->stride);
}

static uint32_t fake_in(bool memory, uint64_t address, unsigned width)
{
    struct fake_16550 *fake = fake_at(memory, address);

    fake_accesses++;
    return fake ? fake_read(fake, fake_register(fake, address, width)) : UINT32_MAX;
}

static void fake_out(bool memory, uint64_t address, unsigned width, uint32_t value)
{
    struct fake_16550 *fake = fake_at(memory, address);

    fake_accesses++;
    assert_true(value <= 0xFF);
    if (fake)
        fake_write(fake, fake_register(fake, address, width), (uint8_t)value);
}

uint8_t inb(uint16_t port)
{
    return (uint8_t)fake_in(false, port, 8);
}

void outb(uint16_t port, uint8_t value)
{
    fake_out(false, port, 8, value);
}

uint8_t mmio_read8(const volatile void *address)
{
    return (uint8_t)fake_in(true, (uintptr_t)address, 8);
}

uint32_t mmio_read32(const volatile void *address)
{
    return fake_in(true, (uintptr_t)address, 32);
}

/* A clock that every look moves on by some microseconds. */
uint64_t rdtsc(void)
{
    static uint64_t now;

    return now += 10000;
}

void mmio_write8(volatile void *address, uint8_t value)
{
    fake_out(true, (uintptr_t)address, 8, value);
}

void mmio_write32(volatile void *address, uint32_t value)
{
    fake_out(true, (uintptr_t)address, 32, value);
}

#endif
