/*
 * The input queue (hv/input.h): bytes come out whole, in order and once, at the guest's present moment, as
 * fast as the device takes them. The oracle is the plain list of what was put in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "hv/input.h"
#include "lib/prng.h"

static struct guest_clock guest_clock;
static struct input input;
static uint8_t got[100000];
static size_t got_count, room;
static uint64_t delivered_at;

static size_t take(void *opaque, const uint8_t *data, size_t length)
{
    size_t taken = MIN(length, room);

    assert_ptr_equal(opaque, &got);
    for (size_t i = 0; i < taken; i++)
        got[got_count++] = data[i];
    room -= taken;
    delivered_at = guest_clock_now(&guest_clock);
    return taken;
}

static int setup(void **state)
{
    (void)state;
    guest_clock_init(&guest_clock, 1000000000);
    input_init(&input, &guest_clock, take, &got);
    got_count = 0;
    room = SIZE_MAX;
    return 0;
}

/* Nothing is delivered while the guest's clock is not being moved; then at the moment of the arrival. */
static void test_delivered_as_a_deadline(void **state)
{
    (void)state;
    guest_clock_advance(&guest_clock, 500);
    input_put(&input, 'a');
    input_put(&input, 'b');
    assert_true(deadline_queue_next(&guest_clock.deadlines) == DEADLINE_NEVER); /* another CPU may do that */
    input_look(&input);
    assert_int_equal(got_count, 0);
    assert_true(deadline_queue_next(&guest_clock.deadlines) == 500);
    guest_clock_advance(&guest_clock, 900);
    assert_memory_equal(got, "ab", 2);
    assert_true(delivered_at == 500);
    assert_true(deadline_queue_next(&guest_clock.deadlines) == DEADLINE_NEVER);
    input_ready(&input); /* nothing waits: no deadline */
    assert_true(deadline_queue_next(&guest_clock.deadlines) == DEADLINE_NEVER);
}

/* A device without room keeps the rest waiting until it says that it has some. */
static void test_back_pressure(void **state)
{
    (void)state;
    room = 3;
    for (unsigned i = 0; i < 10; i++)
        input_put(&input, (uint8_t)i);
    input_look(&input);
    guest_clock_advance(&guest_clock, 10);
    assert_int_equal(got_count, 3);
    guest_clock_advance(&guest_clock, 1000);
    assert_int_equal(got_count, 3);
    room = 100;
    input_ready(&input);
    guest_clock_advance(&guest_clock, 1000);
    assert_int_equal(got_count, 10);
    assert_true(delivered_at == 1000);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(got[i], i);
}

static void test_full_queue_drops_and_counts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < INPUT_SIZE + 9; i++)
        input_put(&input, (uint8_t)i);
    assert_true(input.dropped == 9);
    input_look(&input);
    guest_clock_advance(&guest_clock, 1);
    assert_int_equal(got_count, INPUT_SIZE);
    for (unsigned i = 0; i < INPUT_SIZE; i++)
        assert_int_equal(got[i], (uint8_t)i);
}

static void test_random(void **state)
{
    static uint8_t put[sizeof got];
    size_t put_count = 0;
    struct prng prng;

    (void)state;
    prng_seed(&prng, 5);
    room = 0;
    while (put_count < sizeof put - INPUT_SIZE) {
        for (uint64_t burst = prng_below(&prng, 40); burst; burst--) {
            uint8_t byte = (uint8_t)prng_next(&prng);

            if (input.put - input.taken < INPUT_SIZE)
                put[put_count++] = byte;
            input_put(&input, byte);
        }
        room = prng_below(&prng, 40);
        if (prng_below(&prng, 4))
            input_look(&input);
        if (prng_below(&prng, 2))
            input_ready(&input);
        guest_clock_advance(&guest_clock, guest_clock.now + prng_below(&prng, 100));
        assert_int_equal(got_count + (input.put - input.taken), put_count);
    }
    room = SIZE_MAX;
    input_look(&input);
    input_ready(&input);
    guest_clock_advance(&guest_clock, guest_clock.now);
    assert_int_equal(got_count, put_count);
    assert_memory_equal(got, put, put_count);
    assert_true(input.dropped > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_delivered_as_a_deadline, setup),
        cmocka_unit_test_setup(test_back_pressure, setup),
        cmocka_unit_test_setup(test_full_queue_drops_and_counts, setup),
        cmocka_unit_test_setup(test_random, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
