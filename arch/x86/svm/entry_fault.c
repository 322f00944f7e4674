/* Why VMRUN refused: from this CPU's abilities and the VMCB. Source: AMD64 APM vol. 2, "CR4 Register". */
#include "arch/x86/asm.h"
#include "arch/x86/svm/backend.h"
#include "arch/x86/svm/check.h"

#define CR4_EVERY_CPU UINT64_C(0x7FF)

/* The CR4 bits of this CPU beside those that every CPU with SVM has. */
static uint64_t cr4_bits(void)
{
    static const struct {
        uint32_t leaf;
        uint8_t is_ecx, cpuid_bit, cr4_bit;
    } bits[] = {
        {7, 0, 0, 16}, {1, 1, 17, 17}, {1, 1, 26, 18}, {7, 0, 7, 20}, {7, 0, 20, 21},
        {7, 1, 2, 11}, {7, 1, 16, 12}, {7, 1, 3, 22},  {7, 1, 7, 23},
    };
    uint64_t all = CR4_EVERY_CPU;

    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
        if (cpuid(0, 0).eax < bits[i].leaf)
            continue;
        struct cpuid_result r = cpuid(bits[i].leaf, 0);
        if ((bits[i].is_ecx ? r.ecx : r.ebx) & BIT(bits[i].cpuid_bit))
            all |= BIT64(bits[i].cr4_bit);
    }
    return all;
}

const char *svm_find_fault(const struct vcpu *vcpu)
{
    bool tells_size = cpuid(0x80000000, 0).eax >= 0x80000008;

    return svm_guest_fault(vcpu->backend->vmcb, cr4_bits(),
                           tells_size ? cpuid(0x80000008, 0).eax & 0xFF : 40);
}
