/* SVM of this CPU; the contract is in svm.h. Source: AMD64 APM vol. 2 "Enabling SVM", "MSR Intercepts", "IOIO
 * Intercepts". */
#include "arch/x86/svm/svm.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/paging.h"
#include "arch/x86/svm/backend.h"
#include "lib/log.h"
#include "lib/string.h"

#define MSR_VM_CR       0xC0010114u
#define MSR_VM_HSAVE_PA 0xC0010117u
#define VM_CR_LOCK      BIT64(3)
#define VM_CR_SVMDIS    BIT64(4)
#define AUTOMATIC_IBRS  BIT64(21) /* of EFER */
#define MSR_TSC_RATIO   0xC0000104u
#define TSC_RATIO_ONE   BIT64(32) /* 8.32 fixed point */
#define MSR_PRED_CMD    0x49u
#define PRED_CMD_IBPB   BIT64(0)

#define IOPM_SIZE    0x3000u
#define MSRPM_SIZE   0x2000u
#define XCR0_SSE_X87 0x3u
#define XCR0_SWITCHED                                                                                        \
    0xE7u /* x87, SSE, AVX, AVX-512: what the guests' CPUID offers (guest/cpuid_build.c)                     \
           */

struct svm_features svm_features;
uint32_t svm_all_clean;

static uint64_t iopm, msrpm, host_vmcb;
static uint64_t host_xcr0;
static bool has_tsc_aux;

/* MSRs that the guest may use without an exit: VMSAVE and VMLOAD switch them. */
static const uint32_t direct_msrs[] = {MSR_FS_BASE,      MSR_GS_BASE,     MSR_KERNEL_GS_BASE, MSR_STAR,
                                       MSR_LSTAR,        MSR_CSTAR,       MSR_SFMASK,         MSR_SYSENTER_CS,
                                       MSR_SYSENTER_ESP, MSR_SYSENTER_EIP};

const char *svm_preflight(void)
{
    uint64_t vm_cr;

    if (cpuid(0x80000000, 0).eax < 0x8000000A || !(cpuid(0x80000001, 0).ecx & BIT(2)))
        return "this CPU has no AMD SVM, or the firmware hides it: enable \"SVM Mode\" (virtualisation) in "
               "the firmware's CPU settings";
    if (rdmsr_safe(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS && !(vm_cr & VM_CR_LOCK))
        wrmsr_safe(MSR_VM_CR, vm_cr & ~VM_CR_SVMDIS);
    if (rdmsr_safe(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS)
        return "SVM is locked off by the firmware: enable \"SVM Mode\" in the firmware's CPU settings and "
               "switch the machine off and on";
    if (!(cpuid(0x8000000A, 0).edx & BIT(0)))
        return "this CPU's SVM has no nested paging (NPT), which Verge needs";
    if (!wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME))
        return "EFER.SVME can't be set: enable \"SVM Mode\" in the firmware's CPU settings";
    return NULL;
}

static void read_features(void)
{
    struct cpuid_result r = cpuid(0x8000000A, 0);

    svm_features.next_rip = r.edx & BIT(3);
    svm_features.clean_bits = r.edx & BIT(5);
    svm_features.flush_by_asid = r.edx & BIT(6);
    svm_features.decode_assists = r.edx & BIT(7);
    svm_features.asids = r.ebx;
    svm_all_clean = svm_features.clean_bits ? ~CLEAN_INTERCEPTS : 0;
    has_tsc_aux = cpuid(0x80000001, 0).edx & BIT(27);
    svm_features.predictor_barrier =
        cpuid(0x80000000, 0).eax >= 0x80000008 && cpuid(0x80000008, 0).ebx & BIT(12);
    if (r.edx & BIT(4))
        wrmsr(MSR_TSC_RATIO, TSC_RATIO_ONE); /* whoever owned the CPU before may have scaled its guests */
}

static void enable_extended_state(void)
{
    write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP);
    write_cr4(read_cr4() | CR4_OSFXSR | BIT64(10));
    if (!(cpuid(1, 0).ecx & BIT(26)) || cpuid(0, 0).eax < 0xD)
        return;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    struct cpuid_result r = cpuid(0xD, 0);
    host_xcr0 = r.eax & XCR0_SWITCHED;
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)host_xcr0), "d"(0));
    if (cpuid(0xD, 1).eax & BIT(3))
        wrmsr(MSR_XSS, 0); /* no supervisor state: a guest's XSAVES would reach what doesn't change hands */
    if (cpuid(0xD, 0).ebx > XSAVE_AREA_SIZE) {
        host_xcr0 = XCR0_SSE_X87;
        __asm__ volatile("xsetbv" : : "c"(0), "a"(XCR0_SSE_X87), "d"(0));
    }
}

static void allow_msr(uint8_t *map, uint32_t index)
{
    uint32_t base = index < 0x2000 ? 0 : 0x800;
    uint32_t bit = (index & 0x1FFF) * 2;

    map[base + bit / 8] &= (uint8_t) ~(3u << bit % 8);
}

void svm_enable(void)
{
    read_features();
    enable_extended_state();
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    if (cpuid(0x80000000, 0).eax >= 0x80000021 && cpuid(0x80000021, 0).eax & BIT(8))
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | AUTOMATIC_IBRS); /* guests don't steer the monitor's branches */
    wrmsr(MSR_VM_HSAVE_PA, virt_to_phys(phys_alloc_own(PAGE_SIZE)));

    uint8_t *map = phys_alloc_own(IOPM_SIZE);
    memset(map, 0xFF, IOPM_SIZE);
    iopm = virt_to_phys(map);
    map = phys_alloc_own(MSRPM_SIZE);
    memset(map, 0xFF, MSRPM_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(direct_msrs); i++)
        allow_msr(map, direct_msrs[i]);
    msrpm = virt_to_phys(map);

    host_vmcb = virt_to_phys(phys_alloc_own(sizeof(struct vmcb)));
    __asm__ volatile("vmsave %0" : : "a"(host_vmcb) : "memory");
}

uint64_t svm_iopm(void)
{
    return iopm;
}

uint64_t svm_msrpm(void)
{
    return msrpm;
}

uint64_t svm_host_vmcb(void)
{
    return host_vmcb;
}

uint64_t svm_host_xcr0(void)
{
    return host_xcr0;
}

static void set_xcr0(uint64_t value)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

void svm_save_extended(void *area)
{
    if (host_xcr0) {
        set_xcr0(host_xcr0);
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(0xFFFFFFFF), "d"(0xFFFFFFFF) : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    }
}

/*
 * The FNCLEX and the dummy load hide the previous owner's x87 error pointers, which AMD's FXRSTOR and XRSTOR
 * leave alone without a pending exception (APM vol. 5 "FXRSTOR").
 */
void svm_load_extended(const void *area, uint64_t guest_xcr0)
{
    static const uint32_t zero;

    __asm__ volatile("fnclex; emms; fildl %0" : : "m"(zero));
    if (host_xcr0) {
        __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(0xFFFFFFFF), "d"(0xFFFFFFFF) : "memory");
        set_xcr0(guest_xcr0);
    } else {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
    }
}

void svm_forget_branches(void)
{
    if (svm_features.predictor_barrier)
        wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
}

uint64_t svm_read_tsc_aux(void)
{
    return has_tsc_aux ? rdmsr(MSR_TSC_AUX) : 0;
}

void svm_write_tsc_aux(uint64_t value)
{
    if (has_tsc_aux)
        wrmsr(MSR_TSC_AUX, value);
}
