/* The physical CPU at boot; the contract is in api/cpu.h. */
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/svm/backend.h"
#include "arch/x86/svm/svm.h"
#include "arch/x86/trap.h"
#include "lib/log.h"

void cpu_init_early(void)
{
    trap_init();
    write_cr0((read_cr0() | CR0_WP | CR0_NE) & ~(CR0_CD | CR0_NW));
    if (cpuid(1, 0).edx & BIT(7))
        write_cr4(read_cr4() | CR4_MCE); /* else a machine check is a shutdown without a word */
    if (cpuid(0, 0).eax >= 7) {
        struct cpuid_result r = cpuid(7, 0);
        uint64_t cr4 = read_cr4();

        if (r.ebx & BIT(7))
            cr4 |= CR4_SMEP;
        if (r.ebx & BIT(20))
            cr4 |= CR4_SMAP;
        if (r.ecx & BIT(2))
            cr4 |= CR4_UMIP;
        write_cr4(cr4);
    }
}

const char *cpu_backend_name(void)
{
    return "AMD SVM";
}

const char *cpu_preflight(const char *warnings[], unsigned most, unsigned *count)
{
    *count = 0;
    if (cpuid(0x80000000, 0).eax < 0x80000007 || !(cpuid(0x80000007, 0).edx & BIT(8)))
        if (*count < most)
            warnings[(*count)++] = "the TSC of this CPU is not invariant: guest time is right only while the "
                                   "CPU keeps one speed";
    if (cpuid(1, 0).ecx & BIT(31))
        if (*count < most)
            warnings[(*count)++] =
                "under a hypervisor: guest time holds only as far as that one doesn't preempt Verge";
    return svm_preflight();
}

bool cpu_init_virtualisation(void)
{
    if (!host_lapic_init()) {
        log_error(
            "this CPU has no local APIC, whose timer Verge needs: enable it in the firmware's CPU settings");
        return false;
    }
    if (!oneshot_init()) {
        log_error("the local APIC's timer does not count, which Verge needs");
        return false;
    }
    svm_enable();
    return svm_calibrate();
}
