/* One-instruction wrappers; inside arch/x86 only. The instruction's manual page is the contract. */
#ifndef ARCH_X86_ASM_H
#define ARCH_X86_ASM_H

#include "lib/base.h"

struct cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

#ifdef VERGE_HOST
/* A host test supplies the machine. */
void outb(uint16_t port, uint8_t value);
uint8_t inb(uint16_t port);
void outl(uint16_t port, uint32_t value);
uint32_t inl(uint16_t port);
uint8_t mmio_read8(const volatile void *address);
uint32_t mmio_read32(const volatile void *address);
void mmio_write8(volatile void *address, uint8_t value);
void mmio_write32(volatile void *address, uint32_t value);
uint64_t rdtsc(void);
uint64_t rdtsc_ordered(void);
struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf);
uint64_t rdmsr(uint32_t index);
void wrmsr(uint32_t index, uint64_t value);
bool rdmsr_safe(uint32_t index, uint64_t *value);
bool wrmsr_safe(uint32_t index, uint64_t value);
#else
static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t mmio_read8(const volatile void *address)
{
    return *(const volatile uint8_t *)address;
}

static inline uint32_t mmio_read32(const volatile void *address)
{
    return *(const volatile uint32_t *)address;
}

static inline void mmio_write8(volatile void *address, uint8_t value)
{
    *(volatile uint8_t *)address = value;
}

static inline void mmio_write32(volatile void *address, uint32_t value)
{
    *(volatile uint32_t *)address = value;
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Neither before the read in front of it nor after the one behind it. */
static inline uint64_t rdtsc_ordered(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result r;

    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t rdmsr(uint32_t index)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* Reads an MSR that may not exist: false when it gives #GP. */
static inline bool rdmsr_safe(uint32_t index, uint64_t *value)
{
    uint32_t low = 0, high = 0;
    bool ok;

    __asm__ volatile("1: rdmsr\n"
                     "   movb $1, %0\n"
                     "   jmp 3f\n"
                     "2: movb $0, %0\n"
                     "3:\n"
                     ".pushsection .fixup, \"a\"\n"
                     ".quad 1b, 2b\n"
                     ".popsection\n"
                     : "=r"(ok), "+a"(low), "+d"(high)
                     : "c"(index));
    *value = (uint64_t)high << 32 | low;
    return ok;
}

/* Writes an MSR that may refuse the value: false when it gives #GP. */
static inline bool wrmsr_safe(uint32_t index, uint64_t value)
{
    bool ok;

    __asm__ volatile("1: wrmsr\n"
                     "   movb $1, %0\n"
                     "   jmp 3f\n"
                     "2: movb $0, %0\n"
                     "3:\n"
                     ".pushsection .fixup, \"a\"\n"
                     ".quad 1b, 2b\n"
                     ".popsection\n"
                     : "=r"(ok)
                     : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return ok;
}
#endif

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t value;

    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

#define DEFINE_CR(n)                                                                                         \
    static inline uint64_t read_cr##n(void)                                                                  \
    {                                                                                                        \
        uint64_t value;                                                                                      \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(value) : : "memory");                                   \
        return value;                                                                                        \
    }                                                                                                        \
    static inline void write_cr##n(uint64_t value)                                                           \
    {                                                                                                        \
        __asm__ volatile("mov %0, %%cr" #n : : "r"(value) : "memory");                                       \
    }
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
#undef DEFINE_CR

static inline void invlpg(const void *address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

#define CR0_PE      BIT64(0)
#define CR0_MP      BIT64(1)
#define CR0_EM      BIT64(2)
#define CR0_TS      BIT64(3)
#define CR0_ET      BIT64(4)
#define CR0_NE      BIT64(5)
#define CR0_WP      BIT64(16)
#define CR0_AM      BIT64(18)
#define CR0_NW      BIT64(29)
#define CR0_CD      BIT64(30)
#define CR0_PG      BIT64(31)
#define CR4_PAE     BIT64(5)
#define CR4_MCE     BIT64(6)
#define CR4_OSFXSR  BIT64(9)
#define CR4_UMIP    BIT64(11)
#define CR4_PCIDE   BIT64(17)
#define CR4_OSXSAVE BIT64(18)
#define CR4_SMEP    BIT64(20)
#define CR4_SMAP    BIT64(21)

#define EFER_SCE  BIT64(0)
#define EFER_LME  BIT64(8)
#define EFER_LMA  BIT64(10)
#define EFER_NXE  BIT64(11)
#define EFER_SVME BIT64(12)

#define MSR_APIC_BASE      0x1Bu
#define MSR_PAT            0x277u
#define PAT_ENTRY_1        UINT64_C(0xFF00)
#define PAT_ENTRY_1_WC     UINT64_C(0x0100)
#define MSR_EFER           0xC0000080u
#define MSR_STAR           0xC0000081u
#define MSR_LSTAR          0xC0000082u
#define MSR_CSTAR          0xC0000083u
#define MSR_SFMASK         0xC0000084u
#define MSR_FS_BASE        0xC0000100u
#define MSR_GS_BASE        0xC0000101u
#define MSR_KERNEL_GS_BASE 0xC0000102u
#define MSR_TSC_AUX        0xC0000103u
#define MSR_SYSENTER_CS    0x174u
#define MSR_SYSENTER_ESP   0x175u
#define MSR_SYSENTER_EIP   0x176u
#define MSR_XSS            0xDA0u
#define MSR_SPEC_CTRL      0x48u
#define MSR_PRED_CMD       0x49u
#define MSR_FLUSH_CMD      0x10Bu
#define MSR_ARCH_CAPS      0x10Au

#endif
