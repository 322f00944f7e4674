/*
 * Measures what a world switch costs (E, X, the timer's distance; docs/time.md), with a guest of a
 * few instructions in real mode. The guest's TSC offset is minus T0, so that it reads the cycles since T0:
 * the first RDTSC gives E at once. Every figure is the minimum over many runs, all but the first of which
 * find caches, TLB and the CPU's copy of the VMCB as a run of a guest does; nothing here is a constant of
 * some CPU. Runs at boot on each CPU, interrupts off.
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/backend.h"
#include "arch/x86/host/oneshot.h"
#include "lib/log.h"
#include "lib/string.h"

struct switch_figures figures;
static uint64_t recalibrations;

#define RUNS         32
#define TIMER_RUNS   8
#define TIMER_COUNTS 16
#define LOOP_ROUNDS  (1u << 24) /* far longer than the timer is set for, on an emulator in real time too */
#define TAIL         8          /* one run in so many may be an outlier (an SMI) that the spread leaves out */
#define NOPS         1000
#define EVENT_PROBES 16
#define CALIBRATION  0 /* the number of its address space */

#define GPA_VECTORS    0x0000u /* interrupt vector table, its last entries unused */
#define GPA_CODE       0x1000u
#define GPA_UNMAPPED   0x8000u
#define HANDLER        0x0F00u /* offset in the code page */
#define HANDLER_VECTOR 0x20

#define RFLAGS_TF BIT64(8)
#define RFLAGS_IF BIT64(9)

static struct vcpu vcpu;
static struct nested nested;
static uint8_t *code;
static uint64_t total;   /* T1 - T0 of the last run */
static uint64_t reading; /* EDX:EAX of the guest after it */
static int64_t rdtsc_cost, no_op_cost;

static const uint8_t rdtsc_exit[] = {0x0F, 0x31, 0x0F, 0xA2};                   /* RDTSC; CPUID */
static const uint8_t rdtsc_rdtsc_exit[] = {0x0F, 0x31, 0x0F, 0x31, 0x0F, 0xA2}; /* RDTSC; RDTSC; CPUID */
static const uint8_t rdtsc_ud2[] = {0x0F, 0x31, 0x0F, 0x0B};                    /* RDTSC; UD2 */
static const uint8_t rdtsc_load[] = {0x0F, 0x31, 0xA0, 0x00, 0x80};             /* RDTSC; MOV AL, [8000h] */
static const uint8_t rdtsc_int[] = {0x0F, 0x31, 0xCD, HANDLER_VECTOR};          /* RDTSC; INT 20h */
static const uint8_t rdtsc_loop[] = {0x0F, 0x31, 0x67, 0xE2, 0xFB, 0x0F, 0xA2}; /* L: RDTSC; LOOP L by ECX; CPUID */
static const uint8_t only_exit[] = {0x0F, 0xA2};
static const uint8_t no_ops[] = {0x90, 0x90, 0x90, 0x90};

static void build_guest(void)
{
    uint8_t *vectors = phys_alloc_own(PAGE_SIZE);
    const uint16_t handler[2] = {HANDLER, GPA_CODE >> 4};

    code = phys_alloc_own(PAGE_SIZE);
    nested_init(&nested, CALIBRATION);
    nested_map(&nested, GPA_VECTORS, virt_to_phys(vectors), PAGE_SIZE, true);
    nested_map(&nested, GPA_CODE, virt_to_phys(code), PAGE_SIZE, true);
    memcpy(vectors + HANDLER_VECTOR * 4, handler, sizeof handler);
    vcpu_create(&vcpu, &nested);
}

static void load_program(const uint8_t *program, size_t length)
{
    memset(code, 0x90, PAGE_SIZE);
    memcpy(code, program, length);
    memcpy(code + HANDLER, rdtsc_exit, sizeof rdtsc_exit);
}

#define LOAD(program) load_program(program, sizeof(program))

/* Prepares runs from offset 0 of the code page with the stack in page 0. */
static void prepare(const struct bare_setting *setting)
{
    struct vcpu_control control;

    vcpu_reset(&vcpu);
    vcpu_get_control(&vcpu, &control);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        control.segments[i] = (struct vcpu_segment){0, 0xFFFF, 0, 0x93};
    control.segments[SEGMENT_CS] = (struct vcpu_segment){GPA_CODE, 0xFFFF, GPA_CODE >> 4, 0x9B};
    control.segments[SEGMENT_TR].attributes = 0x8B;
    control.segments[SEGMENT_LDTR].attributes = 0x82;
    control.idtr.limit = 0x3FF;
    vcpu_set_control(&vcpu, &control);
    cpu_backend.bare_set(&vcpu, setting);
}

/* One run; again after another one: only what the guest itself has changed is written. */
static void run(const struct bare_setting *setting, uint32_t arm_count)
{
    *vcpu.rip = 0;
    *vcpu.gpr[REG_RSP] = setting->sp;
    *vcpu.gpr[REG_RCX] = LOOP_ROUNDS;
    *vcpu.rflags = setting->rflags | 2;
    total = cpu_backend.bare_run(&vcpu, setting, arm_count);
    reading = *vcpu.gpr[REG_RDX] << 32 | (*vcpu.gpr[REG_RAX] & 0xFFFFFFFF);
}

/* What a kind of run yields, given what it read. */
typedef int64_t yield(void);

static int64_t yield_reading(void)
{
    return (int64_t)reading;
}

/* T1 less the guest's last reading less what that RDTSC cost: X. */
static int64_t yield_exit(void)
{
    return (int64_t)(total - reading) - rdtsc_cost;
}

static int64_t yield_total(void)
{
    return (int64_t)total;
}

static void insert_sorted(int64_t *values, unsigned count, int64_t value)
{
    for (; count && values[count - 1] > value; count--)
        values[count] = values[count - 1];
    values[count] = value;
}

/* How far sorted values lie apart but for outliers; 0 only if all are the same. */
static uint64_t spread_of(const int64_t *values, unsigned count)
{
    uint64_t usual = (uint64_t)(values[count - 1 - count / TAIL] - values[0]);

    return values[count - 1] == values[0] ? 0 : MAX(usual, UINT64_C(1));
}

static int64_t measure(const struct bare_setting *setting, yield *of)
{
    int64_t values[RUNS];

    prepare(setting);
    for (unsigned i = 0; i <= RUNS; i++) {
        run(setting, 0);
        if (i) /* the first one is cold */
            insert_sorted(values, i - 1, of());
    }
    figures.spread = MAX(figures.spread, spread_of(values, RUNS));
    return values[0];
}

static const struct bare_setting plain = {.sp = 0x0F00};

static void measure_entry(void)
{
    const struct bare_setting inject = {
        .sp = 0x0F00, .rflags = RFLAGS_IF, .inject = true, .vector = HANDLER_VECTOR};
    const struct bare_setting cold = {.sp = 0x0F00, .cold = true};

    LOAD(rdtsc_exit);
    figures.entry[0] = measure(&plain, yield_reading);
    figures.entry[1] = measure(&inject, yield_reading);
    figures.cold = measure(&cold, yield_reading) - figures.entry[0];
    LOAD(rdtsc_rdtsc_exit);
    rdtsc_cost = measure(&plain, yield_reading) - figures.entry[0];
}

static void measure_exits(void)
{
    const struct bare_setting undefined = {.sp = 0x0F00, .exceptions = BIT(6)};
    const struct bare_setting no_stack = {.sp = GPA_UNMAPPED};
    const struct bare_setting window = {.sp = 0x0F00, .rflags = RFLAGS_IF, .window = true};
    const struct bare_setting step = {.sp = 0x0F00, .rflags = RFLAGS_TF};

    LOAD(rdtsc_exit);
    figures.exit[CLASS_INSTRUCTION] = measure(&plain, yield_exit);
    LOAD(rdtsc_ud2);
    figures.exit[CLASS_SOFTWARE] = measure(&undefined, yield_exit);
    LOAD(rdtsc_load);
    figures.exit[CLASS_MEMORY] = measure(&plain, yield_exit);
    LOAD(rdtsc_int);
    figures.exit[CLASS_MEMORY_SOFT] = measure(&no_stack, yield_exit);
    LOAD(no_ops);
    figures.exit[CLASS_WINDOW] = measure(&window, yield_total) - figures.entry[0];
    if (vcpu.exit.kind != EXIT_WINDOW) /* Bochs 2.7 opens none where IF is set already */
        figures.exit[CLASS_WINDOW] = figures.exit[CLASS_INSTRUCTION];

    memset(code, 0x90, HANDLER);
    memcpy(code + NOPS, only_exit, sizeof only_exit);
    no_op_cost = (measure(&plain, yield_total) - figures.entry[0] - figures.exit[CLASS_INSTRUCTION]) / NOPS;
    figures.exit[CLASS_STEP] = measure(&step, yield_total) - figures.entry[0] - no_op_cost;
}

/* The interrupt shadow that an entry asks for must hold off the window by one instruction. */
static void probe_shadow(void)
{
    const struct bare_setting shadow = {.sp = 0x0F00, .rflags = RFLAGS_IF, .window = true, .shadow = true};

    LOAD(no_ops);
    prepare(&shadow);
    run(&shadow, 0);
    figures.shadow_lost = vcpu.exit.kind == EXIT_WINDOW && *vcpu.rip == 0;
}

/* An injected interrupt must be delivered once, also when a host timer expires within its handler: tried on
 * each of its first instructions. */
static void probe_event(void)
{
    const struct bare_setting inject = {
        .sp = 0x0F00, .rflags = RFLAGS_IF, .inject = true, .vector = HANDLER_VECTOR};
    const uint16_t frame = 6;

    memset(code, 0x90, PAGE_SIZE);
    prepare(&inject);
    for (uint64_t extra = 0; extra < EVENT_PROBES; extra++) {
        run(&inject, oneshot_count(host_oneshot.distance + extra));
        if (*vcpu.gpr[REG_RSP] == inject.sp - 2u * frame)
            figures.event_repeats = true;
    }
}

static const struct bare_setting interruptible = {.sp = 0x0F00, .rflags = RFLAGS_IF};

static bool timer_run(uint64_t cycles)
{
    run(&interruptible, oneshot_count(cycles));
    return vcpu.exit.kind == EXIT_HOST_INTERRUPT;
}

/* X of a host interrupt: of the runs that ended right behind the loop's RDTSC (RIP on the LOOP) all that the
 * guest consumed is known. */
static bool measure_interrupt_exit(uint64_t base_cycles)
{
    int64_t least = INT64_MAX;

    for (unsigned i = 0; i < TIMER_COUNTS * TIMER_RUNS; i++) {
        if (!timer_run(base_cycles + i % TIMER_COUNTS))
            return false;
        if (*vcpu.rip == 2)
            least = MIN(least, yield_exit());
    }
    figures.exit[CLASS_INTERRUPT] = least == INT64_MAX ? figures.exit[CLASS_INSTRUCTION] : least;
    return true;
}

/* The timer's distance. Counts of neighbouring values, so that a clock of coarser grain shows its true edge.
 */
static bool measure_distance(uint64_t base_cycles)
{
    int64_t distance = INT64_MIN;
    uint64_t jitter = 0;

    for (unsigned extra = 0; extra < TIMER_COUNTS; extra++) {
        int64_t totals[TIMER_RUNS];

        for (unsigned i = 0; i < TIMER_RUNS; i++) {
            if (!timer_run(base_cycles + extra))
                return false;
            insert_sorted(totals, i, (int64_t)total);
        }
        int64_t usual_most = totals[TIMER_RUNS - 1 - TIMER_RUNS / TAIL];
        int64_t consumed = usual_most - figures.entry[0] - figures.exit[CLASS_INTERRUPT];

        jitter = MAX(jitter, spread_of(totals, TIMER_RUNS));
        distance = MAX(distance, (int64_t)(base_cycles + extra) - consumed);
    }
    figures.spread = MAX(figures.spread, jitter);
    host_oneshot.distance = distance > (int64_t)jitter ? (uint64_t)distance - jitter : 0;
    return true;
}

/* False: the timer counts, and ends no run of millions of instructions. */
static bool measure_timer(uint64_t base_cycles)
{
    LOAD(rdtsc_loop);
    prepare(&interruptible);
    if (measure_interrupt_exit(base_cycles) && measure_distance(base_cycles))
        return true;
    log_error("the local APIC's timer does not interrupt: Verge can't end a guest's run");
    return false;
}

/* 0, 1 and 1,000 NOPs must come out as so many times one NOP; where there is a spread, what 0 NOPs miss is
 * part of it. */
static bool check(void)
{
    static const unsigned counts[] = {0, 1, NOPS};
    int64_t cycles[ARRAY_SIZE(counts)];

    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        memset(code, 0x90, HANDLER);
        memcpy(code + counts[i], only_exit, sizeof only_exit);
        cycles[i] = measure(&plain, yield_total) - figures.entry[0] - figures.exit[CLASS_INSTRUCTION];
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

bool calibrate(void)
{
    build_guest();
    measure_entry();
    measure_exits();
    if (!measure_timer(host_tsc_hz() / 100000)) /* 10 us */
        return false;
    probe_shadow();
    probe_event();
    log_debug("calibration: E %lld/%lld X insn %lld soft %lld intr %lld window %lld npf %lld npf-soft %lld "
              "step %lld rdtsc %lld distance %llu%s",
              (long long)figures.entry[0], (long long)figures.entry[1],
              (long long)figures.exit[CLASS_INSTRUCTION], (long long)figures.exit[CLASS_SOFTWARE],
              (long long)figures.exit[CLASS_INTERRUPT], (long long)figures.exit[CLASS_WINDOW],
              (long long)figures.exit[CLASS_MEMORY], (long long)figures.exit[CLASS_MEMORY_SOFT],
              (long long)figures.exit[CLASS_STEP], (long long)rdtsc_cost,
              (unsigned long long)host_oneshot.distance, figures.event_repeats ? "; events may repeat" : "");
    return check();
}

void figures_account(struct exit *exit, enum exit_class class, int64_t entry_cost, bool inject, bool telling)
{
    int64_t overhead = entry_cost + figures.exit[class];
    uint64_t run_total = exit->left - exit->entered;

    if ((int64_t)run_total < overhead) {
        if (telling) {
            figures.exit[class] = MIN(figures.exit[class], (int64_t)run_total - figures.entry[inject]);
            recalibrations++;
        }
        overhead = (int64_t)run_total;
    }
    exit->overhead = (uint64_t)overhead;
    exit->consumed = run_total - (uint64_t)overhead;
}

static struct switch_costs public_costs;

const struct switch_costs *vcpu_switch_costs(void)
{
    public_costs = (struct switch_costs){.entry = (uint64_t)figures.entry[0],
                                         .entry_inject = (uint64_t)figures.entry[1],
                                         .exit_instruction = (uint64_t)figures.exit[CLASS_INSTRUCTION],
                                         .instruction = (uint64_t)MAX(no_op_cost, INT64_C(1)),
                                         .spread = figures.spread,
                                         .timer_ticks_per_second = host_oneshot.ticks_hz};
    return &public_costs;
}

uint64_t vcpu_recalibrations(void)
{
    return recalibrations;
}
