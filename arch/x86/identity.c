/* The CPU's maker and microcode; the contract is in identity.h. Sources: Intel SDM vol. 3 "Determining the
 * Signature"; AMD64 APM vol. 2 "Microcode Patches" and AMD's BKDGs, MSR0000_008B. */
#include "arch/x86/identity.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define MSR_MICROCODE 0x8Bu

#define VENDOR_INTEL 0x756E6547u /* EBX of leaf 0: "Genu" */
#define VENDOR_AMD   0x68747541u /* "Auth" */
#define VENDOR_HYGON 0x6F677948u /* "Hygo" */

bool cpu_is_intel(void)
{
    return cpuid(0, 0).ebx == VENDOR_INTEL;
}

bool cpu_is_amd(void)
{
    uint32_t vendor = cpuid(0, 0).ebx;

    return vendor == VENDOR_AMD || vendor == VENDOR_HYGON;
}

bool cpu_is_virtual(void)
{
    return cpuid(1, 0).ecx & BIT(31);
}

static void brand(char name[49])
{
    memset(name, 0, 49);
    for (uint32_t leaf = 0x80000002; leaf <= 0x80000004 && cpuid(0x80000000, 0).eax >= 0x80000004; leaf++) {
        struct cpuid_result part = cpuid(leaf, 0);

        memcpy(name + (leaf - 0x80000002) * sizeof part, &part, sizeof part);
    }
}

void cpu_describe(char *text, size_t size)
{
    char name[49];
    const char *start = name;

    brand(name);
    while (*start == ' ') /* Intel's are filled up in front */
        start++;
    fmt_snprintf(text, size, "%s, signature %x, microcode %x%s", *start ? start : "CPU without a name",
                 cpuid(1, 0).eax, cpu_microcode(), cpu_is_virtual() ? ", under a hypervisor" : "");
}

/* Intel's CPUs put the revision there at each CPUID(1), AMD's keep it. */
uint32_t cpu_microcode(void)
{
    uint64_t value;

    if (cpu_is_intel()) {
        if (!wrmsr_safe(MSR_MICROCODE, 0))
            return 0;
        cpuid(1, 0);
        return rdmsr_safe(MSR_MICROCODE, &value) ? (uint32_t)(value >> 32) : 0;
    }
    return cpu_is_amd() && rdmsr_safe(MSR_MICROCODE, &value) ? (uint32_t)value : 0;
}
