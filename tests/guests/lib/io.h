/* Ports, TSC and flags, as inline instructions. Freestanding 64-bit ring 0. */
#ifndef GUEST_IO_H
#define GUEST_IO_H

#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline uint32_t in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* OUT to a fixed port and the TSC by the very next instruction: the moment when the access ended. */
#define OUT8_END(port, value)                                                                                \
    __extension__({                                                                                          \
        uint32_t low_, high_;                                                                                \
        __asm__ volatile("outb %%al, %2\n\trdtsc"                                                            \
                         : "=a"(low_), "=d"(high_)                                                           \
                         : "N"(port), "0"((uint32_t)(value))                                                 \
                         : "memory");                                                                        \
        (uint64_t) high_ << 32 | low_;                                                                       \
    })

/* IN of 32 bits and the TSC one instruction (a MOV) later. */
static inline uint32_t in32_end(uint16_t port, uint64_t *end_tsc)
{
    uint32_t value, low, high = port;
    __asm__ volatile("inl %%dx, %%eax\n\tmovl %%eax, %0\n\trdtsc"
                     : "=&r"(value), "=a"(low), "+d"(high)
                     :
                     : "memory");
    *end_tsc = (uint64_t)high << 32 | low;
    return value;
}

static inline void cpuid(uint32_t leaf, uint32_t out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "0"(leaf), "2"(0));
}

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}
static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}
/* STI and HLT in one: no interrupt is lost in between. */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti\n\thlt" : : : "memory");
}

#endif
