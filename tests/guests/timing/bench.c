/*
 * Loops of one exit each (kind=, n=), with marks on port 80h for the host side: 10h + kind before, 80h + kind
 * after. Printed: the guest's own TSC cycles and its own instructions, so that the host can tell the rest
 * apart. kind=wake: one-shots taken out of a halt.
 */
#include "tests/guests/lib/grid.h"
#include "tests/guests/lib/pit.h"
#include "tests/guests/lib/spread.h"
#include "tests/guests/timing/timing.h"

typedef uint64_t bench_loop(uint64_t rounds, uint64_t *before_tsc); /* the TSC behind the loop */
bench_loop bench_none, bench_cpuid, bench_latch, bench_pit_read, bench_port61, bench_uart_status, bench_rdmsr,
    bench_mmio, bench_pm_timer;

static const struct {
    const char *name;
    bench_loop *run;
    uint64_t own; /* instructions per round beside the one that exits */
    uint64_t exits;
} kinds[] = {
    {"none", bench_none, 4, 0},         {"cpuid", bench_cpuid, 3, 1},
    {"latch", bench_latch, 3, 1},       {"pit_read", bench_pit_read, 3, 1},
    {"port61", bench_port61, 3, 1},     {"uart_status", bench_uart_status, 3, 1},
    {"rdmsr", bench_rdmsr, 3, 1},       {"mmio", bench_mmio, 3, 1},
    {"pm_timer", bench_pm_timer, 3, 1},
};

static void run_kind(size_t i, uint64_t rounds)
{
    uint64_t before = 0;
    out8(0x80, (uint8_t)(0x10 + i));
    uint64_t after = kinds[i].run(rounds, &before);
    out8(0x80, (uint8_t)(0x80 + i));
    print("bench kind=%s n=%lu mark=%02lx tsc_delta=%lu own_instructions=%lu exits=%lu\n", kinds[i].name,
          rounds, (unsigned long)i + 0x10, after - before, kinds[i].own * rounds, kinds[i].exits * rounds);
}

/* Handler time less the edge, for one-shots while halted; and what it is while spinning, to be taken off. */
static struct spread wake_spread(load_function *load, uint64_t rounds)
{
    struct spread result = {0};
    struct grid grid;
    uint64_t seed = 5, record = 0;
    grid_start(&grid);
    pit_control(0, 0);
    pic_start();
    pic_unmask(0);
    irq0_record(&record, 0);
    interrupts_on();
    for (uint64_t i = 0; i < rounds; i++) {
        uint32_t count = (uint32_t)(50 + random_next(&seed) % 3000);
        uint64_t end = pit_count(0, count);
        load(&irq0_count, i + 1);
        spread_add(&result, (int64_t)(irq0_tsc - grid_edge(&grid, grid_loaded(&grid, end) + count)));
    }
    interrupts_off();
    pic_mask_all();
    return result;
}

static void run_wake(uint64_t rounds)
{
    struct spread spinning = wake_spread(load_spin, rounds), halted = wake_spread(load_halt, rounds);
    print("bench kind=wake n=%lu spin_min=%ld spin_max=%ld halt_min=%ld halt_max=%ld wake_error=%ld\n",
          rounds, spinning.min, spinning.max, halted.min, halted.max, halted.max - spinning.min);
}

bool test_bench(void)
{
    uint64_t rounds = word_number("n", 1000);
    bool all = !word_text("kind") || word_is("kind", "all"), any = all;
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (!all && !word_is("kind", kinds[i].name))
            continue;
        run_kind(i, rounds);
        any = true;
    }
    if (all || word_is("kind", "wake")) {
        run_wake(rounds < 1000 ? rounds : 1000);
        any = true;
    }
    print("RESULT %s bench\n", any ? "PASS" : "FAIL");
    return any;
}
