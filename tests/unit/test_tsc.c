/*
 * The rate of the host's TSC (arch/x86/tsc.c) on a simulated machine: a PIT channel 2 on its own grid, port
 * accesses that take about a microsecond, any phase at boot. Sources: Intel 8254 datasheet, mode 0; Intel SDM
 * vol. 2 "CPUID", leaf 15h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/acpi.h"
#include "arch/x86/host/hpet.h"
#include "lib/log.h"
#include "lib/prng.h"

#define CLK_NUM 13125000u
#define CLK_DEN 11u

static struct {
    uint64_t hz, now;       /* the true rate, the TSC */
    uint64_t access, noise; /* what a port access takes, at least and how much more at most */
    uint8_t port61, control;
    unsigned bytes;
    uint64_t count, out_edge; /* OUT 2 rises at this edge of CLK */
    bool pit_counts, counting;
    struct prng prng;
    struct cpuid_result leaf0, leaf1, leaf15, leaf4_0, leaf4_10;
} pc;

static uint64_t edges_now(void)
{
    return (uint64_t)((unsigned __int128)pc.now * CLK_NUM / ((unsigned __int128)pc.hz * CLK_DEN));
}

/* The device sees an access in its middle. */
static void access_port(void)
{
    pc.now += pc.access / 2 + prng_below(&pc.prng, pc.noise + 1);
}

void outb(uint16_t port, uint8_t value)
{
    access_port();
    if (port == 0x61) {
        pc.port61 = value & 0xf; /* the rest can't be written */
    } else if (port == 0x43) {
        assert_int_equal(value, 0xb0); /* channel 2, both bytes, mode 0, binary */
        pc.bytes = 0;
        pc.counting = false;
    } else {
        assert_int_equal(port, 0x42);
        pc.count = pc.bytes++ ? pc.count | (uint64_t)value << 8 : value;
        if (pc.bytes == 2) {
            assert_int_equal(pc.port61 & 3, 1); /* gate on, speaker off */
            pc.counting = pc.pit_counts;
            pc.out_edge = edges_now() + 1 + pc.count;
        }
    }
    access_port();
}

uint8_t inb(uint16_t port)
{
    assert_int_equal(port, 0x61);
    access_port();
    bool out = pc.counting && edges_now() >= pc.out_edge;
    access_port();
    return (uint8_t)((pc.port61 & ~0x20) | (out ? 0x20 : 0));
}

uint64_t rdtsc(void)
{
    return pc.now += 20;
}

uint64_t rdtsc_ordered(void)
{
    return rdtsc();
}

/* The tables name neither HPET nor PM timer: what measures by those is in test_rate.c. */
const struct acpi_info *host_acpi(void)
{
    static const struct acpi_info none;

    return &none;
}

bool host_hpet_start(uint64_t base, struct rate_counter *counter)
{
    (void)base;
    (void)counter;
    fail();
    return false;
}

void host_hpet_stop(void)
{
    fail();
}

uint32_t inl(uint16_t port)
{
    (void)port;
    fail();
    return 0;
}

struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
    assert_int_equal(subleaf, 0);
    switch (leaf) {
    case 0:
        return pc.leaf0;
    case 1:
        return pc.leaf1;
    case 0x15:
        return pc.leaf15;
    case 0x40000000:
        return pc.leaf4_0;
    case 0x40000010:
        return pc.leaf4_10;
    }
    fail();
    return pc.leaf0;
}

static void power_on(uint64_t hz, uint64_t seed)
{
    memset(&pc, 0, sizeof pc);
    prng_seed(&pc.prng, seed);
    pc.hz = hz;
    pc.now = prng_next(&pc.prng) >> 20;
    pc.access = hz / 1000000;
    pc.noise = hz / 4000000;
    pc.port61 = 0x0c;
    pc.pit_counts = true;
    pc.leaf0.eax = 0xd;
}

static char said[256];

static void hear(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    (void)level;
    strncpy(said, line, sizeof said - 1);
}

/* The number behind `after` in the log line, its thousands marked by commas. */
static uint64_t said_number(const char *after)
{
    const char *at = strstr(said, after);
    uint64_t value = 0;

    assert_non_null(at);
    for (at += strlen(after); (*at >= '0' && *at <= '9') || *at == ','; at++)
        if (*at != ',')
            value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

/* Whatever the phase of the boot, a machine of a round rate gets exactly that rate: no two boots may differ.
 */
static void test_rate_does_not_depend_on_the_phase(void **state)
{
    static const uint64_t rates[] = {1000000000, 2000000000, 2400000000, 3300000000,
                                     1400000000, 800000000,  5000000000};

    (void)state;
    log_set_sink(hear, NULL);
    log_set_level(LOG_INFO);
    for (unsigned r = 0; r < ARRAY_SIZE(rates); r++) {
        for (uint64_t seed = 1; seed <= 8; seed++) {
            power_on(rates[r], seed);
            cpu_init_time(0);
            assert_true(host_tsc_hz() == rates[r]);
            assert_int_equal(pc.port61, 0x0c); /* as it was */
        }
    }
}

/* Whatever the rate, it lies in the interval that is shown, and the interval is narrow (100 ppm). */
static void test_interval_holds_the_truth(void **state)
{
    struct prng prng;

    (void)state;
    log_set_sink(hear, NULL);
    log_set_level(LOG_INFO);
    prng_seed(&prng, 9);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t hz = 700000000 + prng_below(&prng, 4300000000);

        power_on(hz, i);
        cpu_init_time(0);
        uint64_t low = said_number("PIT ("), high = said_number(" to ");
        assert_in_range(hz, low, high);
        assert_in_range(host_tsc_hz(), low, high);
        assert_true(high - low < hz / 10000);
    }
}

static void test_dead_pit_times_out(void **state)
{
    (void)state;
    power_on(1000000000, 1);
    pc.access = 100000; /* so that the time-out comes soon */
    pc.pit_counts = false;
    cpu_init_time(0);
    assert_true(host_tsc_hz() == 1000000000);
    assert_non_null(strstr(said, "can't be measured"));
    assert_int_equal(pc.port61, 0x0c);
}

/* Believed only where a measurement agrees: some emulators' leaves are fiction. */
static void test_cpuid_is_believed_when_it_agrees(void **state)
{
    (void)state;
    power_on(2112000000, 1);
    pc.leaf0.eax = 0x16;
    pc.leaf15 = (struct cpuid_result){2, 176, 24000000, 0}; /* crystal 24 MHz, ratio 88 */
    cpu_init_time(0);
    assert_true(host_tsc_hz() == 2112000000);
    pc.leaf15.ebx = 177; /* another rate than the PIT's */
    cpu_init_time(0);
    assert_in_range(host_tsc_hz(), 2111900000, 2112100000);
    pc.leaf15.ecx = 0; /* crystal not enumerated */
    cpu_init_time(0);
    assert_in_range(host_tsc_hz(), 2111900000, 2112100000);
    pc.leaf1.ecx = BIT(31); /* under a hypervisor it is its own leaf that counts */
    pc.leaf15 = (struct cpuid_result){2, 176, 24000000, 0};
    pc.leaf4_0.eax = 0x40000010;
    pc.leaf4_10.eax = 2112345;
    cpu_init_time(0);
    assert_true(host_tsc_hz() == 2112345000);
    pc.leaf4_0.eax = 0x40000001; /* one without timing leaf */
    cpu_init_time(0);
    assert_in_range(host_tsc_hz(), 2111900000, 2112100000);
    cpu_init_time(777);
    assert_true(host_tsc_hz() == 777);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_does_not_depend_on_the_phase),
        cmocka_unit_test(test_interval_holds_the_truth),
        cmocka_unit_test(test_dead_pit_times_out),
        cmocka_unit_test(test_cpuid_is_believed_when_it_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
