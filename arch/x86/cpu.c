/* The physical CPU at boot; the contract is in api/cpu.h. */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/asm.h"
#include "arch/x86/backend.h"
#include "arch/x86/hands.h"
#include "arch/x86/host/deadline.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/identity.h"
#include "arch/x86/speculation.h"
#include "arch/x86/start_cpu.h"
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
    return cpu_is_amd() ? &svm_backend : &vmx_backend;
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

/* The microcode that this CPU's TSC-deadline timer needs and hasn't; 0: none. */
static uint32_t deadline_microcode_missing(void)
{
    if (!cpu_is_intel() || cpu_is_virtual())
        return 0;
    uint32_t needed = deadline_microcode(cpuid(1, 0).eax);

    return cpu_microcode() < needed ? needed : 0;
}

/* timer=deadline takes the mode as it is; auto only where it is sound. */
static bool choose_deadlines(enum cpu_timer timer)
{
    bool wanted = timer == CPU_TIMER_DEADLINE;

    if (!(wanted || timer == CPU_TIMER_AUTO) || !host_lapic_has_deadlines())
        return false;
    uint32_t missing = deadline_microcode_missing();
    if (missing)
        log_info("cpu%u: its TSC-deadline mode is not reliable %s %x (has %x): %s", this_cpu()->id,
                 missing == UINT32_MAX ? "with any microcode known, up to" : "before microcode", missing,
                 cpu_microcode(), wanted ? "used all the same" : "not used");
    return wanted || !missing;
}

static const char *timer_name;
static enum cpu_timer asked;
static bool by_deadline, by_preemption; /* what became of it: TSC-deadline mode; timer=preempt */

const char *cpu_timer_name(void)
{
    return timer_name;
}

static bool start_timer(enum cpu_timer timer)
{
    if (timer == CPU_TIMER_DEADLINE && !host_lapic_has_deadlines()) {
        log_error("timer=deadline: this CPU's local APIC has no TSC-deadline mode; use timer=oneshot");
        return false;
    }
    asked = timer;
    by_deadline = choose_deadlines(timer);
    if (!oneshot_init(by_deadline)) {
        log_error("the local APIC's timer does not count, which Verge needs");
        return false;
    }
    bool x2apic = host_lapic_in_x2apic();
    timer_name = by_deadline ? "TSC-deadline" : timer == CPU_TIMER_PERIODIC ? "periodic" : "one-shot";
    log_info("timer: the local APIC's in %s mode, %s, %'llu Hz", timer_name, x2apic ? "x2APIC" : "xAPIC",
             (unsigned long long)host_oneshot.ticks_hz);
    return true;
}

static bool no_measures; /* spec-ctrl=off */

void cpu_init_speculation(bool off)
{
    no_measures = off;
    speculation_init(off);
}

static void choose_entries(void)
{
    enum lapic_way way = host_lapic_way();

    cpu_backend.arm_by(way);
    guard_flags |= way == LAPIC_BY_DEADLINE ? GUARD_DEADLINE : way == LAPIC_BY_MSR ? GUARD_X2APIC : 0;
    if (speculation.guards)
        cpu_backend.use_guards();
}

/* What each CPU does for itself once the local APIC's timer is known. */
static bool enable_here(void)
{
    choose_entries();
    preemption_timer.spared = PREEMPTION_UNUSED;
    hands_enable();
    if (!cpu_backend.enable())
        return false;
    if (by_preemption)
        preemption_timer.spared = PREEMPTION_ALWAYS;
    if (by_preemption && !preemption_timer.present) {
        log_error("timer=preempt: this CPU has no VMX preemption timer that works; use timer=oneshot");
        return false;
    }
    return calibrate();
}

bool cpu_init_virtualisation(enum cpu_timer timer, enum cpu_apic apic)
{
    if (!host_lapic_init(apic)) {
        log_error(
            "this CPU has no local APIC, whose timer Verge needs: enable it in the firmware's CPU settings");
        return false;
    }
    if (!start_timer(timer))
        return false;
    by_preemption = timer == CPU_TIMER_PREEMPTION;
    return enable_here();
}

bool cpu_join(void)
{
    unsigned id = this_cpu()->id;
    const char *reason = cpu_backend.preflight();

    if (!reason && by_deadline && !choose_deadlines(asked))
        reason = "its local APIC's TSC-deadline mode can't be used, as cpu0's is";
    if (reason)
        log_warning("cpu%u: %s", id, reason);
    cpu_health_check();
    oneshot_init_here();
    speculation_init(no_measures);
    if (reason || !enable_here()) {
        log_warning("cpu%u can't run guests", id);
        return false;
    }
    const struct switch_costs *costs = vcpu_switch_costs();
    log_info("cpu%u: E=%llu X=%llu spread=%llu", id, (unsigned long long)costs->entry,
             (unsigned long long)costs->exit_instruction, (unsigned long long)costs->spread);
    return true;
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
