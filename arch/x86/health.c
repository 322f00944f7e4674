/*
 * What of the CPU bears on guest time beside Verge: its microcode, what its timer does while it idles, SMIs,
 * interrupts that nobody asked for. Contract: api/cpu.h. Model-specific MSRs are read where their maker says
 * that they are, on no CPU under a hypervisor, and may fault all the same. Sources: Intel SDM vol. 4,
 * MSR_SMI_COUNT and MSR_POWER_CTL, vol. 2 "CPUID", leaf 6; AMD BKDG for family 10h, MSRC001_0055 "Interrupt
 * Pending and CMP-Halt Register", and revision guide for family 10h, erratum 400.
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/identity.h"
#include "lib/log.h"

#define MSR_SMI_COUNT  0x34u
#define MSR_POWER_CTL  0x1FCu
#define POWER_CTL_C1E  BIT64(1)
#define MSR_CMP_HALT   0xC0010055u
#define CMP_HALT_C1E   (BIT64(27) | BIT64(28)) /* by an SMI; by the chip set */
#define FIRST_CMP_HALT 0x0Fu
#define LAST_CMP_HALT  0x11u

static unsigned family(void)
{
    uint32_t signature = cpuid(1, 0).eax;
    unsigned base = signature >> 8 & 0xF;

    return base == 0xF ? base + (signature >> 20 & 0xFF) : base;
}

static bool smi_count(uint64_t *count)
{
    return cpu_is_intel() && !cpu_is_virtual() && rdmsr_safe(MSR_SMI_COUNT, count);
}

/* In C1E of these AMD CPUs the local APIC's timer stops, and HLT on all cores leads there. */
static void end_cmp_halt(void)
{
    unsigned f = family();
    uint64_t value;

    if (f < FIRST_CMP_HALT || f > LAST_CMP_HALT || !rdmsr_safe(MSR_CMP_HALT, &value) ||
        !(value & CMP_HALT_C1E))
        return;
    if (wrmsr_safe(MSR_CMP_HALT, value & ~CMP_HALT_C1E) && rdmsr_safe(MSR_CMP_HALT, &value) &&
        !(value & CMP_HALT_C1E))
        log_info("cpu%u: C1E, in which this CPU's local APIC timer stops, was on: switched off",
                 this_cpu()->id);
    else
        log_warning("cpu%u: C1E is on, in which this CPU's local APIC timer stops, so that an idle Verge may "
                    "sleep past a deadline: disable \"C1E\" in the firmware's CPU settings",
                    this_cpu()->id);
}

static void check_idle(void)
{
    uint64_t value;

    if (cpuid(0, 0).eax < 6 || !(cpuid(6, 0).eax & BIT(2)))
        log_info("cpu%u: the local APIC's timer may stop in sleep deeper than C1 (no ARAT); Verge idles by "
                 "HLT alone, which is C1",
                 this_cpu()->id);
    if (cpu_is_amd())
        end_cmp_halt();
    else if (cpu_is_intel() && family() == 6 && rdmsr_safe(MSR_POWER_CTL, &value) && value & POWER_CTL_C1E)
        log_info("cpu%u: C1E is on: the timer goes on in it, but a halted CPU wakes up later",
                 this_cpu()->id);
}

void cpu_health_check(void)
{
    struct cpu *cpu = this_cpu();

    if (cpu_is_virtual())
        return; /* another one's words, and another one's idle states */
    smi_count(&cpu->smis_before);
    uint32_t microcode = cpu_microcode();
    if (microcode)
        log_info("cpu%u: signature %x, microcode %x", cpu->id, cpuid(1, 0).eax, microcode);
    check_idle();
}

void cpu_health_show(bool asked)
{
    const struct cpu *cpu = this_cpu();
    enum log_level level = asked ? LOG_ERROR : LOG_WARNING;
    uint64_t smis;

    if (smi_count(&smis) && (asked || smis != cpu->smis_before))
        log_line(level, "cpu%u: %'llu SMIs since boot, which guests take for their own time", cpu->id,
                 (unsigned long long)(smis - cpu->smis_before));
    if (cpu->nmis)
        log_line(level, "cpu%u: %'llu NMIs", cpu->id, (unsigned long long)cpu->nmis);
    for (unsigned vector = 0; vector < ARRAY_SIZE(cpu->strays); vector++)
        if (cpu->strays[vector])
            log_line(level, "cpu%u: %u stray interrupts by vector %02x", cpu->id, cpu->strays[vector],
                     vector);
}
