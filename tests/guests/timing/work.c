/*
 * Work done in a fixed window of TSC cycles with a tick running: the loop's rounds must come out the same, to
 * the digit, on bare QEMU and under Verge with charge=1. The window begins behind a halt that the first tick
 * ended and holds `ticks` ticks and a half, so that the slightly different PIT rates of the two give the same
 * number of ticks in it.
 */
#include "tests/guests/lib/grid.h"
#include "tests/guests/lib/pit.h"
#include "tests/guests/timing/timing.h"

uint64_t work_window(uint64_t start_tsc, uint64_t end_tsc, uint64_t *last_tsc); /* loads.asm */

bool test_work(void)
{
    uint64_t ticks = word_number("ticks", 1000), f = tsc_hz(), last = 0;
    uint32_t count = pit_count_for(word_thousandths("hz", 1000000));
    uint64_t window = wide_divide(wide_multiply(count, f) * 11 * (2 * ticks + 1), 2 * 13125000u);
    uint64_t charge = port_charge();
    pit_control(0, 2);
    pic_start();
    pic_unmask(0);
    irq0_record(NULL, 0);
    pit_count(0, count);
    load_halt(&irq0_count, 1);
    uint64_t start = rdtsc();
    uint64_t rounds = work_window(start, start + window, &last);
    interrupts_off();
    uint64_t taken = irq0_count - 1;
    pic_mask_all();
    print("work port_charge=%lu window=%lu ticks=%lu\n", charge, window, taken);
    print("work iterations=%lu beyond_window=%lu\n", rounds, last - start - window);
    bool good = taken == ticks && !stray_irqs;
    print("RESULT %s work\n", good ? "PASS" : "FAIL");
    return good;
}
