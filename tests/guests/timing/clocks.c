/*
 * All clocks against the TSC over `seconds=` guest seconds, with HLT between the samples: latched PIT
 * channels 0 and 2 and the PM timer, each read against RDTSC right behind the access, within one tick of
 * theirs; the RTC by its update-ended interrupt (IRQ 8), to the cycle, and by its seconds register. With
 * grid=qemu the phases are taken from the first sample, as bare QEMU's are its own.
 */
#include "tests/guests/lib/grid.h"
#include "tests/guests/lib/pit.h"
#include "tests/guests/lib/rtc.h"
#include "tests/guests/lib/spread.h"
#include "tests/guests/timing/timing.h"

#define PM_TIMER_PORT           0x608
#define PM_TIMER_HZ_NUMERATOR   39375000u /* three times the PIT's CLK: 39,375,000/11 Hz */
#define PM_TIMER_HZ_DENOMINATOR 11u
#define QEMU_PM_TIMER_HZ        3579545u
#define PM_TIMER_MASK           0xFFFFFFu
#define CLEAR_OF_SECOND_NS                                                                                   \
    2000000u /* no sample in the last 2 ms of a second: IRQ 8 must find the guest halted */

struct clocks_test {
    struct grid grid[3];    /* by channel */
    uint64_t loaded[3];     /* the edge at which the channel's count loaded */
    struct spread error[3]; /* ticks */
    struct spread pm_error, rtc_error;
    uint64_t pm_first_tsc, samples, skipped, near_irq0, wrong_seconds, rtc_first_tsc;
    uint32_t pm_first;
    uint32_t crc;
};

static struct clocks_test test;

static void start_channel(struct clocks_test *t, unsigned channel)
{
    grid_start(&t->grid[channel]);
    pit_control(channel, 2);
    t->loaded[channel] = grid_loaded(&t->grid[channel], pit_count(channel, PIT_MAX_COUNT));
}

static void sample_channel(struct clocks_test *t, unsigned channel)
{
    uint64_t tsc;
    uint32_t value = pit_latched(channel, &tsc);
    uint64_t ticks = grid_edges_by(&t->grid[channel], tsc) - t->loaded[channel];
    spread_add(&t->error[channel],
               (int16_t)(uint16_t)(value + ticks)); /* a counter from 65536 down: value = -ticks */
    uint64_t raw[2] = {tsc, value};
    t->crc = crc32_words(t->crc, raw, 2);
}

static void sample_pm(struct clocks_test *t)
{
    uint64_t tsc;
    uint32_t value = in32_end(PM_TIMER_PORT, &tsc) & PM_TIMER_MASK;
    const struct grid *grid = &t->grid[0];
    uint64_t ticks;
    if (grid->kind == GRID_QEMU) { /* its phase is not the TSC's */
        if (!t->samples)
            t->pm_first_tsc = tsc, t->pm_first = value;
        ticks = t->pm_first + wide_divide(wide_multiply(tsc - t->pm_first_tsc, QEMU_PM_TIMER_HZ), grid->f);
    } else {
        ticks = wide_divide(wide_multiply(tsc, PM_TIMER_HZ_NUMERATOR), grid->f * PM_TIMER_HZ_DENOMINATOR);
    }
    int64_t error = (int64_t)((value - (uint32_t)ticks) & PM_TIMER_MASK);
    if (error > (int64_t)(PM_TIMER_MASK / 2))
        error -= (int64_t)PM_TIMER_MASK + 1;
    spread_add(&t->pm_error, error);
    uint64_t raw[2] = {tsc, value};
    t->crc = crc32_words(t->crc, raw, 2);
}

static void on_second(struct clocks_test *t, uint64_t index, unsigned first_seconds)
{
    uint64_t tsc = irq8_tsc, f = t->grid[0].f;
    if (index == 0)
        t->rtc_first_tsc = t->grid[0].kind == GRID_QEMU ? tsc : tsc - tsc % f;
    if (tsc - irq0_tsc < 20000)
        t->near_irq0++; /* IRQ 0's handler held it up: no figure */
    else
        spread_add(&t->rtc_error, (int64_t)(tsc - t->rtc_first_tsc - index * f));
    if (rtc_time(RTC_SECONDS) != (first_seconds + index) % 60)
        t->wrong_seconds++;
    t->crc = crc32_words(t->crc, &tsc, 1);
}

static void run(struct clocks_test *t, uint64_t seconds)
{
    uint64_t ticks_seen = 0, seconds_seen = 0, seed = 3, dummy, f = t->grid[0].f;
    unsigned first_seconds = 0;
    while (seconds_seen < seconds) {
        wait_for_interrupt();
        interrupts_off();
        if (irq8_count != seconds_seen) {
            if (!seconds_seen)
                first_seconds = rtc_time(RTC_SECONDS);
            on_second(t, seconds_seen++, first_seconds);
        }
        if (irq0_count == ticks_seen)
            continue;
        ticks_seen = irq0_count;
        uint64_t into_second = rdtsc() - irq8_tsc;
        if (!seconds_seen ||
            into_second > f - wide_divide(wide_multiply(CLEAR_OF_SECOND_NS, f), 1000000000u)) {
            t->skipped++;
            continue;
        }
        counted_loop(1 + random_next(&seed) % 20000, &dummy);
        sample_channel(t, 0);
        sample_channel(t, 2);
        if (word_number("pm", 1))
            sample_pm(t);
        t->samples++;
    }
}

static bool within(const struct spread *spread, int64_t limit)
{
    return spread->min >= -limit && spread->max <= limit;
}

bool test_clocks(void)
{
    struct clocks_test *t = &test;
    uint64_t seconds = word_number("seconds", 10) + 1, slack = word_number("slack", 0);
    out8(0x61, (uint8_t)((in8(0x61) & 0xFC) | 1)); /* gate 2 on, speaker off */
    start_channel(t, 0);
    start_channel(t, 2);
    pic_start();
    irq0_record(NULL, 0);
    irq8_record(NULL, 0);
    rtc_update_interrupts(true);
    pic_unmask(0);
    pic_unmask(8);
    run(t, seconds);
    pic_mask_all();
    rtc_update_interrupts(false);
    spread_print("pit0_ticks", &t->error[0]);
    spread_print("pit2_ticks", &t->error[2]);
    if (t->pm_error.count)
        spread_print("pm_ticks", &t->pm_error);
    spread_print("rtc_cycles", &t->rtc_error);
    print("clocks seconds=%lu samples=%lu skipped=%lu near_irq0=%lu wrong_seconds=%lu flags=%lx crc=%08x\n",
          seconds - 1, t->samples, t->skipped, t->near_irq0, t->wrong_seconds, irq8_flags, t->crc);
    bool good = within(&t->error[0], 1) && within(&t->error[2], 1) && within(&t->pm_error, 1) &&
                !t->wrong_seconds && !stray_irqs && t->samples && t->rtc_error.count &&
                spread_width(&t->rtc_error) <= slack;
    print("RESULT %s clocks\n", good ? "PASS" : "FAIL");
    return good;
}
