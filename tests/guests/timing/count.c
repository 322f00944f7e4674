/* Known numbers of instructions (count), endless guests (spin, busy) and their marks for the host side. */
#include "tests/guests/lib/pit.h"
#include "tests/guests/timing/timing.h"

#define COUNTED_FIXED 3 /* instructions of counted_loop outside its loop, between the readings */

/* `count rounds=N`: TSC cycles against instructions. per=8 for icount shift=3. */
bool test_count(void)
{
    uint64_t rounds = word_number("rounds", 1000000), per = word_number("per", 1), before = 0;
    if (!rounds)
        guest_fail("rounds=: at least 1");
    mark(1);
    uint64_t after = counted_loop(rounds, &before);
    mark(2);
    uint64_t instructions = COUNTED_FIXED + 2 * rounds, delta = after - before;
    print("count start_tsc=%lu tsc_delta=%lu instructions=%lu\n", before, delta, instructions);
    bool good = delta == instructions * per;
    print("RESULT %s count difference=%ld\n", good ? "PASS" : "FAIL", (int64_t)(delta - instructions * per));
    return good;
}

/* Sleeps that many ticks of 1000 Hz. */
static void sleep_ticks(uint64_t ticks)
{
    pit_control(0, 2);
    pic_start();
    pic_unmask(0);
    irq0_record(NULL, 0);
    pit_count(0, pit_count_for(1000000));
    load_halt(&irq0_count, ticks);
    interrupts_off();
    pic_mask_all();
}

/* `spin [seconds=N] [after=MS]`: nothing but a loop; without seconds, for ever. */
bool test_spin(void)
{
    if (word_number("after", 0))
        sleep_ticks(word_number("after", 0));
    uint64_t seconds = word_number("seconds", 0), start = rdtsc(), length = seconds * tsc_hz();
    print("spin seconds=%lu\n", seconds);
    while (!seconds || rdtsc() - start < length) {
        uint64_t dummy;
        counted_loop(1000000, &dummy);
    }
    print("RESULT PASS spin\n");
    return true;
}

/* `busy [rounds=N] [seed=N]`: heavy on exits, with a 100 Hz tick to wake it; without rounds, for ever. */
bool test_busy(void)
{
    uint64_t rounds = word_number("rounds", 0), seed = word_number("seed", 7), cpuids = 0, ports = 0,
             halts = 0;
    print("busy rounds=%lu\n", rounds);
    out8(0x43, 0x34);
    out8(0x40, (uint8_t)11932);
    out8(0x40, 11932 >> 8);
    pic_start();
    pic_unmask(0);
    irq0_record(NULL, 0);
    for (uint64_t i = 0; !rounds || i < rounds; i++) {
        uint64_t draw = random_next(&seed);
        uint32_t r[4], times = (uint32_t)(draw >> 8 & 63);
        interrupts_on();
        for (uint32_t k = 0; k < times; k++)
            cpuid((uint32_t)draw & 7, r), cpuids++;
        for (uint32_t k = 0; k < (draw >> 16 & 63); k++)
            in8(draw >> 24 & 1 ? 0x61 : 0x40), ports++;
        if ((draw >> 32 & 63) == 0)
            wait_for_interrupt(), halts++;
    }
    interrupts_off();
    pic_mask_all();
    print("busy cpuids=%lu ports=%lu halts=%lu ticks=%lu\n", cpuids, ports, halts, irq0_count);
    print("RESULT PASS busy\n");
    return true;
}
