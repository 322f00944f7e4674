/*
 * The 8254's bus side and clockwork; the contract is in i8254.h, the counters are in i8254_counter.c and
 * i8254_registers.c, where the choices that the datasheet leaves open are listed (1 to 10). Two more here:
 * 11. After reset the chip is as a PC's power-on self-test leaves it, written at the moment of the reset:
 *     channels 0 and 2 in mode 3 with count 65536, channel 1 in mode 2 with count 18. A guest that is loaded
 *     without a BIOS so has the usual 18.2 Hz on channel 0. Gates are inputs: a reset leaves them alone.
 * 12. Port 43h reads as FFh. Bit 0 of a read-back command is ignored.
 *
 * Left out: nothing that software can see. Units: guest cycles (`_cycles`), edges of the PIT grid (`_edge`).
 * Source: Intel 8254 Programmable Interval Timer (231164), "Control Word Format", "Counter Latch Command",
 * "Read-Back Command".
 */
#include "devices/i8254.h"

#define PORT_CONTROL 3u

#define CONTROL_RW           0x30u
#define CONTROL_SELECT_SHIFT 6
#define SELECT_READ_BACK     3u

#define READ_BACK_NO_COUNT         BIT(5)
#define READ_BACK_NO_STATUS        BIT(4)
#define READ_BACK_CHANNEL(channel) BIT(1 + (channel))

/* ---- time and OUT pins ---- */

static uint64_t edge_now(const struct i8254 *pit)
{
    return grid_edges(pit->grid, guest_clock_now(pit->clock));
}

/* Sets the deadline and the OUT pin from the counter's state. The line comes last: its sink may call back. */
static void publish(struct i8254 *pit, unsigned channel)
{
    const struct i8254_counter *counter = &pit->state.counter[channel];
    struct i8254_timer *timer = &pit->timer[channel];

    pit->glide[channel] = i8254_counter_glide(counter);
    if (!pit->out[channel].sink)
        return;
    timer->change_edge = i8254_counter_next_change(counter);
    deadline_set(&timer->deadline, timer->change_edge == I8254_NEVER
                                       ? DEADLINE_NEVER
                                       : grid_cycles(pit->grid, timer->change_edge));
    irq_line_set(&pit->out[channel], counter->out);
}

static void change_out(struct i8254 *pit, unsigned channel)
{
    i8254_counter_advance(&pit->state.counter[channel], pit->timer[channel].change_edge);
    publish(pit, channel);
}

static void timer_fired(void *opaque, uint64_t when_cycles)
{
    struct i8254_timer *timer = opaque;

    (void)when_cycles; /* stands for change_edge; other edges may fall on the same cycle when f is low */
    change_out(timer->pit, timer->channel);
}

/*
 * An OUT change on the way to the present is only met here when its deadline stands at this very cycle and
 * has not had its turn yet, so the loop is short: as many edges as a cycle holds.
 */
static __attribute__((noinline)) struct i8254_counter *catch_up(struct i8254 *pit, unsigned channel)
{
    uint64_t edge = edge_now(pit);

    while (pit->timer[channel].change_edge <= edge && pit->timer[channel].change_edge != I8254_NEVER)
        change_out(pit, channel);
    i8254_counter_advance(&pit->state.counter[channel], edge);
    pit->glide[channel] = i8254_counter_glide(&pit->state.counter[channel]);
    return &pit->state.counter[channel];
}

/* Brings a channel to the present. */
static inline struct i8254_counter *present(struct i8254 *pit, unsigned channel)
{
    struct i8254_counter *counter = &pit->state.counter[channel];
    const struct i8254_glide *glide = &pit->glide[channel];

    if (!pit->grid->edges.quick)
        return catch_up(pit, channel);
    uint64_t edge = edge_now(pit);
    if (edge >= glide->until)
        return catch_up(pit, channel);
    counter->value -= (uint32_t)((edge - counter->edge) * glide->step);
    counter->edge = edge;
    return counter;
}

/* ---- registers ---- */

static void write_read_back(struct i8254 *pit, uint8_t command)
{
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        if (!(command & READ_BACK_CHANNEL(channel)))
            continue;
        struct i8254_counter *counter = present(pit, channel);
        if (!(command & READ_BACK_NO_COUNT))
            i8254_counter_latch_count(counter);
        if (!(command & READ_BACK_NO_STATUS))
            i8254_counter_latch_status(counter);
    }
}

static void write_control(struct i8254 *pit, uint8_t word)
{
    unsigned channel = word >> CONTROL_SELECT_SHIFT;

    if (channel == SELECT_READ_BACK) {
        write_read_back(pit, word);
        return;
    }
    struct i8254_counter *counter = present(pit, channel);
    if (!(word & CONTROL_RW)) {
        i8254_counter_latch_count(counter);
        return;
    }
    i8254_counter_control(counter, word);
    publish(pit, channel);
}

static void bus_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct i8254 *pit = opaque;
    unsigned port = offset & 3;

    (void)width;
    if (port == PORT_CONTROL) {
        write_control(pit, (uint8_t)value);
        return;
    }
    i8254_counter_write(present(pit, port), (uint8_t)value);
    publish(pit, port);
}

static uint64_t bus_read(void *opaque, uint64_t offset, unsigned width)
{
    struct i8254 *pit = opaque;
    unsigned port = offset & 3;

    (void)width;
    return port == PORT_CONTROL ? 0xff : i8254_counter_read(present(pit, port));
}

/* ---- pins, reset, state ---- */

void i8254_set_gate(struct i8254 *pit, unsigned channel, bool level)
{
    if (pit->state.counter[channel].gate == level)
        return;
    i8254_counter_gate(present(pit, channel), level);
    publish(pit, channel);
}

bool i8254_out(struct i8254 *pit, unsigned channel)
{
    return present(pit, channel)->out;
}

/* Choice 11. */
static const struct {
    uint8_t control;
    uint8_t lsb, msb;
} after_reset[I8254_CHANNELS] = {{0x36, 0, 0}, {0x74, 18, 0}, {0xb6, 0, 0}};

static void reset(void *opaque)
{
    struct i8254 *pit = opaque;

    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        struct i8254_counter *counter = &pit->state.counter[channel];

        *counter = (struct i8254_counter){.edge = edge_now(pit), .gate = counter->gate};
        i8254_counter_control(counter, after_reset[channel].control);
        i8254_counter_write(counter, after_reset[channel].lsb);
        i8254_counter_write(counter, after_reset[channel].msb);
        publish(pit, channel);
    }
}

static void restored(void *opaque)
{
    struct i8254 *pit = opaque;

    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        i8254_counter_repair(&pit->state.counter[channel], edge_now(pit));
        i8254_counter_advance(&pit->state.counter[channel], edge_now(pit));
        publish(pit, channel);
    }
}

static const struct bus_ops ops = {bus_read, bus_write};

void i8254_init(struct i8254 *pit, const struct guest_clock *clock, const struct grid *grid,
                struct deadline_queue *queue)
{
    static const char *const names[I8254_CHANNELS] = {"i8254 OUT 0", "i8254 OUT 1", "i8254 OUT 2"};

    *pit = (struct i8254){
        .clock = clock,
        .grid = grid,
        .region = {I8254_PORT, 4, 1, &ops, pit, "i8254"},
        .device = {"i8254", pit, reset, &pit->state, sizeof(pit->state), I8254_STATE_VERSION, restored},
    };
    for (unsigned channel = 0; channel < I8254_CHANNELS; channel++) {
        struct i8254_timer *timer = &pit->timer[channel];

        timer->pit = pit;
        timer->channel = channel;
        timer->change_edge = I8254_NEVER;
        deadline_init(&timer->deadline, queue, timer_fired, timer, names[channel]);
    }
    reset(pit);
}
