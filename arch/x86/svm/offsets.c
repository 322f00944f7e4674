/* Not part of the image: compiled to assembly only, from which the Makefile takes the "OFFSET name value"
 * lines for NASM. */
#include "arch/x86/speculation.h"
#include "arch/x86/svm/switch.h"

#define OFFSET(name, type, field) __asm__ volatile("OFFSET " #name " %c0" : : "i"(offsetof(type, field)))
#define VALUE(name)               __asm__ volatile("OFFSET " #name " %c0" : : "i"(name))

void svm_offsets(void);
void svm_offsets(void)
{
    OFFSET(SW_GPR, struct svm_switch, gpr);
    OFFSET(SW_VMCB, struct svm_switch, vmcb);
    OFFSET(SW_VMCB_PA, struct svm_switch, vmcb_pa);
    OFFSET(SW_HOST_VMCB_PA, struct svm_switch, host_vmcb_pa);
    OFFSET(SW_TSC_BASE, struct svm_switch, tsc_base);
    OFFSET(SW_T0, struct svm_switch, t0);
    OFFSET(SW_T1, struct svm_switch, t1);
    OFFSET(SW_TIMER_REGISTER, struct svm_switch, timer_register);
    OFFSET(SW_ARM_COUNT, struct svm_switch, arm_count);
    OFFSET(VMCB_TSC_OFFSET, struct vmcb, tsc_offset);
    VALUE(GUARD_VERW);
    VALUE(GUARD_FLUSH);
    VALUE(GUARD_IBRS);
    VALUE(GUARD_FILL_RSB);
    VALUE(GUARD_X2APIC);
    VALUE(GUARD_DEADLINE);
}
