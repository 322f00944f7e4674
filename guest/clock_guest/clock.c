/*
 * The clock guest, built into Verge and run when no other guest is given. A PIT tick at hz= (1000) wakes it
 * from HLT; each guest second it prints its ticks, TSC and RTC and where the ticks landed: the handler's TSC
 * less the cycle on which the tick was due. For ever, or with seconds=N to the summary line that `run-qemu.sh
 * --demo` reads, and exit code 0.
 *
 * Stands on tests/guests/lib alone. All times are TSC cycles. A line leaves in pieces right behind a tick, so
 * that the guest is back in HLT before the next: no access to the UART is ever in flight when a tick falls
 * due.
 */
#include "tests/guests/lib/grid.h"
#include "tests/guests/lib/pit.h"
#include "tests/guests/lib/rtc.h"

#define COM1           0x3F8
#define LSR_THRE       0x20
#define CHARS_PER_TICK 40u

enum { LAND_EXACT, LAND_1US, LAND_10US, LAND_100US, LAND_1MS, LAND_LATER, LAND_KINDS };

struct clock_guest {
    struct grid grid;
    uint64_t
        first_edge; /* PIT edge at which the count loaded: tick i is due at edge first_edge + i * count */
    uint32_t count;
    uint64_t last_tick; /* index of the last tick due by the last handler's time */
    uint64_t ticks, lost, doubled, within_1pct;
    uint64_t error_min, error_max, error_sum;
    uint64_t lands[LAND_KINDS];
    uint64_t second;
    char line[256];
    size_t line_length, line_sent;
};

static struct clock_guest clock_state;
static uint64_t record[64];

static void count_landing(struct clock_guest *c, uint64_t late)
{
    uint64_t microsecond = c->grid.f / 1000000;
    if (!microsecond)
        microsecond = 1;
    unsigned kind = LAND_EXACT;
    if (late)
        for (kind = LAND_1US; kind < LAND_LATER && late >= microsecond; kind++)
            microsecond *= 10;
    c->lands[kind]++;
}

/* A tick's error counts from the oldest tick that has not been delivered yet: merged ticks don't hide how
 * late they were. */
static void on_tick(struct clock_guest *c, uint64_t tsc)
{
    uint64_t edges = grid_edges_by(&c->grid, tsc);
    uint64_t index = edges > c->first_edge ? (edges - c->first_edge) / c->count : 0;
    c->ticks++;
    if (index <= c->last_tick) {
        c->doubled++;
        return;
    }
    c->lost += index - c->last_tick - 1;
    uint64_t due = grid_edge(&c->grid, c->first_edge + (c->last_tick + 1) * c->count);
    uint64_t error = tsc > due ? tsc - due : 0;
    c->last_tick = index;
    if (error < c->error_min)
        c->error_min = error;
    if (error > c->error_max)
        c->error_max = error;
    c->error_sum += error;
    uint64_t late = error - c->error_min;
    count_landing(c, late);
    if (late * 100 <= wide_divide(wide_multiply(c->count, c->grid.f) * 11, 13125000))
        c->within_1pct++;
}

static void format_second(struct clock_guest *c, uint64_t tsc)
{
    static const char *const names[LAND_KINDS] = {"exact", "<1us", "<10us", "<100us", "<1ms", "later"};
    char *line = c->line;
    size_t room = sizeof c->line;
    c->line_sent = 0;
    c->line_length =
        format_text(line, room, "clock s=%lu pit=%lu tsc=%lu rtc=%02u:%02u:%02u", c->second, c->last_tick,
                    tsc, rtc_time(RTC_HOURS), rtc_time(RTC_MINUTES), rtc_time(RTC_SECONDS));
    for (unsigned i = 0; i < LAND_KINDS; i++)
        if (c->lands[i] || i == LAND_EXACT)
            c->line_length +=
                format_text(line + c->line_length, room - c->line_length, " %s:%lu", names[i], c->lands[i]);
    if (c->lost)
        c->line_length += format_text(line + c->line_length, room - c->line_length, " lost:%lu", c->lost);
    c->line_length += format_text(line + c->line_length, room - c->line_length, "\r\n");
    for (unsigned i = 0; i < LAND_KINDS; i++)
        c->lands[i] = 0;
}

static void send_some(struct clock_guest *c)
{
    for (unsigned n = 0; n < CHARS_PER_TICK && c->line_sent < c->line_length && (in8(COM1 + 5) & LSR_THRE);
         n++)
        out8(COM1, (uint8_t)c->line[c->line_sent++]);
}

static void summary(const struct clock_guest *c)
{
    uint64_t mean = c->ticks ? c->error_sum / c->ticks - c->error_min : 0;
    uint64_t due = c->last_tick ? c->last_tick : 1, hundredths = c->within_1pct * 10000 / due;
    print("demo ticks=%lu max_error_cycles=%lu mean=%lu within1pct=%lu.%02lu due=%lu lost=%lu doubled=%lu "
          "constant=%lu\n",
          c->ticks, c->error_max - c->error_min, mean, hundredths / 100, hundredths % 100, c->last_tick,
          c->lost, c->doubled, c->error_min);
}

static void start(struct clock_guest *c)
{
    grid_start(&c->grid);
    c->error_min = UINT64_MAX;
    c->count = pit_count_for(word_thousandths("hz", 1000000));
    pit_control(0, 2);
    pic_start();
    pic_unmask(0);
    irq0_record(record, ARRAY_LENGTH(record));
    uint64_t end = pit_count(0, c->count);
    c->first_edge = grid_loaded(&c->grid, end);
    if (c->grid.kind == GRID_QEMU)
        c->first_edge += grid_rise_delay(&c->grid, 2);
    c->second = end / c->grid.f;
}

bool guest_run(void)
{
    struct clock_guest *c = &clock_state;
    uint64_t seconds = word_number("seconds", 0), done = 0;
    print("clock guest: PIT ticks, TSC and RTC of guest time, each second; where the ticks landed\n");
    start(c);
    while (!seconds || done < seconds || c->line_sent < c->line_length) {
        wait_for_interrupt();
        interrupts_off();
        uint64_t taken = (uint64_t)(irq0_next - record);
        for (uint64_t i = 0; i < taken; i++)
            on_tick(c, record[i]);
        irq0_record(record, ARRAY_LENGTH(record));
        uint64_t now = rdtsc();
        if (now / c->grid.f != c->second && c->line_sent == c->line_length) {
            c->second = now / c->grid.f;
            done++;
            format_second(c, now);
        }
        send_some(c);
    }
    pic_mask_all();
    summary(c);
    return true;
}
