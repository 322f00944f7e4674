/* Registers that change hands with the CPU; the contract is in hands.h. */
#include "arch/x86/hands.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/speculation.h"
#include "lib/string.h"

#define XSAVE_AREA_SIZE 4096u
#define MXCSR_RESET     0x1F80u
#define FCW_RESET       0x37Fu

#define XCR0_X87    BIT64(0)
#define XCR0_SSE    BIT64(1)
#define XCR0_AVX    BIT64(2)
#define XCR0_AVX512 (BIT64(5) | BIT64(6) | BIT64(7))
/* what the guests' CPUID offers (guest/cpuid_build.c) */
#define XCR0_SWITCHED (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512)

static PER_CPU uint64_t host_xcr0; /* 0: no XSAVE */
static PER_CPU bool has_tsc_aux;

static void write_xcr0(uint64_t value)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void enable_extended_state(void)
{
    write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP);
    write_cr4(read_cr4() | CR4_OSFXSR | BIT64(10));
    if (!(cpuid(1, 0).ecx & BIT(26)) || cpuid(0, 0).eax < 0xD)
        return;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    host_xcr0 = cpuid(0xD, 0).eax & XCR0_SWITCHED;
    write_xcr0(host_xcr0);
    if (cpuid(0xD, 1).eax & BIT(3))
        wrmsr(MSR_XSS, 0); /* no supervisor state: a guest's XSAVES would reach what doesn't change hands */
    if (cpuid(0xD, 0).ebx > XSAVE_AREA_SIZE) {
        host_xcr0 = XCR0_SSE | XCR0_X87;
        write_xcr0(host_xcr0);
    }
}

void hands_enable(void)
{
    enable_extended_state();
    has_tsc_aux = cpuid(0x80000001, 0).edx & BIT(27);
}

void hands_create(struct hands *hands)
{
    hands->extended_state = phys_alloc_own(XSAVE_AREA_SIZE);
}

void hands_reset(struct hands *hands)
{
    const uint16_t fcw = FCW_RESET;
    const uint32_t mxcsr = MXCSR_RESET;
    uint8_t *area = hands->extended_state;

    memset(hands->debug_registers, 0, sizeof hands->debug_registers);
    hands->xcr0 = XCR0_X87;
    hands->tsc_aux = 0;
    memset(area, 0, XSAVE_AREA_SIZE);
    memcpy(area, &fcw, sizeof fcw);
    memcpy(area + 24, &mxcsr, sizeof mxcsr);
}

void hands_save(struct hands *hands)
{
    if (host_xcr0) {
        write_xcr0(host_xcr0);
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(hands->extended_state), "a"(0xFFFFFFFF), "d"(0xFFFFFFFF)
                         : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(hands->extended_state) : "memory");
    }
    __asm__ volatile("mov %%db0, %0" : "=r"(hands->debug_registers[0]));
    __asm__ volatile("mov %%db1, %0" : "=r"(hands->debug_registers[1]));
    __asm__ volatile("mov %%db2, %0" : "=r"(hands->debug_registers[2]));
    __asm__ volatile("mov %%db3, %0" : "=r"(hands->debug_registers[3]));
    hands->tsc_aux = hands_read_tsc_aux();
}

/*
 * The FNCLEX and the dummy load hide the previous owner's x87 error pointers, which AMD's FXRSTOR and XRSTOR
 * leave alone without a pending exception (APM vol. 5 "FXRSTOR").
 */
void hands_load(const struct hands *hands)
{
    static const uint32_t zero;

    __asm__ volatile("fnclex; emms; fildl %0" : : "m"(zero));
    if (host_xcr0) {
        write_xcr0(host_xcr0);
        __asm__ volatile("xrstor64 (%0)"
                         :
                         : "r"(hands->extended_state), "a"(0xFFFFFFFF), "d"(0xFFFFFFFF)
                         : "memory");
        write_xcr0(hands->xcr0);
    } else {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(hands->extended_state) : "memory");
    }
    __asm__ volatile("mov %0, %%db0" : : "r"(hands->debug_registers[0]));
    __asm__ volatile("mov %0, %%db1" : : "r"(hands->debug_registers[1]));
    __asm__ volatile("mov %0, %%db2" : : "r"(hands->debug_registers[2]));
    __asm__ volatile("mov %0, %%db3" : : "r"(hands->debug_registers[3]));
    hands_write_tsc_aux(hands->tsc_aux);
}

void hands_forget_branches(void)
{
    if (speculation.ibpb)
        wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
}

/* What XSETBV takes; anything else would be a #GP of our own. Source: APM vol. 2 "XFEATURE_ENABLED_MASK"; SDM
 * vol. 1 "Enabling the XSAVE Feature Set". */
static bool xcr0_valid(uint64_t value)
{
    uint64_t avx512 = value & XCR0_AVX512;

    if (!(value & XCR0_X87) || value & ~host_xcr0 || (value & XCR0_AVX && !(value & XCR0_SSE)))
        return false;
    return !avx512 || (avx512 == XCR0_AVX512 && value & XCR0_AVX);
}

bool hands_set_xcr0(struct hands *hands, uint64_t value)
{
    if (!xcr0_valid(value))
        return false;
    hands->xcr0 = value;
    write_xcr0(value);
    return true;
}

uint64_t hands_read_tsc_aux(void)
{
    return has_tsc_aux ? rdmsr(MSR_TSC_AUX) : 0;
}

void hands_write_tsc_aux(uint64_t value)
{
    if (has_tsc_aux)
        wrmsr(MSR_TSC_AUX, value);
}
