/* The one-shot; the contract is in oneshot.h. */
#include "arch/x86/host/oneshot.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/rate.h"

#define MEASURE_SHARE 200u /* 1/200 s */
#define COUNT_MAX     0x7FFFFFFFu

PER_CPU struct oneshot host_oneshot;
static uint64_t measured_hz; /* all CPUs have one clock for it */

/* Rate bounds from two pairs of readings; each count is read between two TSC readings. */
static void measure(uint64_t *low, uint64_t *high)
{
    uint64_t wait = host_tsc_hz() / MEASURE_SHARE;

    host_lapic_arm(0xFFFFFFFF);
    uint64_t before1 = rdtsc();
    uint32_t count1 = host_lapic_current_count();
    uint64_t after1 = rdtsc();
    while (rdtsc() - before1 < wait)
        cpu_relax();
    uint64_t before2 = rdtsc();
    uint32_t count2 = host_lapic_current_count();
    uint64_t after2 = rdtsc();
    host_lapic_arm(0);

    struct ratio ratio;
    uint64_t ticks = count1 - count2;
    ratio_init(&ratio, host_tsc_hz(), after2 - before1);
    *low = ratio_floor(&ratio, ticks ? ticks - 1 : 0);
    ratio_init(&ratio, host_tsc_hz(), before2 - after1);
    *high = ratio_ceil(&ratio, ticks + 1);
}

void oneshot_init_here(void)
{
    host_oneshot.ticks_hz = measured_hz;
    ratio_init(&host_oneshot.ticks_per_cycle, host_oneshot.ticks_hz, host_tsc_hz());
    ratio_init(&host_oneshot.cycles_per_tick, host_tsc_hz(), host_oneshot.ticks_hz);
    host_oneshot.fires_at = UINT64_MAX;
}

bool oneshot_init(bool by_deadline)
{
    uint64_t low, high;

    if (by_deadline) {
        host_lapic_start_deadlines();
        measured_hz = host_tsc_hz();
    } else {
        measure(&low, &high);
        measured_hz = rate_coarsest(low, high);
        if (low == 0 || measured_hz == 0)
            return false;
    }
    oneshot_init_here();
    return true;
}

void cpu_start_periodic_timer(uint32_t hz)
{
    host_oneshot.periodic = true;
    host_oneshot.fires_at = 0;
    host_lapic_start_periodic((uint32_t)MIN(host_oneshot.ticks_hz / hz, (uint64_t)COUNT_MAX));
}

uint32_t oneshot_count(uint64_t cycles)
{
    uint64_t ticks = ratio_floor(&host_oneshot.ticks_per_cycle, cycles);

    return (uint32_t)(ticks > COUNT_MAX ? COUNT_MAX : ticks > 1 ? ticks : 1);
}

uint32_t oneshot_aim(const struct vcpu *vcpu, uint64_t distance)
{
    struct oneshot *oneshot = &host_oneshot;
    uint64_t run = distance - MIN(vcpu->lead, distance / VCPU_LEAD_SHARE);
    uint64_t to_host_limit = oneshot_to_host_limit(vcpu);

    oneshot->aimed = run <= to_host_limit;
    if (oneshot->fires_at != UINT64_MAX && oneshot->chased) {
        run -= run >> 3;
        oneshot->aimed = false;
    }
    oneshot->chased = oneshot->fires_at != UINT64_MAX;
    return oneshot_count(MIN(run, to_host_limit) + oneshot->distance);
}

void oneshot_armed(uint64_t entered, uint32_t count)
{
    host_oneshot.fires_at = entered + ratio_ceil(&host_oneshot.cycles_per_tick, count + 1u);
}

/*
 * An interrupt that comes right behind a new arming may be the older one's, which expired meanwhile: the new
 * one still counts then, and is not to be rewritten. (Each rewriting would find the last one expired while
 * the monitor worked, and the guest would never move.)
 */
void oneshot_fired(void)
{
    if (!host_oneshot.periodic && host_lapic_expired())
        host_oneshot.fires_at = UINT64_MAX;
}

void cpu_set_timer(uint64_t host_cycles)
{
    if (host_oneshot.periodic)
        return;
    host_oneshot.fires_at = rdtsc() + host_cycles;
    host_lapic_arm(oneshot_count(host_cycles));
}
