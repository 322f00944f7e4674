/*
 * What of the CPU bears on guest time (arch/x86/health.c, identity.c) on CPUs made of CPUID leaves and MSRs,
 * each other MSR a #GP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "lib/log.h"

static struct {
    char vendor[13];
    uint32_t signature, microcode;
    bool arat, hypervisor, has_smi_count, has_power_ctl, has_cmp_halt, cmp_halt_sticks;
    uint64_t smis, power_ctl, cmp_halt;
    unsigned msr_reads;
} chip;

static struct cpu cpu;
static char said[2048];

static void hear(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    (void)level;
    strncat(said, line, sizeof said - strlen(said) - 2);
    strcat(said, "\n");
}

struct cpu *this_cpu(void)
{
    return &cpu;
}

struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result r = {0};

    (void)subleaf;
    switch (leaf) {
    case 0:
        r.eax = 6;
        memcpy(&r.ebx, chip.vendor, 4);
        memcpy(&r.edx, chip.vendor + 4, 4);
        memcpy(&r.ecx, chip.vendor + 8, 4);
        break;
    case 1:
        r.eax = chip.signature;
        r.ecx = chip.hypervisor ? BIT(31) : 0;
        break;
    case 6:
        r.eax = chip.arat ? BIT(2) : 0;
        break;
    default:
        fail();
    }
    return r;
}

bool rdmsr_safe(uint32_t index, uint64_t *value)
{
    bool intel = chip.vendor[0] == 'G';

    chip.msr_reads++;
    switch (index) {
    case 0x8B:
        *value = intel ? (uint64_t)chip.microcode << 32 : chip.microcode;
        return chip.microcode;
    case 0x34:
        *value = chip.smis;
        return chip.has_smi_count;
    case 0x1FC:
        *value = chip.power_ctl;
        return chip.has_power_ctl;
    case 0xC0010055:
        *value = chip.cmp_halt;
        return chip.has_cmp_halt;
    }
    return false;
}

bool wrmsr_safe(uint32_t index, uint64_t value)
{
    if (index == 0xC0010055 && !chip.cmp_halt_sticks)
        chip.cmp_halt = value;
    return index == 0x8B || index == 0xC0010055;
}

static void start(const char *vendor, uint32_t signature)
{
    memset(&chip, 0, sizeof chip);
    memset(&cpu, 0, sizeof cpu);
    strcpy(chip.vendor, vendor);
    chip.signature = signature;
    chip.arat = true;
    said[0] = 0;
    log_set_sink(hear, NULL);
    log_set_level(LOG_INFO);
}

static void test_sound_cpu_says_its_microcode(void **state)
{
    (void)state;
    start("GenuineIntel", 0x906EA);
    chip.microcode = 0xF4;
    chip.has_power_ctl = true;
    cpu_health_check();
    assert_string_equal(said, "cpu0: signature 906ea, microcode f4\n");
    start("AuthenticAMD", 0x00A20F10);
    chip.microcode = 0x0A201016;
    cpu_health_check();
    assert_string_equal(said, "cpu0: signature a20f10, microcode a201016\n");
}

static void test_no_arat(void **state)
{
    (void)state;
    start("GenuineIntel", 0x206C2);
    chip.arat = false;
    cpu_health_check();
    assert_string_equal(said,
                        "cpu0: the local APIC's timer may stop in sleep deeper than C1 (no ARAT); Verge "
                        "idles by HLT alone, which is C1\n");
}

static void test_intel_c1e(void **state)
{
    (void)state;
    start("GenuineIntel", 0x906EA);
    chip.has_power_ctl = true;
    chip.power_ctl = BIT64(1);
    cpu_health_check();
    assert_non_null(strstr(said, "C1E is on: the timer goes on in it"));
}

static void test_amd_c1e(void **state)
{
    (void)state;
    start("AuthenticAMD", 0x00100F42); /* family 10h */
    chip.has_cmp_halt = true;
    chip.cmp_halt = BIT64(28) | 0x1234;
    cpu_health_check();
    assert_true(chip.cmp_halt == 0x1234);
    assert_non_null(strstr(said, "switched off"));
    said[0] = 0;
    cpu_health_check(); /* it is off */
    assert_string_equal(said, "");
    chip.cmp_halt = BIT64(27);
    chip.cmp_halt_sticks = true;
    cpu_health_check();
    assert_non_null(strstr(said, "disable \"C1E\" in the firmware's CPU settings"));
    start("AuthenticAMD", 0x00800F11); /* family 17h: another register stands there */
    chip.has_cmp_halt = true;
    chip.cmp_halt = BIT64(27) | BIT64(28);
    cpu_health_check();
    assert_true(chip.cmp_halt == (BIT64(27) | BIT64(28)));
}

static void test_under_a_hypervisor(void **state)
{
    (void)state;
    start("GenuineIntel", 0x906EA);
    chip.hypervisor = true;
    chip.arat = false;
    chip.has_smi_count = chip.has_power_ctl = true;
    chip.power_ctl = BIT64(1);
    chip.microcode = 1;
    cpu_health_check();
    cpu_health_show(true);
    assert_string_equal(said, "");
}

static void test_smis(void **state)
{
    (void)state;
    start("GenuineIntel", 0x906EA);
    chip.has_smi_count = true;
    chip.smis = 7;
    cpu_health_check();
    cpu_health_show(false);
    assert_string_equal(said, "");
    cpu_health_show(true);
    assert_string_equal(said, "cpu0: 0 SMIs since boot, which guests take for their own time\n");
    said[0] = 0;
    chip.smis = 9;
    cpu_health_show(false);
    assert_string_equal(said, "cpu0: 2 SMIs since boot, which guests take for their own time\n");
    chip.has_smi_count = false;
    said[0] = 0;
    cpu_health_show(true);
    assert_string_equal(said, "");
}

static void test_strays(void **state)
{
    (void)state;
    start("AuthenticAMD", 0x00800F11);
    cpu.strays[0x0F] = 1;
    cpu.strays[0xFF] = 3;
    cpu.nmis = 2;
    cpu_health_show(false);
    assert_string_equal(said, "cpu0: 2 NMIs\ncpu0: 1 stray interrupts by vector 0f\n"
                              "cpu0: 3 stray interrupts by vector ff\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_cpu_says_its_microcode),
        cmocka_unit_test(test_no_arat),
        cmocka_unit_test(test_intel_c1e),
        cmocka_unit_test(test_amd_c1e),
        cmocka_unit_test(test_under_a_hypervisor),
        cmocka_unit_test(test_smis),
        cmocka_unit_test(test_strays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
