/*
 * PIT interrupts against the grid: the TSC at the handler's entry less the edge where IRQ 0 rises must be one
 * constant, none lost, merged or doubled. Modes 2 and 3 at a rate (hz=), modes 0 and 4 with counts from a
 * fixed seed, under a load (load=). `slack=` is how much the figures may differ: 0 on a machine where one
 * instruction is one cycle; the charge of the instruction in flight under a load whose instructions are
 * charged; 7 with icount shift=3.
 */
#include "tests/guests/lib/grid.h"
#include "tests/guests/lib/pit.h"
#include "tests/guests/lib/spread.h"
#include "tests/guests/timing/timing.h"

struct pit_test {
    struct grid grid;
    unsigned mode;
    uint64_t events, slack;
    load_function *load;
    uint64_t *handler_tsc; /* one per event */
    uint64_t *end_tsc;     /* one-shots: when the count's write ended */
    struct spread error;
    uint64_t lost, doubled;
    uint32_t crc;
};

static struct pit_test test;

static void setup(struct pit_test *t)
{
    grid_start(&t->grid);
    t->mode = (unsigned)word_number("mode", 2);
    if (t->mode != 0 && t->mode != 2 && t->mode != 3 && t->mode != 4)
        guest_fail("mode=: 0, 2, 3 or 4");
    t->events = word_number("ticks", 200);
    t->slack = word_number("slack", t->grid.kind == GRID_QEMU ? 2 : 0);
    t->load = load_chosen();
    uint64_t room = buffer_words() / 2;
    if (!t->events || t->events > room)
        guest_fail("ticks=: too many for this memory");
    t->handler_tsc = buffer_start();
    t->end_tsc = buffer_start() + room;
    uint64_t charge = port_charge(), expected = word_number("charge", charge);
    print("pit f=%lu port_charge=%lu\n", t->grid.f, charge);
    if (charge != expected)
        guest_fail("a port access does not cost what charge= says");
}

/* The control word may raise OUT: that edge is taken back by the 8259's ICW1, before IRQ 0 is unmasked. */
static void program(const struct grid *grid, unsigned mode)
{
    pit_control(0, mode);
    pic_start();
    pic_unmask(0);
    if (grid->kind != GRID_QEMU)
        return;
    irq0_record(
        NULL,
        0); /* QEMU raises OUT at the count, and its ICW1 forgets that the line is high: let that tick pass */
    interrupts_on();
    if (mode == 3) {
        pit_count(0, PIT_MAX_COUNT);
        load_halt(&irq0_count, 1);
    }
    interrupts_off();
}

static void run_periodic(struct pit_test *t)
{
    uint32_t count = (uint32_t)word_number("count", pit_count_for(word_thousandths("hz", 1000000)));
    program(&t->grid, t->mode);
    irq0_record(t->handler_tsc, t->events);
    interrupts_on();
    uint64_t end = pit_count(0, count);
    t->load(&irq0_count, t->events);
    interrupts_off();
    uint64_t counted = irq0_count, now = rdtsc();
    pic_mask_all();

    uint64_t first = grid_loaded(&t->grid, end), last = 0;
    if (t->grid.kind == GRID_QEMU)
        first += grid_rise_delay(&t->grid, t->mode);
    t->end_tsc[0] = end;
    for (uint64_t i = 0; i < t->events; i++) {
        uint64_t tsc = t->handler_tsc[i], edges = grid_edges_by(&t->grid, tsc);
        uint64_t index = edges > first ? (edges - first) / count : 0; /* the last tick due by then */
        if (index <= last)
            t->doubled++;
        if (index > last + 1)
            t->lost += index - last - 1;
        last = index;
        spread_add(&t->error, (int64_t)(tsc - grid_edge(&t->grid, first + (i + 1) * count)));
    }
    uint64_t due = (grid_edges_by(&t->grid, now) - first) / count;
    if (due > counted)
        t->lost += due - counted; /* up to the moment when the line was masked */
    if (due < counted)
        t->doubled += counted - due;
    print("pit mode=%u count=%u ticks=%lu end_tsc=%lu first_edge=%lu\n", t->mode, count, t->events, end,
          first);
}

static void run_one_shots(struct pit_test *t)
{
    uint64_t seed = word_number("seed", 1), least = word_number("least", 1);
    uint64_t most = word_number("most", t->load == load_halt ? PIT_MAX_COUNT : 3000);
    if (least < 1 || most > PIT_MAX_COUNT || least > most)
        guest_fail("least=, most=: 1 to 65536");
    program(&t->grid, t->mode);
    irq0_record(t->handler_tsc, t->events);
    interrupts_on();
    for (uint64_t i = 0; i < t->events; i++) {
        uint64_t draw = random_next(&seed);
        uint32_t count = (uint32_t)(least + draw % (most - least + 1));
        if (i && draw >> 63)
            pit_control(0, t->mode); /* a count may be rewritten with or without a control word */
        uint64_t end = pit_count(0, count);
        t->load(&irq0_count, i + 1);
        t->end_tsc[i] = end;
        if (irq0_count != i + 1)
            t->doubled++;
        uint64_t rise = grid_loaded(&t->grid, end) + count + grid_rise_delay(&t->grid, t->mode);
        spread_add(&t->error, (int64_t)(t->handler_tsc[i] - grid_edge(&t->grid, rise)));
    }
    interrupts_off();
    pic_mask_all();
    t->crc = crc32_words(t->crc, t->end_tsc, t->events);
    print("pit mode=%u counts=%lu least=%lu most=%lu seed=%lu\n", t->mode, t->events, least, most,
          word_number("seed", 1));
}

static void dump(const struct pit_test *t, bool one_shot)
{
    for (uint64_t i = 0; i < t->events; i++)
        print("raw %lu %lu %lu\n", i, one_shot ? t->end_tsc[i] : 0, t->handler_tsc[i]);
}

bool test_pit(void)
{
    struct pit_test *t = &test;
    setup(t);
    bool one_shot = t->mode == 0 || t->mode == 4;
    mark(1);
    if (one_shot)
        run_one_shots(t);
    else
        run_periodic(t);
    mark(2);
    t->crc = crc32_words(t->crc, t->handler_tsc, t->events);
    uint64_t first = t->handler_tsc[0];
    uint32_t relative = 0;
    for (uint64_t i = 0; i < t->events; i++) {
        uint64_t since = t->handler_tsc[i] - first;
        relative = crc32_words(relative, &since, 1);
    }
    spread_print("error", &t->error);
    if (word_number("dump", 0))
        dump(t, one_shot);
    bool good =
        !t->lost && !t->doubled && !stray_irqs && t->error.min >= 0 && spread_width(&t->error) <= t->slack;
    print("pit lost=%lu doubled=%lu stray=%lu crc=%08x crc_relative=%08x\n", t->lost, t->doubled, stray_irqs,
          t->crc, relative);
    print("RESULT %s pit error=%ld..%ld slack=%lu\n", good ? "PASS" : "FAIL", t->error.min, t->error.max,
          t->slack);
    return good;
}
