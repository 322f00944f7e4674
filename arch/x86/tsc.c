/*
 * The rate of the host's TSC: CPUID leaf 15h or a hypervisor's leaf 40000010h where they are true, else measured against channel 2 of the 8254, with a
 * time-out for machines whose PIT is gated off. What is measured is rounded to the coarsest value inside the error interval, so that it does
 * not depend on the phase of the boot. Sources: Intel SDM vol. 2 "CPUID" leaf 15h; Intel 8254 datasheet, modes 0 and "Write operations".
 */
#include "arch/x86/tsc.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "lib/log.h"
#include "lib/ratio.h"
#include "lib/string.h"

#define PIT_HZ_NUM 13125000u /* CLK = 13,125,000 / 11 Hz */
#define PIT_HZ_DEN 11u
#define PIT_CHANNEL2 0x42
#define PIT_CONTROL 0x43
#define PORT61 0x61
#define PIT_COUNT 59660u      /* about 50 ms */
#define TIMEOUT_CYCLES (UINT64_C(1) << 33) /* 50 ms end sooner on any CPU below 170 GHz */

static uint64_t tsc_hz;

uint64_t host_tsc_hz(void)
{
    return tsc_hz;
}

/* Exact for both bounds: num / den of `value`, rounded down or up. */
static uint64_t scale(uint64_t value, uint64_t num, uint64_t den, bool up)
{
    struct ratio ratio;

    ratio_init(&ratio, num, den);
    return up ? ratio_ceil(&ratio, value) : ratio_floor(&ratio, value);
}

uint64_t tsc_coarsest(uint64_t low, uint64_t high)
{
    for (uint64_t step = UINT64_C(1000000000000); step > 1; step /= 10) {
        uint64_t candidate = low + (step - low % step) % step;

        if (candidate <= high)
            return candidate;
    }
    return low;
}

/* Bounds of the TSC rate from one run of channel 2 in mode 0; false when its OUT never rose. */
static bool measure_by_pit(uint64_t *low, uint64_t *high)
{
    uint8_t saved = inb(PORT61);
    uint64_t before, loaded, previous, risen;

    outb(PORT61, (uint8_t)((saved & 0xFC) | 1)); /* gate on, speaker off */
    outb(PIT_CONTROL, 0xB0);                     /* channel 2, low then high byte, mode 0 */
    outb(PIT_CHANNEL2, PIT_COUNT & 0xFF);
    before = rdtsc();
    outb(PIT_CHANNEL2, PIT_COUNT >> 8);
    loaded = rdtsc();
    previous = risen = loaded;
    while (risen - loaded < TIMEOUT_CYCLES) {
        bool out = inb(PORT61) & BIT(5);

        risen = rdtsc();
        if (out) {
            outb(PORT61, saved);
            /* The count loads at the next CLK edge, OUT rises N edges later: N to N + 1 periods after the write. */
            *low = scale(previous - loaded, PIT_HZ_NUM, (uint64_t)PIT_HZ_DEN * (PIT_COUNT + 1), false);
            *high = scale(risen - before, PIT_HZ_NUM, (uint64_t)PIT_HZ_DEN * PIT_COUNT, true);
            return previous > loaded;
        }
        previous = risen;
    }
    outb(PORT61, saved);
    return false;
}

static uint64_t from_cpuid(void)
{
    struct cpuid_result r = cpuid(0, 0);

    if (cpuid(1, 0).ecx & BIT(31)) {
        r = cpuid(0x40000000, 0);
        if (r.eax >= 0x40000010 && r.eax < 0x40010000)
            return (uint64_t)cpuid(0x40000010, 0).eax * 1000;
        return 0;
    }
    if (r.eax >= 0x15) {
        r = cpuid(0x15, 0);
        if (r.eax && r.ebx && r.ecx)
            return scale(r.ecx, r.ebx, r.eax, false);
    }
    return 0;
}

void cpu_init_time(uint64_t override_hz)
{
    uint64_t low, high;
    const char *source;

    if (override_hz) {
        tsc_hz = override_hz;
        log_info("TSC %'llu Hz, from tsc=", (unsigned long long)tsc_hz);
        return;
    }
    tsc_hz = from_cpuid();
    source = "CPUID";
    low = high = tsc_hz;
    if (!tsc_hz) {
        source = "the PIT";
        if (!measure_by_pit(&low, &high)) {
            low = high = tsc_hz = 1000000000;
            log_warning("TSC rate can't be measured (the PIT doesn't count): 1 GHz assumed; set tsc=HZ");
            return;
        }
        tsc_hz = tsc_coarsest(low, high);
    }
    log_info("TSC %'llu Hz, from %s (%'llu to %'llu)", (unsigned long long)tsc_hz, source, (unsigned long long)low,
             (unsigned long long)high);
}
