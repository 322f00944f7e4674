/* SVM of this CPU; the contract is in svm.h. Source: AMD64 APM vol. 2 "Enabling SVM", "MSR Intercepts", "IOIO
 * Intercepts". */
#include "arch/x86/svm/svm.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/paging.h"
#include "arch/x86/svm/backend.h"
#include "lib/log.h"
#include "lib/string.h"

#define MSR_VM_HSAVE_PA 0xC0010117u
#define EFER_FFXSR      BIT64(14)
#define MSR_TSC_RATIO   0xC0000104u
#define TSC_RATIO_ONE   BIT64(32) /* 8.32 fixed point */

#define IOPM_SIZE  0x3000u
#define MSRPM_SIZE 0x2000u
PER_CPU struct svm_features svm_features;
static PER_CPU struct nested_format nested_format;
PER_CPU uint32_t svm_all_clean;

static PER_CPU uint64_t iopm, msrpm, host_vmcb;

/* MSRs that the guest may use without an exit: VMSAVE and VMLOAD switch them. */
static const uint32_t direct_msrs[] = {MSR_FS_BASE,      MSR_GS_BASE,     MSR_KERNEL_GS_BASE, MSR_STAR,
                                       MSR_LSTAR,        MSR_CSTAR,       MSR_SFMASK,         MSR_SYSENTER_CS,
                                       MSR_SYSENTER_ESP, MSR_SYSENTER_EIP};

static void read_features(void)
{
    struct cpuid_result r = cpuid(0x8000000A, 0);

    svm_features.next_rip = r.edx & BIT(3);
    svm_features.clean_bits = r.edx & BIT(5);
    svm_features.flush_by_asid = r.edx & BIT(6);
    svm_features.decode_assists = r.edx & BIT(7);
    svm_features.asids = r.ebx;
    svm_features.efer_bits =
        EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | (cpuid(0x80000001, 0).edx & BIT(25) ? EFER_FFXSR : 0);
    svm_all_clean = svm_features.clean_bits ? ~CLEAN_INTERCEPTS : 0;
    nested_format = (struct nested_format){.table = PTE_P | PTE_W | PTE_U | PTE_A,
                                           .leaf = PTE_P | PTE_U | PTE_A | PTE_D,
                                           .largest = cpuid(0x80000001, 0).edx & BIT(26) ? 3 : 2};
    if (r.edx & BIT(4))
        wrmsr(MSR_TSC_RATIO, TSC_RATIO_ONE); /* whoever owned the CPU before may have scaled its guests */
}

static void allow_msr(uint8_t *map, uint32_t index)
{
    uint32_t base = index < 0x2000 ? 0 : 0x800;
    uint32_t bit = (index & 0x1FFF) * 2;

    map[base + bit / 8] &= (uint8_t) ~(3u << bit % 8);
}

bool svm_enable(void)
{
    read_features();
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
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
    return true;
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

static uint32_t tags(void)
{
    return svm_features.asids;
}

const struct backend svm_backend = {
    .name = "AMD SVM",
    .preflight = svm_preflight,
    .enable = svm_enable,
    .create = svm_vcpu_create,
    .reset = svm_vcpu_reset,
    .switch_hands = svm_vcpu_switch,
    .arm_by = svm_vcpu_arm_by,
    .use_guards = svm_vcpu_use_guards,
    .hold_host = svm_vcpu_hold_host,
    .release_host = svm_vcpu_release_host,
    .enter = svm_vcpu_enter,
    .exit_code = svm_vcpu_exit_code,
    .find_fault = svm_find_fault,
    .gather = svm_vcpu_gather,
    .in_nmi = svm_vcpu_in_nmi,
    .get_control = svm_vcpu_get_control,
    .set_control = svm_vcpu_set_control,
    .get_segment = svm_vcpu_get_segment,
    .cr0 = svm_vcpu_cr0,
    .cr3 = svm_vcpu_cr3,
    .cr4 = svm_vcpu_cr4,
    .efer = svm_vcpu_efer,
    .dr6 = svm_vcpu_dr6,
    .cs_base = svm_vcpu_cs_base,
    .in_64bit_code = svm_vcpu_in_64bit_code,
    .in_32bit_code = svm_vcpu_in_32bit_code,
    .cpl = svm_vcpu_cpl,
    .set_cr0 = svm_vcpu_set_cr0,
    .set_cr4 = svm_vcpu_set_cr4,
    .set_cr2 = svm_vcpu_set_cr2,
    .set_dr6 = svm_vcpu_set_dr6,
    .read_msr = svm_vcpu_read_msr,
    .set_msr = svm_vcpu_set_msr,
    .set_xcr0 = svm_vcpu_set_xcr0,
    .xcr0 = svm_vcpu_xcr0,
    .tags = tags,
    .nested_format = &nested_format,
    .bare_set = svm_bare_set,
    .bare_run = svm_bare_run,
};
