/*
 * Measures what a world switch costs (E and X; docs/time.md) with the bare guest, whose TSC is the cycles
 * since T0: its first RDTSC gives E at once. Every figure is the minimum over many runs, all but the first of
 * which find caches, TLB and the CPU's copy of the vCPU's state as a run of a guest does; nothing here is a
 * constant of some CPU. Runs at boot on each CPU, interrupts off. The timers: calibrate_timer.c.
 */
#include "arch/x86/calibrate.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/bare.h"
#include "arch/x86/host/oneshot.h"
#include "lib/log.h"

#define NOPS         1000
#define EVENT_PROBES 16

static PER_CPU int64_t rdtsc_cost;

static const uint8_t rdtsc_exit[] = {0x0F, 0x31, 0x0F, 0xA2};                   /* RDTSC; CPUID */
static const uint8_t rdtsc_rdtsc_exit[] = {0x0F, 0x31, 0x0F, 0x31, 0x0F, 0xA2}; /* RDTSC; RDTSC; CPUID */
static const uint8_t rdtsc_ud2[] = {0x0F, 0x31, 0x0F, 0x0B};                    /* RDTSC; UD2 */
static const uint8_t rdtsc_load[] = {0x0F, 0x31, 0xA0, 0x00, 0x80};             /* RDTSC; MOV AL, [8000h] */
static const uint8_t rdtsc_int[] = {0x0F, 0x31, 0xCD, BARE_VECTOR};             /* RDTSC; INT 20h */
static const uint8_t no_ops[] = {0x90, 0x90, 0x90, 0x90};

int64_t calibrate_yield_exit(void)
{
    return (int64_t)(bare_total - bare_reading) - rdtsc_cost;
}

static const struct bare_setting plain = {.sp = BARE_SP};

static void measure_entry(void)
{
    const struct bare_setting inject = {
        .sp = BARE_SP, .rflags = BARE_RFLAGS_IF, .inject = true, .vector = BARE_VECTOR};
    const struct bare_setting cold = {.sp = BARE_SP, .cold = true};

    BARE_LOAD(rdtsc_exit);
    figures.entry[0] = bare_measure(&plain, bare_yield_reading);
    figures.entry[1] = bare_measure(&inject, bare_yield_reading);
    figures.cold = bare_measure(&cold, bare_yield_reading) - figures.entry[0];
    BARE_LOAD(rdtsc_rdtsc_exit);
    rdtsc_cost = bare_measure(&plain, bare_yield_reading) - figures.entry[0];
}

static void measure_exits(void)
{
    const struct bare_setting undefined = {.sp = BARE_SP, .exceptions = BIT(6)};
    const struct bare_setting no_stack = {.sp = BARE_UNMAPPED};
    const struct bare_setting window = {.sp = BARE_SP, .rflags = BARE_RFLAGS_IF, .window = true};
    const struct bare_setting step = {.sp = BARE_SP, .rflags = BARE_RFLAGS_TF};

    BARE_LOAD(rdtsc_exit);
    figures.exit[CLASS_INSTRUCTION] = bare_measure(&plain, calibrate_yield_exit);
    BARE_LOAD(rdtsc_ud2);
    figures.exit[CLASS_SOFTWARE] = bare_measure(&undefined, calibrate_yield_exit);
    BARE_LOAD(rdtsc_load);
    figures.exit[CLASS_MEMORY] = bare_measure(&plain, calibrate_yield_exit);
    BARE_LOAD(rdtsc_int);
    figures.exit[CLASS_MEMORY_SOFT] = bare_measure(&no_stack, calibrate_yield_exit);
    BARE_LOAD(no_ops);
    figures.exit[CLASS_WINDOW] = bare_measure(&window, bare_yield_total) - figures.entry[0];
    if (bare_vcpu.exit.kind != EXIT_WINDOW) /* Bochs 2.7 opens none where IF is set already */
        figures.exit[CLASS_WINDOW] = figures.exit[CLASS_INSTRUCTION];

    bare_load_nops(NOPS);
    figures.no_op =
        (bare_measure(&plain, bare_yield_total) - figures.entry[0] - figures.exit[CLASS_INSTRUCTION]) / NOPS;
    figures.exit[CLASS_STEP] = bare_measure(&step, bare_yield_total) - figures.entry[0] - figures.no_op;
}

/* The interrupt shadow that an entry asks for must hold off the window by one instruction. */
static void probe_shadow(void)
{
    const struct bare_setting shadow = {
        .sp = BARE_SP, .rflags = BARE_RFLAGS_IF, .window = true, .shadow = true};

    BARE_LOAD(no_ops);
    bare_prepare(&shadow);
    bare_run(&shadow);
    figures.shadow_lost = bare_vcpu.exit.kind == EXIT_WINDOW && *bare_vcpu.rip == 0;
}

/* An injected interrupt must be delivered once, also when a host timer expires within its handler: tried on
 * each of its first instructions. */
static void probe_event(void)
{
    struct bare_setting inject = {
        .sp = BARE_SP, .rflags = BARE_RFLAGS_IF, .inject = true, .vector = BARE_VECTOR};
    const uint16_t frame = 6;

    bare_load_nops(NOPS);
    bare_prepare(&inject);
    for (uint64_t extra = 0; extra < EVENT_PROBES; extra++) {
        inject.arm_count = oneshot_count(host_oneshot.distance + extra);
        bare_run(&inject);
        if (*bare_vcpu.gpr[REG_RSP] == inject.sp - 2u * frame)
            figures.event_repeats = true;
    }
}

/* 0, 1 and 1,000 NOPs must come out as so many times one NOP; where there is a spread, what 0 NOPs miss is
 * part of it. */
static bool check(void)
{
    static const unsigned counts[] = {0, 1, NOPS};
    int64_t cycles[ARRAY_SIZE(counts)];

    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        bare_load_nops(counts[i]);
        cycles[i] =
            bare_measure(&plain, bare_yield_total) - figures.entry[0] - figures.exit[CLASS_INSTRUCTION];
    }
    /* RDTSC overlaps its neighbours on some cores, so that E + X misses the whole by as much each time; and
     * an emulator in real time can be slower in one measurement than in the next. */
    if (figures.spread) {
        int64_t miss = MAX(MAX(cycles[0], -cycles[0]), -cycles[2]);

        figures.spread = MAX(figures.spread, (uint64_t)miss);
        return true;
    }
    bool good = cycles[0] == 0 && cycles[2] > 0 && cycles[1] * NOPS == cycles[2];
    if (!good)
        log_error("calibration check failed: runs of 0, 1 and %u NOPs took %lld, %lld and %lld cycles", NOPS,
                  (long long)cycles[0], (long long)cycles[1], (long long)cycles[2]);
    return good;
}

/* A guest that turns interrupts off must not hold on to the CPU: where host interrupts don't end its run
 * (Bochs 2.7), the preemption timer does. */
static void probe_masked(void)
{
    if (calibrate_interrupts_masked_guest())
        return;
    if (preemption_timer.spared == PREEMPTION_ALWAYS)
        return;
    if (preemption_timer.present)
        preemption_timer.spared = PREEMPTION_BACKSTOP;
    else
        log_warning(
            "on this CPU a guest that turns interrupts off is not interrupted: it can keep the CPU, and "
            "its timer events come late");
}

bool calibrate(void)
{
    bare_create();
    probe_masked();
    measure_entry();
    measure_exits();
    if (!calibrate_timers())
        return false;
    probe_shadow();
    probe_event();
    log_debug("calibration: E %lld/%lld X insn %lld soft %lld intr %lld window %lld npf %lld npf-soft %lld "
              "step %lld preempt %lld rdtsc %lld distance %llu/%llu%s",
              (long long)figures.entry[0], (long long)figures.entry[1],
              (long long)figures.exit[CLASS_INSTRUCTION], (long long)figures.exit[CLASS_SOFTWARE],
              (long long)figures.exit[CLASS_INTERRUPT], (long long)figures.exit[CLASS_WINDOW],
              (long long)figures.exit[CLASS_MEMORY], (long long)figures.exit[CLASS_MEMORY_SOFT],
              (long long)figures.exit[CLASS_STEP], (long long)figures.exit[CLASS_PREEMPTION],
              (long long)rdtsc_cost, (unsigned long long)host_oneshot.distance,
              (unsigned long long)preemption_timer.distance,
              figures.event_repeats ? "; events may repeat" : "");
    return check();
}
