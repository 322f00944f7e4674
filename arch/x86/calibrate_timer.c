/*
 * Measures the timers that end a guest's run: what their exit costs, and how far from the moment they are set
 * for they land. Contract: calibrate.h.
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/bare.h"
#include "arch/x86/calibrate.h"
#include "arch/x86/host/oneshot.h"
#include "lib/log.h"

#define TIMER_RUNS     8
#define TIMER_COUNTS   16u
#define TIMER_SHIFT    7u         /* no CPU has a coarser one */
#define TIMER_TAIL     8          /* one landing in so many may be an outlier */
#define TIMES_A_SECOND 100000u    /* set for 10 us */
#define MASKED_ROUNDS  (1u << 21) /* some 100 ms at 50 MHz */

/* A timer, and how a bare run sets it. */
struct timer {
    enum exit_class class;
    void (*set)(struct bare_setting *setting, uint64_t cycles);
    uint64_t *distance;
    const unsigned *shift; /* it counts 1 << *shift cycles at once; NULL: about one */
};

static void set_oneshot(struct bare_setting *setting, uint64_t cycles)
{
    setting->arm_count = oneshot_count(cycles);
}

static void set_preemption_timer(struct bare_setting *setting, uint64_t cycles)
{
    setting->preemption_count = preemption_count(cycles);
}

static const struct timer oneshot = {CLASS_INTERRUPT, set_oneshot, &host_oneshot.distance, NULL};
static const struct timer preemption = {CLASS_PREEMPTION, set_preemption_timer, &preemption_timer.distance,
                                        &preemption_timer.shift};

static const uint8_t rdtsc_loop[] = {0x0F, 0x31, 0x67, 0xE2,
                                     0xFB, 0x0F, 0xA2}; /* L: RDTSC; LOOP L by ECX; CPUID */
#define OFFSET_OF_LOOP 2

static bool run_for(const struct timer *timer, uint64_t cycles)
{
    struct bare_setting setting = {.sp = BARE_SP, .rflags = BARE_RFLAGS_IF};

    timer->set(&setting, cycles);
    bare_run(&setting);
    return bare_vcpu.exit.kind == EXIT_HOST_INTERRUPT;
}

/* So many neighbouring values that one of them is just at an edge of the timer's clock. */
static unsigned counts_of(const struct timer *timer)
{
    return timer->shift ? MAX(TIMER_COUNTS, 1u << MIN(*timer->shift, TIMER_SHIFT)) : TIMER_COUNTS;
}

/* X of its exit: of the runs that ended right behind the loop's RDTSC (RIP on the LOOP) all that the guest
 * consumed is known. */
static bool measure_exit(const struct timer *timer, uint64_t cycles)
{
    int64_t least = INT64_MAX;

    for (unsigned i = 0; i < counts_of(timer) * TIMER_RUNS; i++) {
        if (!run_for(timer, cycles + i % counts_of(timer)))
            return false;
        if (*bare_vcpu.rip == OFFSET_OF_LOOP)
            least = MIN(least, calibrate_yield_exit());
    }
    figures.exit[timer->class] = least == INT64_MAX ? figures.exit[CLASS_INSTRUCTION] : least;
    return true;
}

/* The timer's distance. Counts of neighbouring values, so that a clock of coarser grain shows its true edge.
 */
static bool measure_distance(const struct timer *timer, uint64_t cycles)
{
    int64_t distance = INT64_MIN;
    uint64_t jitter = 0;

    for (unsigned extra = 0; extra < counts_of(timer); extra++) {
        int64_t totals[TIMER_RUNS];

        for (unsigned i = 0; i < TIMER_RUNS; i++) {
            if (!run_for(timer, cycles + extra))
                return false;
            insert_sorted(totals, i, (int64_t)bare_total);
        }
        int64_t usual_most = totals[TIMER_RUNS - 1 - TIMER_RUNS / TIMER_TAIL];
        int64_t consumed = usual_most - figures.entry[0] - figures.exit[timer->class];

        jitter = MAX(jitter, spread_of(totals, TIMER_RUNS));
        distance = MAX(distance, (int64_t)(cycles + extra) - consumed);
    }
    figures.spread = MAX(figures.spread, jitter);
    *timer->distance = distance > (int64_t)jitter ? (uint64_t)distance - jitter : 0;
    return true;
}

static bool measure(const struct timer *timer)
{
    const struct bare_setting interruptible = {.sp = BARE_SP, .rflags = BARE_RFLAGS_IF};
    uint64_t cycles = host_tsc_hz() / TIMES_A_SECOND;

    *timer->distance = 0;
    BARE_LOAD(rdtsc_loop);
    bare_prepare(&interruptible);
    return measure_exit(timer, cycles) && measure_distance(timer, cycles);
}

bool calibrate_timers(void)
{
    if (!measure(&oneshot)) {
        log_error("the local APIC's timer does not interrupt: Verge can't end a guest's run; try another "
                  "timer=");
        return false;
    }
    if (preemption_timer.spared != PREEMPTION_UNUSED && !measure(&preemption)) {
        log_error("the VMX preemption timer does not end a guest's run");
        return false;
    }
    return true;
}

bool calibrate_interrupts_masked_guest(void)
{
    struct bare_setting masked = {.sp = BARE_SP, .rounds = MASKED_ROUNDS};

    set_oneshot(&masked, host_tsc_hz() / TIMES_A_SECOND);
    BARE_LOAD(rdtsc_loop);
    bare_prepare(&masked);
    bare_run(&masked);
    if (bare_vcpu.exit.kind == EXIT_HOST_INTERRUPT)
        return true;
    cpu_open_interrupts(); /* where it is still pending */
    return false;
}
