/*
 * What keeps a CPU from running guests, and the line that says so: svm/preflight.c and vmx/preflight.c on
 * CPUs made of CPUID leaves and MSRs, whose locks hold as the manuals say. Sources: AMD64 APM vol. 2
 * "Enabling SVM"; Intel SDM vol. 3 "Enabling and Entering VMX Operation", appendix A.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/asm.h"
#include "arch/x86/svm/svm.h"
#include "arch/x86/vmx/vmx.h"

#define MSR_VM_CR    0xC0010114u
#define VM_CR_LOCK   BIT64(3)
#define VM_CR_SVMDIS BIT64(4)
#define SVM_MODE     "enable \"SVM Mode\" (virtualisation) in the firmware's CPU settings"
#define VT           "\"Intel Virtualization Technology\" in the firmware's CPU settings"
#define OFF_AND_ON   " and switch the machine off and on"
#define IN_SMX       BIT64(1)

static struct {
    /* AMD */
    uint32_t top_leaf, svm_features;
    bool svm, svme_faults, svme_is_dropped, no_vm_cr;
    uint64_t vm_cr, efer;
    /* Intel */
    bool vmx, no_feature_control, feature_control_sticks;
    uint64_t feature_control, basic, pin, cpu, cpu2, leave, entry, ept;
    unsigned writes; /* of the MSR with the lock */
} chip;

struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
    assert_int_equal(subleaf, 0);
    switch (leaf) {
    case 1:
        return (struct cpuid_result){.ecx = chip.vmx ? BIT(5) : 0};
    case 0x80000000:
        return (struct cpuid_result){.eax = chip.top_leaf};
    case 0x80000001:
        return (struct cpuid_result){.ecx = chip.svm ? BIT(2) : 0};
    case 0x8000000A:
        assert_true(chip.svm);
        return (struct cpuid_result){.edx = chip.svm_features};
    }
    fail();
    return (struct cpuid_result){0};
}

bool rdmsr_safe(uint32_t index, uint64_t *value)
{
    *value = 0;
    switch (index) {
    case MSR_EFER:
        *value = chip.efer;
        return true;
    case MSR_VM_CR:
        *value = chip.vm_cr;
        return chip.svm && !chip.no_vm_cr;
    case MSR_FEATURE_CONTROL:
        *value = chip.feature_control;
        return chip.vmx && !chip.no_feature_control;
    case MSR_VMX_BASIC:
        *value = chip.basic;
        return chip.vmx;
    case MSR_VMX_PIN:
    case MSR_VMX_TRUE_PIN:
        *value = chip.pin;
        break;
    case MSR_VMX_CPU:
        /* bits that were once fixed to 1: the exits at CR3 among them */
        *value = chip.cpu | CPU_CR3_LOAD | CPU_CR3_STORE;
        break;
    case MSR_VMX_TRUE_CPU:
        *value = chip.cpu;
        break;
    case MSR_VMX_EXIT:
    case MSR_VMX_TRUE_EXIT:
        *value = chip.leave;
        break;
    case MSR_VMX_ENTRY:
    case MSR_VMX_TRUE_ENTRY:
        *value = chip.entry;
        break;
    case MSR_VMX_CPU2:
        *value = chip.cpu2;
        return chip.vmx && chip.cpu >> 32 & CPU_SECONDARY;
    case MSR_VMX_EPT_VPID:
        *value = chip.ept;
        return chip.vmx && chip.cpu2 >> 32 & (CPU2_EPT | CPU2_VPID);
    default:
        return false;
    }
    return chip.vmx && (index < MSR_VMX_TRUE_PIN || chip.basic & VMX_BASIC_TRUE);
}

uint64_t rdmsr(uint32_t index)
{
    uint64_t value;

    assert_true(rdmsr_safe(index, &value)); /* else a panic */
    return value;
}

bool wrmsr_safe(uint32_t index, uint64_t value)
{
    switch (index) {
    case MSR_EFER:
        if (value & EFER_SVME && (!chip.svm || chip.vm_cr & VM_CR_SVMDIS || chip.svme_faults))
            return false;
        chip.efer = chip.svme_is_dropped ? value & ~EFER_SVME : value;
        return true;
    case MSR_VM_CR:
        chip.writes++;
        if (!(chip.vm_cr & VM_CR_LOCK)) /* else ignored */
            chip.vm_cr = value;
        return true;
    case MSR_FEATURE_CONTROL:
        chip.writes++;
        if (chip.feature_control & FEATURE_LOCK || chip.feature_control_sticks)
            return false;
        chip.feature_control = value;
        return true;
    }
    fail();
    return false;
}

void wrmsr(uint32_t index, uint64_t value)
{
    assert_true(wrmsr_safe(index, value));
}

static uint64_t may(uint32_t bits)
{
    return (uint64_t)bits << 32;
}

static void an_amd(void)
{
    memset(&chip, 0, sizeof chip);
    chip.top_leaf = 0x8000001F;
    chip.svm = true;
    chip.svm_features = BIT(0) | BIT(2) | BIT(3);
    chip.efer = EFER_LME | EFER_LMA;
}

static void an_intel(void)
{
    memset(&chip, 0, sizeof chip);
    chip.top_leaf = 0x80000008;
    chip.vmx = true;
    chip.feature_control = FEATURE_LOCK | FEATURE_VMX;
    chip.basic = VMX_BASIC_TRUE;
    chip.pin = chip.cpu = chip.cpu2 = chip.leave = chip.entry = may(UINT32_MAX);
    chip.ept = EPT_WALK_4 | EPT_WRITE_BACK | EPT_2M | EPT_INVEPT;
}

static void says(const char *line, const char *expected)
{
    assert_non_null(line);
    assert_string_equal(line, expected);
}

/* ---- AMD ---- */

static void test_svm_runs(void **state)
{
    (void)state;
    an_amd();
    assert_null(svm_preflight());
    assert_true(chip.efer == (EFER_LME | EFER_LMA | EFER_SVME));
    assert_int_equal(chip.writes, 0);
}

static void test_no_svm(void **state)
{
    const char *line = "this CPU has no AMD SVM, or the firmware hides it: " SVM_MODE;

    (void)state;
    an_amd();
    chip.svm = false;
    says(svm_preflight(), line);
    an_amd();
    chip.top_leaf = 0x80000008;
    says(svm_preflight(), line);
}

/* Switched off and not locked: Verge switches it on. */
static void test_svm_off_but_open(void **state)
{
    (void)state;
    an_amd();
    chip.vm_cr = VM_CR_SVMDIS;
    assert_null(svm_preflight());
    assert_true(chip.vm_cr == 0 && chip.efer & EFER_SVME);
}

static void test_svm_locked(void **state)
{
    (void)state;
    an_amd();
    chip.vm_cr = VM_CR_SVMDIS | VM_CR_LOCK;
    says(svm_preflight(), "SVM is locked off with a key that only the firmware has: " SVM_MODE OFF_AND_ON);
    chip.svm_features &= ~BIT(2);
    says(svm_preflight(), "SVM is locked off by the firmware: " SVM_MODE OFF_AND_ON);
    assert_int_equal(chip.writes, 0);
    chip.vm_cr = VM_CR_LOCK; /* locked on */
    assert_null(svm_preflight());
}

static void test_no_npt(void **state)
{
    (void)state;
    an_amd();
    chip.svm_features &= ~BIT(0);
    says(svm_preflight(), "this CPU's SVM has no nested paging (NPT), which Verge needs");
    assert_false(chip.efer & EFER_SVME);
}

/* By a hypervisor below or by firmware: a #GP, or a bit that doesn't stick; VM_CR may not be there either. */
static void test_svme_refused(void **state)
{
    const char *line = "EFER.SVME can't be set: " SVM_MODE ", or in a virtual machine nested virtualisation";

    (void)state;
    an_amd();
    chip.svme_faults = true;
    says(svm_preflight(), line);
    an_amd();
    chip.svme_is_dropped = chip.no_vm_cr = true;
    says(svm_preflight(), line);
    an_amd();
    chip.no_vm_cr = true;
    assert_null(svm_preflight());
}

/* ---- Intel ---- */

static void test_vmx_runs(void **state)
{
    (void)state;
    an_intel();
    assert_null(vmx_preflight());
    assert_int_equal(chip.writes, 0);
    assert_true(vmx_controls.cpu2 & CPU2_EPT && vmx_controls.pin & PIN_VIRTUAL_NMIS);
}

static void test_no_vmx(void **state)
{
    (void)state;
    an_intel();
    chip.vmx = false;
    says(vmx_preflight(), "this CPU has no Intel VT-x, or the firmware hides it: enable " VT);
}

static void test_vmx_lock(void **state)
{
    (void)state;
    an_intel();
    chip.feature_control = FEATURE_LOCK;
    says(vmx_preflight(), "VT-x is locked off by the firmware: enable " VT OFF_AND_ON);
    chip.feature_control = FEATURE_LOCK | IN_SMX;
    says(vmx_preflight(), "VT-x is locked by the firmware to what Intel TXT starts: disable \"Intel Trusted "
                          "Execution\" (TXT) or enable " VT OFF_AND_ON);
    assert_int_equal(chip.writes, 0);
    chip.feature_control = FEATURE_LOCK | FEATURE_VMX | IN_SMX;
    assert_null(vmx_preflight());
    chip.no_feature_control = true;
    says(vmx_preflight(), "this CPU's VT-x can't be asked for its lock (IA32_FEATURE_CONTROL): enable " VT
                          ", or in a virtual machine nested virtualisation");
}

/* Verge sets the bit and the lock, whatever the other bits are, or says that it couldn't. */
static void test_vmx_open(void **state)
{
    (void)state;
    an_intel();
    chip.feature_control = BIT64(18);
    assert_null(vmx_preflight());
    assert_true(chip.feature_control == (BIT64(18) | FEATURE_LOCK | FEATURE_VMX));
    assert_null(vmx_unlock()); /* as often as it is asked */
    assert_int_equal(chip.writes, 1);
    chip.feature_control = 0;
    chip.feature_control_sticks = true;
    says(vmx_preflight(), "VT-x is off and can't be switched on (IA32_FEATURE_CONTROL): enable " VT);
}

static void test_no_ept(void **state)
{
    const char *line = "this CPU's VT-x has no nested paging (EPT), which Verge needs";

    (void)state;
    an_intel();
    chip.cpu2 = may(~CPU2_EPT);
    says(vmx_preflight(), line);
    chip.cpu2 = may(~(CPU2_EPT | CPU2_UNRESTRICTED_GUEST | CPU2_VPID));
    says(vmx_preflight(), line);
    /* the first ones: no secondary controls, no virtual NMIs, no TRUE controls */
    an_intel();
    chip.basic = 0;
    chip.pin = may(~PIN_VIRTUAL_NMIS);
    chip.cpu = may(~(uint32_t)CPU_SECONDARY);
    says(vmx_preflight(), line);
}

static void test_no_unrestricted_guest(void **state)
{
    (void)state;
    an_intel();
    chip.cpu2 = may(~CPU2_UNRESTRICTED_GUEST);
    says(vmx_preflight(), "this CPU's VT-x has no unrestricted guests, which Verge needs");
}

static void test_controls(void **state)
{
    (void)state;
    an_intel();
    chip.basic = 0;
    says(vmx_preflight(), "this CPU's VT-x reports no TRUE controls, without which each use of CR3 exits");
    an_intel();
    chip.cpu |= CPU_CR3_LOAD;
    says(vmx_preflight(), "this CPU's VT-x forces exits at CR3 or RDTSC, which Verge can't have");
    an_intel();
    chip.leave = may(~LEAVE_SAVE_PAT);
    says(vmx_preflight(),
         "this CPU's VT-x lacks virtual NMIs, the TPR shadow, the MSR bitmap, or the switch of "
         "PAT and EFER, which Verge needs");
}

static void test_ept_kinds(void **state)
{
    const uint64_t needed[] = {EPT_WALK_4, EPT_WRITE_BACK, EPT_2M, EPT_INVEPT};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
        an_intel();
        chip.ept &= ~needed[i];
        says(vmx_preflight(),
             "this CPU's EPT lacks 2 MB pages, write-back memory or INVEPT, which Verge needs");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_svm_runs),         cmocka_unit_test(test_no_svm),
        cmocka_unit_test(test_svm_off_but_open), cmocka_unit_test(test_svm_locked),
        cmocka_unit_test(test_no_npt),           cmocka_unit_test(test_svme_refused),
        cmocka_unit_test(test_vmx_runs),         cmocka_unit_test(test_no_vmx),
        cmocka_unit_test(test_vmx_lock),         cmocka_unit_test(test_vmx_open),
        cmocka_unit_test(test_no_ept),           cmocka_unit_test(test_no_unrestricted_guest),
        cmocka_unit_test(test_controls),         cmocka_unit_test(test_ept_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
