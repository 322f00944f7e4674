/* Not part of the image: compiled to assembly only, from which the Makefile takes the "OFFSET name value"
 * lines for NASM. */
#include "arch/x86/speculation.h"
#include "arch/x86/vmx/switch.h"
#include "arch/x86/vmx/vmcs.h"

#define OFFSET(name, type, field) __asm__ volatile("OFFSET " #name " %c0" : : "i"(offsetof(type, field)))
#define VALUE(name)               __asm__ volatile("OFFSET " #name " %c0" : : "i"(name))

void vmx_offsets(void);
void vmx_offsets(void)
{
    OFFSET(VX_GPR, struct vmx_switch, gpr);
    OFFSET(VX_TSC_BASE, struct vmx_switch, tsc_base);
    OFFSET(VX_T0, struct vmx_switch, t0);
    OFFSET(VX_T1, struct vmx_switch, t1);
    OFFSET(VX_HOST_RSP, struct vmx_switch, host_rsp);
    OFFSET(VX_TIMER_REGISTER, struct vmx_switch, timer_register);
    OFFSET(VX_ARM_COUNT, struct vmx_switch, arm_count);
    __asm__ volatile("OFFSET FIELD_TSC_OFFSET %c0" : : "i"(VMCS_TSC_OFFSET));
    __asm__ volatile("OFFSET FIELD_HOST_RSP %c0" : : "i"(VMCS_HOST_RSP));
    VALUE(GUARD_VERW);
    VALUE(GUARD_FLUSH);
    VALUE(GUARD_IBRS);
    VALUE(GUARD_FILL_RSB);
    VALUE(GUARD_X2APIC);
    VALUE(GUARD_DEADLINE);
}
