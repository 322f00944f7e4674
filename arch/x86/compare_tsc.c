/* The TSCs of two CPUs, by readings that one takes between two of the other's. Contract: compare_tsc.h. */
#include "arch/x86/compare_tsc.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/asm.h"
#include "arch/x86/seats.h"
#include "lib/log.h"

#define TSC_ROUNDS 16u

static struct {
    uint64_t asked, answer; /* TSC readings; 0: not yet */
} tsc_exchange;

/* Until it isn't 0. */
static uint64_t await_reading(const uint64_t *reading)
{
    uint64_t start = rdtsc(), value;

    while (!(value = __atomic_load_n(reading, __ATOMIC_ACQUIRE))) {
        if (rdtsc() - start > seats_cycles_of(SEATS_PATIENCE_US))
            panic("a CPU that was started does not come back");
        cpu_relax();
    }
    return value;
}

static void answer_with_tsc(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < TSC_ROUNDS; i++) {
        await_reading(&tsc_exchange.asked);
        tsc_exchange.asked = 0;
        __atomic_store_n(&tsc_exchange.answer, rdtsc_ordered(), __ATOMIC_RELEASE);
    }
}

/* Its reading lies between two of ours: the round that took least says most. */
struct tsc_offset compare_tsc(unsigned id)
{
    struct tsc_offset offset = {.within = UINT64_MAX};

    cpus_begin(id, answer_with_tsc, NULL);
    for (unsigned i = 0; i < TSC_ROUNDS; i++) {
        uint64_t before = rdtsc_ordered();

        __atomic_store_n(&tsc_exchange.asked, before, __ATOMIC_RELEASE);
        uint64_t answer = await_reading(&tsc_exchange.answer), after = rdtsc_ordered();
        uint64_t half = (after - before + 1) / 2;
        tsc_exchange.answer = 0;
        if (half < offset.within)
            offset = (struct tsc_offset){(int64_t)(answer - before - half), half};
    }
    seats_await_job(id);
    return offset;
}

void compare_tsc_show(unsigned id, const struct tsc_offset *offset)
{
    uint64_t off = (uint64_t)(offset->ahead < 0 ? -offset->ahead : offset->ahead);

    if (off <= offset->within)
        log_info("cpu%u: its TSC agrees with cpu0's within %'llu cycles", id,
                 (unsigned long long)offset->within);
    else
        log_warning("cpu%u: its TSC is %'llu cycles %s cpu0's (within %'llu): times in the log of what it "
                    "does are off by as much; guests' clocks are not",
                    id, (unsigned long long)off, offset->ahead < 0 ? "behind" : "ahead of",
                    (unsigned long long)offset->within);
}

bool compare_tsc_same_rate(unsigned id, const struct tsc_offset *first)
{
    struct tsc_offset now = compare_tsc(id);
    int64_t drift = now.ahead - first->ahead;
    uint64_t most = now.within + first->within;

    if (drift <= (int64_t)most && -drift <= (int64_t)most)
        return true;
    log_warning("cpu%u: its TSC drifts from cpu0's: guests' clocks would be wrong on it", id);
    return false;
}
