/*
 * RDTSC in a tight loop: it never goes back and shows no gap that the guest's own instructions and charges
 * don't explain. The loop has no branch that depends on time, so the gaps must be one value; with a tick
 * running (hz=), two: with and without a handler in it. with=none|port|cpuid: what else the loop does.
 */
#include "tests/guests/lib/pit.h"
#include "tests/guests/lib/spread.h"
#include "tests/guests/timing/timing.h"

void tsc_series_plain(uint64_t *to, uint64_t count); /* loads.asm */
void tsc_series_port(uint64_t *to, uint64_t count);
void tsc_series_cpuid(uint64_t *to, uint64_t count);

static struct spread gaps;

bool test_continuity(void)
{
    uint64_t count = word_number("count", 1000000), *series = buffer_start(),
             millihertz = word_thousandths("hz", 0);
    uint64_t slack = word_number("slack", 0);
    if (count < 2 || count > buffer_words())
        guest_fail("count=: does not fit the memory");
    if (millihertz) {
        pit_control(0, 2);
        pic_start();
        pic_unmask(0);
        irq0_record(NULL, 0);
        pit_count(0, pit_count_for(millihertz));
        interrupts_on();
    }
    mark(1);
    if (word_is("with", "port"))
        tsc_series_port(series, count);
    else if (word_is("with", "cpuid"))
        tsc_series_cpuid(series, count);
    else
        tsc_series_plain(series, count);
    mark(2);
    interrupts_off();
    uint64_t ticks = irq0_count, back = 0, long_gaps = 0;
    pic_mask_all();
    for (uint64_t i = 1; i < count; i++) {
        if (series[i] <= series[i - 1])
            back++;
        spread_add(&gaps, (int64_t)(series[i] - series[i - 1]));
    }
    for (uint64_t i = 1; i < count; i++)
        if (series[i] - series[i - 1] > (uint64_t)gaps.min + slack)
            long_gaps++;
    uint64_t shortest_handler = 0, longest_handler = 0; /* gaps with a handler in them */
    for (unsigned i = 0; i < SPREAD_VALUES && gaps.times[i]; i++) {
        uint64_t beyond = (uint64_t)(gaps.value[i] - gaps.min);
        if (beyond <= slack)
            continue;
        if (!shortest_handler || beyond < shortest_handler)
            shortest_handler = beyond;
        if (beyond > longest_handler)
            longest_handler = beyond;
    }
    spread_print("gap", &gaps);
    print("continuity readings=%lu ticks=%lu back=%lu long_gaps=%lu handler=%lu..%lu crc=%08x\n", count,
          ticks, back, long_gaps, shortest_handler, longest_handler, crc32_words(0, series, count));
    bool good = !back && long_gaps <= ticks && ticks - long_gaps <= 2 &&
                longest_handler - shortest_handler <= 2 * slack && !gaps.others;
    print("RESULT %s continuity largest_gap=%ld\n", good ? "PASS" : "FAIL", gaps.max);
    return good;
}
