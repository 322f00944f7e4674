/*
 * What a CPU lacks to run guests by SVM, in one line; the contract is in svm.h. On each CPU, before
 * svm_enable(). Source: AMD64 APM vol. 2 "Enabling SVM", "VM_CR MSR", "SVM_KEY MSR".
 */
#include "arch/x86/asm.h"
#include "arch/x86/svm/svm.h"

#define LEAF_SVM        0x8000000Au
#define MSR_VM_CR       0xC0010114u
#define VM_CR_LOCK      BIT64(3)
#define VM_CR_SVMDIS    BIT64(4)
#define SVM_NESTED      BIT(0)
#define SVM_LOCK_KEY    BIT(2) /* SVML: the lock opens with a key, which firmware keeps */
#define IN_THE_FIRMWARE "enable \"SVM Mode\" (virtualisation) in the firmware's CPU settings"

/* Firmware may leave SVM switched off without locking it. */
static void unlock(void)
{
    uint64_t vm_cr;

    if (rdmsr_safe(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS && !(vm_cr & VM_CR_LOCK))
        wrmsr_safe(MSR_VM_CR, vm_cr & ~VM_CR_SVMDIS);
}

static bool switched_off(void)
{
    uint64_t vm_cr;

    return rdmsr_safe(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS;
}

/* A hypervisor below may refuse the bit, or drop it without a word. */
static bool enable(void)
{
    return wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME) && rdmsr(MSR_EFER) & EFER_SVME;
}

static bool is_enumerated(void)
{
#ifdef SVM_FORCED /* a test build: Bochs' generic model, which alone has SVM and x2APIC, doesn't set the bit \
                   */
    return true;
#endif
    return cpuid(0x80000001, 0).ecx & BIT(2);
}

const char *svm_preflight(void)
{
    if (cpuid(0x80000000, 0).eax < LEAF_SVM || !is_enumerated())
        return "this CPU has no AMD SVM, or the firmware hides it: " IN_THE_FIRMWARE;
    uint32_t features = cpuid(LEAF_SVM, 0).edx;
    unlock();
    if (switched_off() && features & SVM_LOCK_KEY)
        return "SVM is locked off with a key that only the firmware has: " IN_THE_FIRMWARE
               " and switch the machine off and on";
    if (switched_off())
        return "SVM is locked off by the firmware: " IN_THE_FIRMWARE " and switch the machine off and on";
    if (!(features & SVM_NESTED))
        return "this CPU's SVM has no nested paging (NPT), which Verge needs";
    if (!enable())
        return "EFER.SVME can't be set: " IN_THE_FIRMWARE ", or in a virtual machine nested virtualisation";
    return NULL;
}
