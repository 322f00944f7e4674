/*
 * The rate of the host's TSC. It is measured against the HPET, the ACPI PM timer or channel 2 of the 8254,
 * the first of them that is there and counts; each has a time-out in TSC cycles. CPUID leaf 15h or a
 * hypervisor's leaf 40000010h is believed where the measurement agrees (some emulators' leaves are fiction);
 * else the measured rate is rounded to the coarsest value inside the error interval (rate.h), so that it does
 * not depend on the phase of the boot. Boot CPU, once, after memory_map_init() and machine_read_tables().
 * Contract: api/cpu.h. Sources: Intel SDM vol. 2 "CPUID" leaf 15h; ACPI Specification 6.4, "Power Management
 * Timer"; Intel 8254 datasheet, "Mode 0" and "Write Operations"; for the HPET see host/hpet.h.
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/acpi.h"
#include "arch/x86/host/hpet.h"
#include "arch/x86/rate.h"
#include "lib/log.h"

/* CLK = 13,125,000 / 11 Hz; some emulators take the next whole number, 0.15 ppm faster. */
#define PIT_HZ_NUM   13125000u
#define PIT_HZ_DEN   11u
#define PIT_HZ_HIGH  1193182u
#define PIT_CHANNEL2 0x42
#define PIT_CONTROL  0x43
#define PORT61       0x61
#define PIT_COUNT    59660u /* about 50 ms */

/* The specification says 3.579545 MHz; the crystal is made for 315/88 MHz, 0.13 ppm faster. */
#define PM_PERIOD_LOW_AS  UINT64_C(279365079365)
#define PM_PERIOD_HIGH_AS UINT64_C(279365114840)
#define PM_MASK           0xFFFFFFu /* 24 bits, 4.7 s; where it has 32, the low 24 count alike */

#define CPUID_TOLERANCE 1000u /* parts: crystals of one board differ by less than 0.1 % */
#define FALLBACK_HZ     UINT64_C(1000000000)

static uint64_t tsc_hz;

uint64_t host_tsc_hz(void)
{
    return tsc_hz;
}

static bool measure_by_hpet(struct rate_interval *interval)
{
    uint64_t base = host_acpi()->hpet_base;
    struct rate_counter counter;

    if (!base)
        return false;
    if (!host_hpet_start(base, &counter)) {
        log_warning("the HPET at %llx is none that keeps to its specification: not used",
                    (unsigned long long)base);
        return false;
    }
    bool counts = rate_measure(&counter, rdtsc_ordered, interval);
    host_hpet_stop();
    if (!counts)
        log_warning("the HPET at %llx does not count: not used", (unsigned long long)base);
    return counts;
}

static uint32_t read_pm_timer(const void *device)
{
    return inl(*(const uint16_t *)device);
}

static bool measure_by_pm_timer(struct rate_interval *interval)
{
    const uint16_t port = host_acpi()->pm_timer_port;
    const struct rate_counter counter = {.read = read_pm_timer,
                                         .device = &port,
                                         .mask = PM_MASK,
                                         .period_low_as = PM_PERIOD_LOW_AS,
                                         .period_high_as = PM_PERIOD_HIGH_AS};

    if (!port)
        return false;
    bool counts = rate_measure(&counter, rdtsc_ordered, interval);
    if (!counts)
        log_warning("the PM timer at port %x does not count: not used", port);
    return counts;
}

/* One run of channel 2 in mode 0; false when its OUT never rose. */
static bool measure_by_pit(struct rate_interval *interval)
{
    uint8_t saved = inb(PORT61);
    uint64_t before, loaded, low_at, risen; /* low_at: in front of the last reading that was low */
    bool out = false;

    outb(PORT61, (uint8_t)((saved & 0xFC) | 1)); /* gate on, speaker off */
    outb(PIT_CONTROL, 0xB0);                     /* channel 2, low then high byte, mode 0 */
    outb(PIT_CHANNEL2, PIT_COUNT & 0xFF);
    before = rdtsc_ordered();
    outb(PIT_CHANNEL2, PIT_COUNT >> 8);
    loaded = low_at = risen = rdtsc_ordered();
    while (risen - loaded < RATE_TIMEOUT_CYCLES) {
        uint64_t asked = risen;

        out = inb(PORT61) & BIT(5);
        risen = rdtsc_ordered();
        if (out)
            break;
        low_at = asked;
    }
    outb(PORT61, saved);
    if (!out || low_at == loaded)
        return false;
    /* The count loads at the next CLK edge, OUT rises N edges later: N to N + 1 periods after the write. */
    interval->low =
        rate_per_second(low_at - loaded, PIT_HZ_NUM, (uint64_t)PIT_HZ_DEN * (PIT_COUNT + 1), false);
    interval->high = rate_per_second(risen - before, PIT_HZ_HIGH, PIT_COUNT, true);
    return true;
}

/* What CPUID says, 0: nothing. */
static uint64_t from_cpuid(void)
{
    struct cpuid_result r;

    if (cpuid(1, 0).ecx & BIT(31)) {
        r = cpuid(0x40000000, 0);
        if (r.eax >= 0x40000010 && r.eax < 0x40010000)
            return (uint64_t)cpuid(0x40000010, 0).eax * 1000;
        return 0;
    }
    if (cpuid(0, 0).eax >= 0x15) {
        r = cpuid(0x15, 0);
        if (r.eax && r.ebx && r.ecx)
            return rate_per_second(r.ecx, r.ebx, r.eax, false);
    }
    return 0;
}

/* False: no clock of the machine counts. */
static bool measure(struct rate_interval *interval, const char **source)
{
    static const struct {
        const char *name;
        bool (*measure)(struct rate_interval *);
    } sources[] = {{"HPET", measure_by_hpet}, {"PM timer", measure_by_pm_timer}, {"PIT", measure_by_pit}};

    for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
        *source = sources[i].name;
        if (sources[i].measure(interval))
            return true;
    }
    return false;
}

static bool agrees(uint64_t hz, const struct rate_interval *interval)
{
    return hz >= interval->low - interval->low / CPUID_TOLERANCE &&
           hz <= interval->high + interval->high / CPUID_TOLERANCE;
}

void cpu_init_time(uint64_t override_hz)
{
    struct rate_interval interval;
    const char *source;

    if (override_hz) {
        tsc_hz = override_hz;
        log_info("TSC %'llu Hz, from tsc=", (unsigned long long)tsc_hz);
        return;
    }
    uint64_t claimed = from_cpuid();
    if (!measure(&interval, &source)) {
        tsc_hz = claimed ? claimed : FALLBACK_HZ;
        log_warning(
            "TSC rate can't be measured (HPET, PM timer and PIT don't count): %'llu Hz %s; set tsc=HZ",
            (unsigned long long)tsc_hz, claimed ? "as CPUID says" : "assumed");
        return;
    }
    bool believed = claimed && agrees(claimed, &interval);
    tsc_hz = believed ? claimed : rate_coarsest(interval.low, interval.high);
    if (claimed && !believed)
        log_warning("CPUID's TSC rate of %'llu Hz is not what is measured: not used",
                    (unsigned long long)claimed);
    log_info("TSC %'llu Hz, from %s%s (%'llu to %'llu)", (unsigned long long)tsc_hz,
             believed ? "CPUID, checked with " : "", source, (unsigned long long)interval.low,
             (unsigned long long)interval.high);
}
