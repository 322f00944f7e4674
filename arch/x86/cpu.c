/* The physical CPU at boot; the contract is in api/cpu.h. */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/asm.h"
#include "arch/x86/backend.h"
#include "arch/x86/hands.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/trap.h"
#include "lib/log.h"

#define MSR_MCG_CAP        0x179u
#define MSR_MCG_STATUS     0x17Au
#define MSR_MC0_STATUS     0x401u
#define MCG_CAN_GO_ON      BIT64(0) /* RIPV */
#define MCG_IN_PROGRESS    BIT64(2) /* MCIP */
#define MC_VALID           BIT64(63)
#define MC_CONTEXT_CORRUPT BIT64(57) /* PCC */

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
    return cpu_backend.name;
}

/* By what the CPU has; by its maker where it has neither, so that the reason names the right setting. */
static const struct backend *backend_of_this_cpu(void)
{
    if (cpuid(0x80000000, 0).eax >= 0x80000001 && cpuid(0x80000001, 0).ecx & BIT(2))
        return &svm_backend;
    if (cpuid(1, 0).ecx & BIT(5))
        return &vmx_backend;
    switch (cpuid(0, 0).ebx) {
    case 0x68747541: /* AuthenticAMD */
    case 0x6F677948: /* HygonGenuine */
        return &svm_backend;
    default:
        return &vmx_backend;
    }
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
    backend_choose(backend_of_this_cpu());
    return cpu_backend.preflight();
}

bool cpu_init_virtualisation(enum cpu_timer timer)
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
    hands_enable();
    if (!cpu_backend.enable())
        return false;
    if (timer == CPU_TIMER_PREEMPTION)
        preemption_timer.spared = PREEMPTION_ALWAYS;
    if (timer == CPU_TIMER_PREEMPTION && !preemption_timer.present) {
        log_error("timer=preempt: this CPU has no VMX preemption timer that works; use timer=oneshot");
        return false;
    }
    return calibrate();
}

bool cpu_machine_check_waits(void)
{
    uint64_t global;

    return cpuid(1, 0).edx & BIT(14) && rdmsr_safe(MSR_MCG_STATUS, &global) && global & MCG_IN_PROGRESS;
}

/* Source: APM vol. 2 "Machine Check Architecture", "Machine Check Global Status", "Machine-Check Registers".
 */
void cpu_take_machine_check(void)
{
    uint64_t capabilities = 0, global = 0, all = 0;

    if (!(cpuid(1, 0).edx & BIT(14)) || !rdmsr_safe(MSR_MCG_CAP, &capabilities) ||
        !rdmsr_safe(MSR_MCG_STATUS, &global))
        panic("machine check, on a CPU that does not say more");
    for (unsigned bank = 0; bank < (capabilities & 0xFF); bank++) {
        uint64_t status;

        if (!rdmsr_safe(MSR_MC0_STATUS + 4 * bank, &status) || !(status & MC_VALID))
            continue;
        log_error("machine check: bank %u status %llx", bank, (unsigned long long)status);
        wrmsr_safe(MSR_MC0_STATUS + 4 * bank, 0);
        all |= status;
    }
    if (!(global & MCG_CAN_GO_ON) || all & MC_CONTEXT_CORRUPT)
        panic("machine check: the CPU's state is not whole");
    wrmsr(MSR_MCG_STATUS, 0); /* another one would shut the CPU down else */
}
