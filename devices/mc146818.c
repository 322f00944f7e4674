/*
 * MC146818 real-time clock with 128 bytes. Contract, callers, units and sources: mc146818.h; the calendar:
 * mc146818_calendar.h.
 *
 * Modelled: time of day, alarm with don't-care bytes, SET, 12/24 h, BCD and binary, the divider's reset,
 * periodic flag at all 15 rates, update-ended and alarm flags, UIP, IRQF and the interrupt line, VRT. Left
 * out: the SQW pin (SQWE is stored), power failure.
 *
 * What the data sheet leaves open; choice N is pinned by test_choice_N in tests/unit/test_mc146818.c:
 *  1. An update takes no time: at its moment the bytes change, UF (and AF) are set and UIP falls. UIP rises
 *     8 ticks (244 us) before.
 *  2. DV = 010 runs. 110 and 111 hold the divider in reset; so do the other codes, which ask for crystals
 *     that a PC hasn't got. A change from any of them to 010 is a release.
 *  3. A held divider makes no update and no periodic flag; UIP reads 0. Flags that are set stay.
 *  4. SET stops updates, not the divider: seconds keep their phase. UIP reads 0, and UIE is cleared and
 *     stays so while SET is 1.
 *  5. DSE is stored and does nothing: the chip's rules for daylight saving have not held anywhere since
 *     1987.
 *  6. Periodic edges stand where the divider's tick count since its origin is a multiple of the period, so a
 *     change of rate takes effect at the next multiple; with an update due at the same tick both flags come
 *     together.
 *  7. AF is decided at updates only, on the bytes as they stand: writing an alarm that matches now sets
 *     nothing.
 *  8. A change of DM or 24/12 converts nothing; invalid bytes go by mc146818_calendar.h.
 *  9. Port 70h reads FFh. Registers C and D are read-only, D reads 80h (VRT). The century byte counts on at
 *     32h.
 * 10. Power-on of the VM clears the RAM, which on a PC a battery keeps: a guest's start depends on nothing
 *     before it.
 */
#include "devices/mc146818.h"
#include "devices/mc146818_calendar.h"
#include "lib/string.h"

#define A_UIP     BIT(7)
#define A_DV      0x70u
#define A_DV_RUN  0x20u
#define A_RS      0x0fu
#define B_SET     BIT(7)
#define B_UIE     BIT(4)
#define C_IRQF    BIT(7)
#define C_PF      BIT(6)
#define C_AF      BIT(5)
#define C_UF      BIT(4)
#define C_FLAGS   (C_PF | C_AF | C_UF) /* each at the place of its enable bit in B */
#define D_VRT     BIT(7)
#define INDEX_NMI BIT(7)

#define TICKS_PER_SECOND 32768u
#define UIP_TICKS        8u
#define RAM_START        0x0eu
#define POWER_ON_A       0x26u
#define POWER_ON_TIME    946684800u /* 2000-01-01 00:00:00 */

_Static_assert(sizeof(struct mc146818_state) == 152, "mc146818 state version 1");

static bool running(const struct mc146818_state *state)
{
    return (state->cmos[RTC_A] & A_DV) == A_DV_RUN;
}

static bool updating(const struct mc146818_state *state)
{
    return running(state) && !(state->cmos[RTC_B] & B_SET);
}

/* log2 of the periodic rate's ticks, or -1 for none. Data sheet, table "Periodic Interrupt Rate and
 * Square-Wave Frequency". */
static int period_shift(const struct mc146818_state *state)
{
    int rate = state->cmos[RTC_A] & A_RS;

    return rate == 0 ? -1 : rate <= 2 ? rate + 6 : rate - 1;
}

/* Ticks since an edge of seconds that stands at or before the origin. */
static uint64_t second_phase(const struct mc146818_state *state, uint64_t ticks)
{
    return ticks + (state->halfway ? TICKS_PER_SECOND / 2 : 0);
}

/* Brings flags and time bytes up to now. Before every look at them and every change of what they depend on.
 */
static void sync(struct mc146818 *rtc)
{
    struct mc146818_state *state = &rtc->state;

    if (!running(state))
        return;
    uint64_t from = state->synced_ticks;
    uint64_t to = grid_edges(&rtc->ticks, guest_clock_now(rtc->clock) - state->origin_cycles);
    int shift = period_shift(state);

    state->synced_ticks = to;
    if (shift >= 0 && from >> shift != to >> shift)
        state->cmos[RTC_C] |= C_PF;
    uint64_t updates =
        second_phase(state, to) / TICKS_PER_SECOND - second_phase(state, from) / TICKS_PER_SECOND;
    if (updates == 0 || !updating(state))
        return;
    state->cmos[RTC_C] |= C_UF;
    if (mc146818_calendar_alarm(state->cmos) <= updates)
        state->cmos[RTC_C] |= C_AF;
    mc146818_calendar_advance(state->cmos, updates);
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* The tick, after the synced one, at which the chip next sets a flag that is enabled; RTC_NEVER if there is
 * none. */
static uint64_t next_flag_tick(const struct mc146818_state *state)
{
    uint8_t enabled = state->cmos[RTC_B];
    uint64_t ticks = state->synced_ticks;
    uint64_t seconds = second_phase(state, ticks) / TICKS_PER_SECOND;
    uint64_t to_origin = second_phase(state, 0);
    uint64_t next = RTC_NEVER;
    int shift = period_shift(state);

    if (!running(state))
        return RTC_NEVER;
    if ((enabled & C_PF) && shift >= 0)
        next = ((ticks >> shift) + 1) << shift;
    if ((enabled & C_UF) && updating(state))
        next = MIN(next, (seconds + 1) * TICKS_PER_SECOND - to_origin);
    if ((enabled & C_AF) && updating(state)) {
        uint64_t updates = mc146818_calendar_alarm(state->cmos);

        if (updates != RTC_NEVER)
            next = MIN(next, (seconds + updates) * TICKS_PER_SECOND - to_origin);
    }
    return next;
}

static bool irqf(const struct mc146818_state *state)
{
    return (state->cmos[RTC_B] & state->cmos[RTC_C] & C_FLAGS) != 0;
}

/* Line and deadline from a synced state. While IRQF stands nothing more can be seen outside. */
static void update_outputs(struct mc146818 *rtc)
{
    struct mc146818_state *state = &rtc->state;
    uint64_t next = irqf(state) ? RTC_NEVER : next_flag_tick(state);

    if (next == RTC_NEVER)
        deadline_cancel(&rtc->deadline);
    else
        deadline_set(&rtc->deadline, add_saturated(state->origin_cycles, grid_cycles(&rtc->ticks, next)));
    irq_line_set(&rtc->irq, irqf(state));
}

static void flag_due(void *opaque, uint64_t when)
{
    struct mc146818 *rtc = opaque;

    (void)when;
    sync(rtc);
    update_outputs(rtc);
}

/* Tick 0 is now; a second begins now, or after half of one. */
static void start_divider(struct mc146818 *rtc, bool halfway)
{
    rtc->state.origin_cycles = guest_clock_now(rtc->clock);
    rtc->state.synced_ticks = 0;
    rtc->state.halfway = halfway;
}

static void write_register(struct mc146818 *rtc, unsigned index, uint8_t value)
{
    struct mc146818_state *state = &rtc->state;
    bool was_running = running(state);

    if (index == RTC_C || index == RTC_D)
        return;
    if (index == RTC_A)
        value &= (uint8_t)~A_UIP;
    if (index == RTC_B && (value & B_SET))
        value &= (uint8_t)~B_UIE;
    state->cmos[index] = value;
    if (index == RTC_A && running(state) && !was_running)
        start_divider(rtc, true);
}

static uint8_t read_register(struct mc146818 *rtc, unsigned index)
{
    struct mc146818_state *state = &rtc->state;
    uint8_t value = state->cmos[index];

    if (index == RTC_A && updating(state) &&
        second_phase(state, state->synced_ticks) % TICKS_PER_SECOND >= TICKS_PER_SECOND - UIP_TICKS)
        value |= A_UIP;
    if (index == RTC_C) {
        value |= irqf(state) ? C_IRQF : 0;
        state->cmos[RTC_C] = 0;
        update_outputs(rtc);
    }
    return value;
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned width)
{
    struct mc146818 *rtc = opaque;

    (void)width;
    if (!(offset & 1))
        return 0xff;
    sync(rtc);
    return read_register(rtc, rtc->state.index % MC146818_BYTES);
}

static void port_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct mc146818 *rtc = opaque;
    unsigned index = rtc->state.index % MC146818_BYTES;

    (void)width;
    if (!(offset & 1)) {
        rtc->state.index = (uint8_t)value;
        return;
    }
    sync(rtc);
    write_register(rtc, index, (uint8_t)value);
    if (index < RAM_START || index == RTC_CENTURY)
        update_outputs(rtc);
}

void mc146818_set_time(struct mc146818 *rtc, uint64_t seconds_since_1970)
{
    sync(rtc);
    mc146818_calendar_set(rtc->state.cmos, seconds_since_1970);
    start_divider(rtc, false);
    update_outputs(rtc);
}

void mc146818_set_cmos(struct mc146818 *rtc, unsigned index, uint8_t value)
{
    if (index < RAM_START || index >= MC146818_BYTES)
        return;
    sync(rtc);
    rtc->state.cmos[index] = value;
}

bool mc146818_nmi_masked(const struct mc146818 *rtc)
{
    return (rtc->state.index & INDEX_NMI) != 0;
}

static void reset(void *opaque)
{
    struct mc146818 *rtc = opaque;

    memset(&rtc->state, 0, sizeof(rtc->state));
    rtc->state.cmos[RTC_A] = POWER_ON_A;
    rtc->state.cmos[RTC_B] = RTC_B_24H;
    rtc->state.cmos[RTC_D] = D_VRT;
    start_divider(rtc, false);
    mc146818_set_time(rtc, POWER_ON_TIME);
}

static void restored(void *opaque)
{
    struct mc146818 *rtc = opaque;
    struct mc146818_state *state = &rtc->state;
    uint64_t now = guest_clock_now(rtc->clock);

    state->cmos[RTC_A] &= (uint8_t)~A_UIP;
    if (state->cmos[RTC_B] & B_SET)
        state->cmos[RTC_B] &= (uint8_t)~B_UIE;
    state->cmos[RTC_C] &= C_FLAGS;
    state->cmos[RTC_D] = D_VRT;
    state->halfway = state->halfway != 0;
    state->origin_cycles = MIN(state->origin_cycles, now);
    state->synced_ticks = MIN(state->synced_ticks, grid_edges(&rtc->ticks, now - state->origin_cycles));
    sync(rtc);
    update_outputs(rtc);
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write};

void mc146818_init(struct mc146818 *rtc, const struct guest_clock *clock, struct deadline_queue *queue)
{
    memset(rtc, 0, sizeof(*rtc));
    rtc->clock = clock;
    grid_init(&rtc->ticks, guest_clock_hz(clock), TICKS_PER_SECOND, 1);
    deadline_init(&rtc->deadline, queue, flag_due, rtc, "mc146818");
    rtc->region = (struct bus_region){0x70, 2, 1, &port_ops, rtc, "mc146818"};
    rtc->device = (struct device){
        .name = "mc146818",
        .opaque = rtc,
        .reset = reset,
        .state = &rtc->state,
        .state_size = sizeof(rtc->state),
        .state_version = MC146818_STATE_VERSION,
        .restored = restored,
    };
    reset(rtc);
}
