/* VT-x of this CPU; the contract is in vmx.h. Source: Intel SDM vol. 3, "Enabling and Entering VMX
 * Operation", appendix A "VMX Capability Reporting Facility". */
#include "arch/x86/vmx/vmx.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/paging.h"
#include "arch/x86/vmx/backend.h"
#include "lib/log.h"
#include "lib/string.h"

#define CR4_VMXE BIT64(13)
/* The bitmap's quarters: reads of 0-1FFFh and C0000000h-C0001FFFh, then writes of both. */
#define BITMAP_READ_HIGH      1024u
#define BITMAP_WRITE          2048u
#define EPT_LEAF_WB           (UINT64_C(6) << 3 | BIT64(6)) /* whatever the guest's PAT says: no device is its own */
#define MSR_ARCH_CAPABILITIES 0x10Au
#define IF_PSCHANGE_MC_NO     BIT64(6)
#define EPT_RWX               UINT64_C(7)
#define EPT_A                 BIT64(8)
#define EPT_D                 BIT64(9)

PER_CPU struct vmx_features vmx_features;

static PER_CPU uint64_t msr_bitmap, virtual_apic;
static PER_CPU struct nested_format nested_format;

/* MSRs that the guest may use without an exit: switched by the VMCS or by hand when the CPU changes VM. */
static const uint32_t direct_msrs[] = {MSR_FS_BASE,      MSR_GS_BASE,     MSR_KERNEL_GS_BASE, MSR_STAR,
                                       MSR_LSTAR,        MSR_CSTAR,       MSR_SFMASK,         MSR_SYSENTER_CS,
                                       MSR_SYSENTER_ESP, MSR_SYSENTER_EIP};

/* CPUs whose preemption timer does not count as documented, by CPUID.1:EAX. Source: Intel's specification
 * updates: AAJ124, AAK139, AAM126, AAN92, AAO95, AAP86, AAT59, AAU65, AAX65, BA86. */
static bool preemption_timer_broken(void)
{
    static const uint32_t signatures[] = {0x106A0, 0x106A1, 0x106A4, 0x106A5, 0x106E5,
                                          0x20652, 0x20655, 0x206E6, 0x306A8};
    uint32_t signature = cpuid(1, 0).eax;

    for (unsigned i = 0; i < ARRAY_SIZE(signatures); i++)
        if (signatures[i] == signature)
            return true;
    return false;
}

/*
 * A guest that changes the size of a page in its own tables can bring many CPUs to a machine check which none
 * survives, where the nested leaf is large and executable: these get small leaves. Source: Intel, "Machine
 * Check Error Avoidance on Page Size Change"; SDM vol. 4 "IA32_ARCH_CAPABILITIES" (IF_PSCHANGE_MC_NO).
 */
static bool page_size_breaks_cpu(void)
{
    if (CHECKS)
        return false; /* so that some test runs large leaves */
    bool tells = cpuid(0, 0).eax >= 7 && cpuid(7, 0).edx & BIT(29);

    return !tells || !(rdmsr(MSR_ARCH_CAPABILITIES) & IF_PSCHANGE_MC_NO);
}

static void read_features(void)
{
    unsigned physical_bits = cpuid(0x80000000, 0).eax >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xFF : 36;
    uint64_t ept = rdmsr(MSR_VMX_EPT_VPID);

    vmx_features = (struct vmx_features){
        .vpid =
            vmx_controls.cpu2 & CPU2_VPID && (ept & (INVVPID | INVVPID_SINGLE)) == (INVVPID | INVVPID_SINGLE),
        .ept_accessed_dirty = ept & EPT_ACCESSED_DIRTY,
        .invept_single = ept & EPT_INVEPT_SINGLE,
        .cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0),
        .cr0_fixed1 = rdmsr(MSR_VMX_CR0_FIXED1),
        .cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0),
        .cr4_fixed1 = rdmsr(MSR_VMX_CR4_FIXED1),
        .physical_bits = physical_bits,
        .pdpte_reserved = PDPTE_RESERVED_LOW | ~(BIT64(physical_bits) - 1),
        .revision = (uint32_t)rdmsr(MSR_VMX_BASIC) & 0x7FFFFFFF,
    };
    preemption_timer.present = vmx_controls.pin & PIN_PREEMPTION_TIMER && !preemption_timer_broken();
    preemption_timer.shift = rdmsr(MSR_VMX_MISC) & 31;
    if (!vmx_features.vpid)
        vmx_controls.cpu2 &= ~CPU2_VPID;
    nested_format = (struct nested_format){.table = EPT_RWX,
                                           .leaf = EPT_RWX - PTE_W + EPT_LEAF_WB,
                                           .largest = page_size_breaks_cpu() ? 1
                                                      : ept & EPT_1G         ? 3
                                                                             : 2};
    if (vmx_features.ept_accessed_dirty) {
        nested_format.table |= EPT_A;
        nested_format.leaf |= EPT_A | EPT_D;
    }
}

static void allow_msr(uint8_t *map, uint32_t index)
{
    uint32_t quarter = index < 0x2000 ? 0 : BITMAP_READ_HIGH, bit = index & 0x1FFF;

    map[quarter + bit / 8] &= (uint8_t) ~(1u << bit % 8);
    map[BITMAP_WRITE + quarter + bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

static bool vmxon(uint64_t region)
{
    uint8_t failed;

    __asm__ volatile("vmxon %1; setbe %0" : "=qm"(failed) : "m"(region) : "cc", "memory");
    return !failed;
}

bool vmx_enable(void)
{
    const char *locked = vmx_unlock();

    if (locked) {
        log_error("%s", locked);
        return false;
    }
    read_features();
    write_cr0((read_cr0() | vmx_features.cr0_fixed0) & vmx_features.cr0_fixed1);
    write_cr4((read_cr4() | CR4_VMXE | vmx_features.cr4_fixed0) & vmx_features.cr4_fixed1);
    uint32_t *region = phys_alloc_own(PAGE_SIZE);
    *region = vmx_features.revision;
    if (!vmxon(virt_to_phys(region))) {
        log_error("VMXON failed: does another hypervisor own this CPU?");
        return false;
    }
    uint8_t *map = phys_alloc_own(PAGE_SIZE);
    memset(map, 0xFF, PAGE_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(direct_msrs); i++)
        allow_msr(map, direct_msrs[i]);
    msr_bitmap = virt_to_phys(map);
    virtual_apic = virt_to_phys(phys_alloc_own(PAGE_SIZE));
    return true;
}

uint64_t vmx_msr_bitmap(void)
{
    return msr_bitmap;
}

uint64_t vmx_virtual_apic(void)
{
    return virtual_apic;
}

static uint32_t tags(void)
{
    return vmx_features.vpid ? 0x10000 : 2;
}

const struct backend vmx_backend = {
    .name = "Intel VT-x",
    .preflight = vmx_preflight,
    .enable = vmx_enable,
    .create = vmx_vcpu_create,
    .reset = vmx_vcpu_reset,
    .switch_hands = vmx_vcpu_switch,
    .arm_by = vmx_vcpu_arm_by,
    .use_guards = vmx_vcpu_use_guards,
    .hold_host = vmx_vcpu_hold_host,
    .release_host = vmx_vcpu_release_host,
    .enter = vmx_vcpu_enter,
    .exit_code = vmx_vcpu_exit_code,
    .find_fault = vmx_find_fault,
    .entry_fault = vmx_vcpu_entry_fault,
    .gather = vmx_vcpu_gather,
    .in_nmi = vmx_vcpu_in_nmi,
    .get_control = vmx_vcpu_get_control,
    .set_control = vmx_vcpu_set_control,
    .get_segment = vmx_vcpu_get_segment,
    .cr0 = vmx_vcpu_cr0,
    .cr3 = vmx_vcpu_cr3,
    .cr4 = vmx_vcpu_cr4,
    .efer = vmx_vcpu_efer,
    .dr6 = vmx_vcpu_dr6,
    .cs_base = vmx_vcpu_cs_base,
    .in_64bit_code = vmx_vcpu_in_64bit_code,
    .in_32bit_code = vmx_vcpu_in_32bit_code,
    .cpl = vmx_vcpu_cpl,
    .set_cr0 = vmx_vcpu_set_cr0,
    .set_cr4 = vmx_vcpu_set_cr4,
    .set_cr2 = vmx_vcpu_set_cr2,
    .set_dr6 = vmx_vcpu_set_dr6,
    .read_msr = vmx_vcpu_read_msr,
    .set_msr = vmx_vcpu_set_msr,
    .set_xcr0 = vmx_vcpu_set_xcr0,
    .xcr0 = vmx_vcpu_xcr0,
    .kept_pdpte = vmx_vcpu_kept_pdpte,
    .tags = tags,
    .nested_format = &nested_format,
    .bare_set = vmx_bare_set,
    .bare_run = vmx_bare_run,
};
