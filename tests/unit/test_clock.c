/*
 * The guest clock and its deadline queue against a naive model: an unsorted table of moments and the order in
 * which they were set; the next to run is found by looking at all. Rules: hv/devapi/deadline.h, hv/clock.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "hv/clock.h"
#include "lib/prng.h"

#define COUNT 12

struct naive {
    uint64_t when, order;
};

static struct guest_clock guest_clock;
static struct deadline deadlines[COUNT];
static struct naive naive[COUNT];
static uint64_t naive_now, orders, fired;
static struct prng prng, script; /* `script` says what callbacks do: the same for both */
static unsigned depth;           /* callbacks never nest */

static void set_both(unsigned i, uint64_t when)
{
    deadline_set(&deadlines[i], when);
    naive[i] = (struct naive){when, ++orders};
}

static int naive_first(void)
{
    int first = -1;

    for (int i = 0; i < COUNT; i++) {
        if (naive[i].when == DEADLINE_NEVER)
            continue;
        if (first < 0 || naive[i].when < naive[first].when ||
            (naive[i].when == naive[first].when && naive[i].order < naive[first].order))
            first = i;
    }
    return first;
}

/* What a callback may do: set itself or another, before, at or after now, or cancel one. */
static void act(unsigned self)
{
    uint64_t now = guest_clock_now(&guest_clock);
    unsigned other = (unsigned)prng_below(&script, COUNT);

    switch (prng_below(&script, 6)) {
    case 0:
        set_both(self, now + 1 + prng_below(&script, 300)); /* periodic */
        break;
    case 1:
        set_both(other, now + prng_below(&script, 100) + 1);
        break;
    case 2:
        if (prng_below(&script, 4) == 0) /* in the past, or now: still in this advance */
            set_both(other, now - prng_below(&script, MIN(now, UINT64_C(50)) + 1));
        break;
    case 3:
        set_both(other, DEADLINE_NEVER);
        break;
    case 4:
        deadline_cancel(&deadlines[other]);
        naive[other].when = DEADLINE_NEVER;
        break;
    default:
        break;
    }
}

static void on_fire(void *opaque, uint64_t when)
{
    unsigned self = (unsigned)((struct deadline *)opaque - deadlines);

    assert_int_equal(depth++, 0);
    assert_int_equal(naive_first(), (int)self);
    assert_true(when == naive[self].when);
    assert_true(deadlines[self].when == DEADLINE_NEVER); /* taken out before its callback runs */
    naive_now = MAX(naive_now, when);
    assert_true(guest_clock_now(&guest_clock) == naive_now);
    naive[self].when = DEADLINE_NEVER;
    fired++;
    act(self);
    depth--;
}

static void advance_both(uint64_t to)
{
    guest_clock_advance(&guest_clock, to);
    int first = naive_first();
    assert_true(first < 0 || naive[first].when > MAX(to, naive_now)); /* nothing due is left */
    naive_now = MAX(naive_now, to);
    assert_true(guest_clock_now(&guest_clock) == naive_now);
    assert_true(deadline_queue_next(&guest_clock.deadlines) ==
                (first < 0 ? DEADLINE_NEVER : naive[first].when));
}

static int setup(void **state)
{
    (void)state;
    guest_clock_init(&guest_clock, 1000000000);
    for (unsigned i = 0; i < COUNT; i++) {
        deadline_init(&deadlines[i], &guest_clock.deadlines, on_fire, &deadlines[i], "test");
        naive[i] = (struct naive){DEADLINE_NEVER, 0};
    }
    naive_now = orders = fired = 0;
    depth = 0;
    return 0;
}

static void test_random_against_model(void **state)
{
    uint64_t total = 0;

    for (unsigned run = 0; run < 20; run++) {
        setup(state);
        prng_seed(&prng, run + 1);
        prng_seed(&script, run + 100);
        for (unsigned i = 0; i < 20000; i++) {
            unsigned which = (unsigned)prng_below(&prng, COUNT);

            switch (prng_below(&prng, 4)) {
            case 0:
                set_both(which, naive_now + prng_below(&prng, 500));
                break;
            case 1:
                advance_both(naive_now -
                             prng_below(&prng, MIN(naive_now, UINT64_C(20)) + 1)); /* never back */
                break;
            default:
                advance_both(naive_now + prng_below(&prng, 200));
                break;
            }
        }
        assert_true(guest_clock.deadlines.fired == fired);
        total += fired;
    }
    assert_true(total > 100000);
}

static uint64_t last_now;

static void note_now(void *opaque, uint64_t when)
{
    (void)opaque;
    (void)when;
    last_now = guest_clock_now(&guest_clock);
}

/* A deadline in the past runs at the next advance, with the clock where it stands. */
static void test_past_deadline_runs_now(void **state)
{
    struct deadline late;

    (void)state;
    guest_clock_advance(&guest_clock, 1000);
    deadline_init(&late, &guest_clock.deadlines, note_now, NULL, "late");
    deadline_set(&late, 10);
    guest_clock_advance(&guest_clock, 5);
    assert_true(last_now == 1000);
    assert_true(guest_clock_now(&guest_clock) == 1000);
}

static void rearm(void *opaque, uint64_t when)
{
    struct deadline *deadline = opaque;

    note_now(NULL, when);
    assert_true(last_now == when);
    fired++;
    deadline_set(deadline, when + 7);
}

/* A periodic source that re-arms from its scheduled time meets every period in one long advance. */
static void test_periodic_catches_up(void **state)
{
    struct deadline periodic;

    (void)state;
    deadline_init(&periodic, &guest_clock.deadlines, rearm, &periodic, "periodic");
    deadline_set(&periodic, 7);
    guest_clock_advance(&guest_clock, 7000);
    assert_int_equal(fired, 1000);
    assert_true(deadline_queue_next(&guest_clock.deadlines) == 7007);
    deadline_cancel(&periodic);
    deadline_cancel(&periodic); /* twice is fine */
    assert_true(deadline_queue_next(&guest_clock.deadlines) == DEADLINE_NEVER);
    assert_null(deadline_queue_take(&guest_clock.deadlines, UINT64_MAX));
    assert_true(guest_clock_hz(&guest_clock) == 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_against_model),
        cmocka_unit_test_setup(test_past_deadline_runs_now, setup),
        cmocka_unit_test_setup(test_periodic_catches_up, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
