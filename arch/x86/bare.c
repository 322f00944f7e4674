/* The bare guest; the contract is in bare.h. */
#include "arch/x86/bare.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "lib/string.h"

#define TAIL        8 /* one run in so many may be an outlier */
#define CALIBRATION 0 /* the number of its address space */

#define GPA_VECTORS 0x0000u /* interrupt vector table, its last entries unused */
#define GPA_CODE    0x1000u

PER_CPU struct vcpu bare_vcpu;
PER_CPU uint64_t bare_total, bare_reading;

static PER_CPU struct nested nested;
static PER_CPU uint8_t *code;

static const uint8_t rdtsc_exit[] = {0x0F, 0x31, 0x0F, 0xA2}; /* RDTSC; CPUID */
static const uint8_t only_exit[] = {0x0F, 0xA2};

void bare_create(void)
{
    uint8_t *vectors = phys_alloc_own(PAGE_SIZE);
    const uint16_t handler[2] = {BARE_HANDLER, GPA_CODE >> 4};

    code = phys_alloc_own(PAGE_SIZE);
    nested_init(&nested, CALIBRATION);
    nested_map(&nested, GPA_VECTORS, virt_to_phys(vectors), PAGE_SIZE, true);
    nested_map(&nested, GPA_CODE, virt_to_phys(code), PAGE_SIZE, true);
    memcpy(vectors + BARE_VECTOR * 4, handler, sizeof handler);
    vcpu_create(&bare_vcpu, &nested);
}

void bare_load(const uint8_t *program, size_t length)
{
    memset(code, 0x90, PAGE_SIZE);
    memcpy(code, program, length);
    memcpy(code + BARE_HANDLER, rdtsc_exit, sizeof rdtsc_exit);
}

void bare_load_nops(unsigned count)
{
    memset(code, 0x90, PAGE_SIZE);
    memcpy(code + count, only_exit, sizeof only_exit);
}

/* From offset 0 of the code page with the stack in page 0. */
void bare_prepare(const struct bare_setting *setting)
{
    struct vcpu_control control;

    vcpu_reset(&bare_vcpu);
    vcpu_get_control(&bare_vcpu, &control);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        control.segments[i] = (struct vcpu_segment){0, 0xFFFF, 0, 0x93};
    control.segments[SEGMENT_CS] = (struct vcpu_segment){GPA_CODE, 0xFFFF, GPA_CODE >> 4, 0x9B};
    control.segments[SEGMENT_TR].attributes = 0x8B;
    control.segments[SEGMENT_LDTR].attributes = 0x82;
    control.idtr.limit = 0x3FF;
    vcpu_set_control(&bare_vcpu, &control);
    cpu_backend.bare_set(&bare_vcpu, setting);
}

void bare_run(const struct bare_setting *setting)
{
    *bare_vcpu.rip = 0;
    *bare_vcpu.gpr[REG_RSP] = setting->sp;
    *bare_vcpu.gpr[REG_RCX] = setting->rounds ? setting->rounds : BARE_LOOP_ROUNDS;
    *bare_vcpu.rflags = setting->rflags | 2;
    bare_total = cpu_backend.bare_run(&bare_vcpu, setting);
    bare_reading = *bare_vcpu.gpr[REG_RDX] << 32 | (*bare_vcpu.gpr[REG_RAX] & 0xFFFFFFFF);
}

int64_t bare_yield_reading(void)
{
    return (int64_t)bare_reading;
}

int64_t bare_yield_total(void)
{
    return (int64_t)bare_total;
}

void insert_sorted(int64_t *values, unsigned count, int64_t value)
{
    for (; count && values[count - 1] > value; count--)
        values[count] = values[count - 1];
    values[count] = value;
}

uint64_t spread_of(const int64_t *values, unsigned count)
{
    uint64_t usual = (uint64_t)(values[count - 1 - count / TAIL] - values[0]);

    return values[count - 1] == values[0] ? 0 : MAX(usual, UINT64_C(1));
}

int64_t bare_measure(const struct bare_setting *setting, bare_yield *of)
{
    int64_t values[BARE_RUNS];

    bare_prepare(setting);
    for (unsigned i = 0; i <= BARE_RUNS; i++) {
        bare_run(setting);
        if (i) /* the first one is cold */
            insert_sorted(values, i - 1, of());
    }
    figures.spread = MAX(figures.spread, spread_of(values, BARE_RUNS));
    return values[0];
}
