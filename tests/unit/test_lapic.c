/*
 * The host's local APIC (arch/x86/host/lapic.c) on a fake one, in memory and in MSRs: which mode is chosen,
 * that only legal transitions lead there, and what is written. Sources: Intel SDM vol. 3 "Extended XAPIC
 * (x2APIC)", "Interrupt Command Register (ICR)"; SDM vol. 4, IA32_XAPIC_DISABLE_STATUS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/paging.h"
#include "arch/x86/trap.h"
#include "lib/log.h"

#define BASE          UINT64_C(0xFEE00000)
#define X2APIC        BIT64(10)
#define ENABLED       BIT64(11)
#define MODE_BITS     (X2APIC | ENABLED)
#define LAST_LVT      5u
#define NOT_WRITTEN   UINT64_C(0xDEADDEADDEADDEAD)
#define MASKED        BIT(16)
#define AT_DEADLINE   BIT(18)
#define IN_SERVICE    0x10u
#define REGISTER(msr) ((msr)-0x800u)

static struct {
    bool has_x2apic, locked, has_deadlines;
    unsigned last_lvt;
    uint64_t base;
    unsigned mode_changes, outs, maps;
    uint32_t memory[1024];
    uint64_t msr[64]; /* 800h to 83Fh */
    unsigned ends;    /* EOIs */
    unsigned relaxed, pending_for;
} chip;

static char said[256];

static void hear(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    (void)level;
    strncat(said, line, sizeof said - strlen(said) - 1);
}

struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
    assert_int_equal(subleaf, 0);
    switch (leaf) {
    case 0:
        return (struct cpuid_result){.eax = 7};
    case 1:
        return (struct cpuid_result){
            .ecx = (chip.has_x2apic ? BIT(21) : 0) | (chip.has_deadlines ? BIT(24) : 0), .edx = BIT(9)};
    case 7:
        return (struct cpuid_result){.edx = BIT(29)};
    }
    fail();
    return (struct cpuid_result){0};
}

/* "Local APIC State Transitions with IA32_APIC_BASE": what is no arrow there gives #GP. */
static void change_mode(uint64_t value)
{
    uint64_t from = chip.base & MODE_BITS, to = value & MODE_BITS;

    assert_int_equal(value & ~MODE_BITS, BASE);
    assert_true(to != X2APIC);
    assert_false(from == 0 && to == MODE_BITS);
    assert_false(from == MODE_BITS && to == ENABLED);
    assert_false(to & X2APIC && !chip.has_x2apic);
    assert_false(chip.locked && to != MODE_BITS);
    chip.base = value;
    chip.mode_changes++;
}

static void end_interrupt(void)
{
    chip.ends++;
    for (unsigned i = 8; i-- > 0;)
        for (unsigned bit = 32; bit-- > 0;)
            if (chip.msr[IN_SERVICE + i] & BIT(bit)) {
                chip.msr[IN_SERVICE + i] &= ~(uint64_t)BIT(bit);
                return;
            }
}

static uint64_t *x2apic_register(uint32_t index)
{
    assert_int_equal(chip.base & MODE_BITS, MODE_BITS);
    assert_in_range(index, 0x800, 0x83F);
    assert_true(index != 0x831); /* no half of the ICR */
    assert_false(index == 0x833 && chip.last_lvt < 5);
    assert_false(index == 0x834 && chip.last_lvt < 4);
    return &chip.msr[REGISTER(index)];
}

uint64_t rdmsr(uint32_t index)
{
    return index == MSR_APIC_BASE ? chip.base : *x2apic_register(index);
}

void wrmsr(uint32_t index, uint64_t value)
{
    if (index == MSR_APIC_BASE) {
        change_mode(value);
        return;
    }
    uint64_t *place = x2apic_register(index);
    assert_true(index != 0x802 && index != 0x803); /* read-only */
    *place = value;
    if (index == 0x80B) {
        assert_int_equal(value, 0);
        end_interrupt();
    }
}

bool rdmsr_safe(uint32_t index, uint64_t *value)
{
    switch (index) {
    case MSR_APIC_BASE:
        *value = chip.base;
        return true;
    case MSR_ARCH_CAPS:
        *value = chip.locked ? BIT64(21) : 0;
        return true;
    case 0xBD:
        assert_true(chip.locked);
        *value = 1;
        return true;
    }
    return false;
}

uint64_t rdtsc(void)
{
    return 0;
}

void outb(uint16_t port, uint8_t value)
{
    assert_true(port == 0x21 || port == 0xA1);
    assert_int_equal(value, 0xFF);
    chip.outs++;
}

volatile void *paging_map_device(uint64_t physical, uint64_t size)
{
    assert_int_equal(physical, BASE);
    assert_int_equal(size, 4096);
    assert_false(chip.base & X2APIC); /* nothing is there else */
    chip.maps++;
    return chip.memory;
}

void cpu_relax(void)
{
    if (++chip.relaxed == chip.pending_for)
        chip.memory[0x300 / 4] &= ~BIT(12);
}

static void reset_registers(uint64_t mode)
{
    chip.base = BASE | mode;
    chip.mode_changes = chip.outs = chip.maps = chip.ends = chip.relaxed = 0;
    memset(chip.memory, 0, sizeof chip.memory);
    for (unsigned i = 0; i < 64; i++)
        chip.msr[i] = NOT_WRITTEN;
    memset(chip.msr + IN_SERVICE, 0, 8 * sizeof chip.msr[0]);
    chip.memory[0x30 / 4] = chip.last_lvt << 16 | 0x14;
    chip.msr[3] = chip.memory[0x30 / 4];
    said[0] = 0;
}

static void start(uint64_t mode, bool has_x2apic, bool locked)
{
    memset(&chip, 0, sizeof chip);
    chip.has_x2apic = has_x2apic;
    chip.locked = locked;
    chip.last_lvt = LAST_LVT;
    reset_registers(mode);
    log_set_sink(hear, NULL);
    log_set_level(LOG_INFO);
}

static void test_mode(void **state)
{
    static const struct {
        uint64_t firmware;
        bool has_x2apic, locked;
        enum cpu_apic wish;
        bool x2apic;
        unsigned changes;
    } cases[] = {
        {ENABLED, false, false, CPU_APIC_AUTO, false, 0},
        {0, false, false, CPU_APIC_AUTO, false, 1},
        {ENABLED, true, false, CPU_APIC_AUTO, true, 1},
        {0, true, false, CPU_APIC_AUTO, true, 2}, /* through xAPIC mode */
        {MODE_BITS, true, false, CPU_APIC_AUTO, true, 0},
        {ENABLED, true, false, CPU_APIC_XAPIC, false, 0},
        {0, true, false, CPU_APIC_XAPIC, false, 1},
        {MODE_BITS, true, false, CPU_APIC_XAPIC, false, 2}, /* through "disabled" */
        {MODE_BITS, true, true, CPU_APIC_AUTO, true, 0},
        {MODE_BITS, true, true, CPU_APIC_XAPIC, true, 0},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        start(cases[i].firmware, cases[i].has_x2apic, cases[i].locked);
        assert_true(host_lapic_init(cases[i].wish));
        assert_int_equal(host_lapic_in_x2apic(), cases[i].x2apic);
        assert_int_equal(chip.base & MODE_BITS, cases[i].x2apic ? MODE_BITS : ENABLED);
        assert_int_equal(chip.mode_changes, cases[i].changes);
        assert_int_equal(chip.maps, !cases[i].x2apic);
        assert_int_equal(chip.outs, 2);
        assert_int_equal(host_lapic_initial_count() == NULL, cases[i].x2apic);
        assert_int_equal(strstr(said, "locked this CPU's local APIC in x2APIC mode") != NULL,
                         cases[i].locked && cases[i].wish == CPU_APIC_XAPIC);
    }
}

/* Of CPUs that have it but don't enumerate it: a hypervisor below that hides the bit. */
static void test_firmware_left_it_on(void **state)
{
    (void)state;
    start(MODE_BITS, false, false);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    assert_true(host_lapic_in_x2apic());
    assert_int_equal(chip.mode_changes, 0);
}

static void expect_state(uint32_t timer)
{
    static const struct {
        unsigned number;
        uint32_t value;
    } expected[] = {{0x08, 0xD0},   {0x0F, 0x100 | VECTOR_SPURIOUS},
                    {0x35, MASKED}, {0x36, MASKED},
                    {0x37, MASKED}, {0x34, MASKED},
                    {0x33, MASKED}, {0x3E, 0xB},
                    {0x38, 0}};

    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
        unsigned number = expected[i].number;
        uint64_t value = host_lapic_in_x2apic() ? chip.msr[number] : chip.memory[number * 4];

        assert_int_equal(value, expected[i].value);
    }
    assert_int_equal(host_lapic_in_x2apic() ? chip.msr[0x32] : chip.memory[0x32 * 4], timer);
}

static void test_state(void **state)
{
    (void)state;
    start(ENABLED, false, false);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    expect_state(VECTOR_TIMER);
    start(ENABLED, true, false);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    expect_state(VECTOR_TIMER);
    assert_int_equal(chip.memory[0x320 / 4], 0);
}

/* An EOI ends the highest one. */
static void test_several_in_service(void **state)
{
    (void)state;
    start(MODE_BITS, true, false);
    chip.msr[IN_SERVICE + 1] = BIT(0x31 - 32) | BIT(0x38 - 32);
    chip.msr[IN_SERVICE + 6] = BIT(0xD1 - 192);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    assert_int_equal(chip.ends, 3);
    assert_true(!chip.msr[IN_SERVICE + 1] && !chip.msr[IN_SERVICE + 6]);
}

/* A register that isn't there gives #GP in x2APIC mode. */
static void test_fewer_local_vectors(void **state)
{
    (void)state;
    start(ENABLED, true, false);
    chip.last_lvt = 3;
    reset_registers(ENABLED);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    assert_true(chip.msr[0x34] == NOT_WRITTEN && chip.msr[0x33] == NOT_WRITTEN);
}

/* Whatever mode INIT has left it in, the boot CPU's becomes its own; nothing is mapped, no port touched. */
static void test_further_cpu(void **state)
{
    static const uint64_t found[] = {0, ENABLED, MODE_BITS};

    (void)state;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        for (unsigned i = 0; i < ARRAY_SIZE(found); i++) {
            start(ENABLED, true, false);
            assert_true(host_lapic_init(x2apic ? CPU_APIC_AUTO : CPU_APIC_XAPIC));
            reset_registers(found[i]);
            host_lapic_init_here();
            assert_int_equal(chip.base & MODE_BITS, x2apic ? MODE_BITS : ENABLED);
            assert_true(chip.outs == 0 && chip.maps == 0);
            expect_state(VECTOR_TIMER);
        }
    }
}

static void test_id_and_reach(void **state)
{
    (void)state;
    start(ENABLED, false, false);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    chip.memory[0x20 / 4] = 0x17000000;
    assert_int_equal(host_lapic_id(), 0x17);
    assert_true(host_lapic_reaches(254) && !host_lapic_reaches(255) && !host_lapic_reaches(0x100));
    start(ENABLED, true, false);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    chip.msr[2] = 0x12345;
    assert_int_equal(host_lapic_id(), 0x12345);
    assert_true(host_lapic_reaches(255) && host_lapic_reaches(0x12345) && !host_lapic_reaches(0xFFFFFFFF));
}

static void test_send_by_msr(void **state)
{
    (void)state;
    start(ENABLED, true, false);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    host_lapic_send_init(0x101);
    assert_int_equal(chip.msr[0x30], UINT64_C(0x10100004500));
    host_lapic_send_startup(0x101, 0x9A);
    assert_int_equal(chip.msr[0x30], UINT64_C(0x1010000469A));
    host_lapic_send_nmi(3);
    assert_int_equal(chip.msr[0x30], UINT64_C(0x300004400));
    host_lapic_send_interrupt(3, 0xE2);
    assert_int_equal(chip.msr[0x30], UINT64_C(0x3000040E2));
    host_lapic_interrupt_self();
    assert_int_equal(chip.msr[0x3F], VECTOR_SELF);
    assert_int_equal(chip.relaxed, 0);
}

static void expect_sent(uint32_t high, uint32_t low)
{
    assert_int_equal(chip.memory[0x310 / 4], high);
    assert_int_equal(chip.memory[0x300 / 4], low);
}

static void test_send_by_memory(void **state)
{
    (void)state;
    start(ENABLED, false, false);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    host_lapic_send_init(7);
    expect_sent(0x07000000, 0x4500);
    host_lapic_send_startup(7, 0x9A);
    expect_sent(0x07000000, 0x469A);
    host_lapic_send_nmi(254);
    expect_sent(0xFE000000, 0x4400);
    host_lapic_send_interrupt(7, 0xE2);
    expect_sent(0x07000000, 0x40E2);
    host_lapic_interrupt_self();
    assert_int_equal(chip.memory[0x300 / 4], 0x44000 | VECTOR_SELF);
}

/* The last one may be on its way yet; one that never gets there holds up nobody for good. */
static void test_send_waits(void **state)
{
    (void)state;
    start(ENABLED, false, false);
    assert_true(host_lapic_init(CPU_APIC_AUTO));
    chip.memory[0x300 / 4] = BIT(12);
    chip.pending_for = 5;
    host_lapic_send_nmi(1);
    assert_int_equal(chip.relaxed, 5);
    expect_sent(0x01000000, 0x4400);
    chip.memory[0x300 / 4] = BIT(12);
    chip.pending_for = 0;
    host_lapic_send_nmi(2);
    expect_sent(0x02000000, 0x4400);
}

static void test_deadlines_on_a_further_cpu(void **state)
{
    (void)state;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        start(ENABLED, x2apic, false);
        assert_true(host_lapic_init(CPU_APIC_AUTO));
        chip.has_deadlines = true;
        assert_true(host_lapic_has_deadlines());
        host_lapic_start_deadlines();
        expect_state(AT_DEADLINE | VECTOR_TIMER);
        reset_registers(ENABLED);
        host_lapic_init_here();
        expect_state(AT_DEADLINE | VECTOR_TIMER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mode),
        cmocka_unit_test(test_firmware_left_it_on),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_several_in_service),
        cmocka_unit_test(test_fewer_local_vectors),
        cmocka_unit_test(test_further_cpu),
        cmocka_unit_test(test_id_and_reach),
        cmocka_unit_test(test_send_by_msr),
        cmocka_unit_test(test_send_by_memory),
        cmocka_unit_test(test_send_waits),
        cmocka_unit_test(test_deadlines_on_a_further_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
