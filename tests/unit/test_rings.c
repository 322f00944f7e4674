/*
 * The rings between a guest's CPU and the console's (hv/output.h, hv/input.h), with a thread for each CPU:
 * what goes in comes out whole, in order and once, and a full ring takes no more. The oracle is a counter.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "hv/input.h"
#include "hv/output.h"
#include "lib/prng.h"

#define BYTES 3000000u

static uint8_t byte_at(uint64_t index)
{
    return (uint8_t)(index * 167 + (index >> 8));
}

/* ---- a guest's output ---- */

static struct output output;

static void *guest_writes(void *nothing)
{
    struct prng prng;
    uint64_t put = 0;

    (void)nothing;
    prng_seed(&prng, 1);
    while (put < BYTES) {
        uint8_t data[100];
        size_t drawn = prng_below(&prng, sizeof data + 1), length = MIN(drawn, (size_t)(BYTES - put));

        for (size_t i = 0; i < length; i++)
            data[i] = byte_at(put + i);
        size_t taken = output_put(&output, data, length);
        put += taken;
        if (taken < length)
            sched_yield();
    }
    return NULL;
}

static void test_output(void **state)
{
    pthread_t guest;
    struct prng prng;
    uint64_t taken = 0;

    (void)state;
    prng_seed(&prng, 2);
    assert_int_equal(pthread_create(&guest, NULL, guest_writes, NULL), 0);
    while (taken < BYTES) {
        const uint8_t *data;
        size_t length = output_peek(&output, &data);

        assert_true(output_count(&output) <= OUTPUT_SIZE && length <= OUTPUT_SIZE);
        size_t most = prng_below(&prng, 200);

        length = MIN(length, most);
        for (size_t i = 0; i < length; i++)
            assert_int_equal(data[i], byte_at(taken + i));
        output_drop(&output, length);
        taken += length;
        if (!length)
            sched_yield();
    }
    pthread_join(guest, NULL);
    assert_int_equal(output_count(&output), 0);
}

static void test_output_full(void **state)
{
    static struct output full;
    static uint8_t data[OUTPUT_SIZE + 1];
    const uint8_t *oldest;

    (void)state;
    assert_false(output_full(&full));
    assert_int_equal(output_put(&full, data, sizeof data), OUTPUT_SIZE);
    assert_true(output_full(&full));
    assert_int_equal(output_put(&full, data, 1), 0);
    output_drop(&full, OUTPUT_RESERVE);
    assert_false(output_full(&full));
    assert_int_equal(output_put(&full, data, 5), 5);
    assert_int_equal(output_peek(&full, &oldest), OUTPUT_SIZE - OUTPUT_RESERVE); /* up to the ring's end */
}

/* ---- input ---- */

static struct guest_clock guest_clock;
static struct input input;
static uint64_t delivered;
static size_t room;

static size_t take(void *opaque, const uint8_t *data, size_t length)
{
    size_t taken = MIN(length, room);

    (void)opaque;
    for (size_t i = 0; i < taken; i++)
        assert_int_equal(data[i], byte_at(delivered + i));
    delivered += taken;
    return taken;
}

/* Waits for room, as a console would not: so that nothing is dropped and the counter holds. */
static void *console_puts(void *nothing)
{
    (void)nothing;
    for (uint64_t put = 0; put < BYTES; put++) {
        while (put - __atomic_load_n(&input.taken, __ATOMIC_ACQUIRE) == INPUT_SIZE)
            sched_yield();
        input_put(&input, byte_at(put));
    }
    return NULL;
}

static void test_input(void **state)
{
    pthread_t console;
    struct prng prng;

    (void)state;
    prng_seed(&prng, 3);
    guest_clock_init(&guest_clock, 1000000000);
    input_init(&input, &guest_clock, take, NULL);
    assert_int_equal(pthread_create(&console, NULL, console_puts, NULL), 0);
    while (delivered < BYTES) {
        uint64_t before = delivered;

        room = prng_below(&prng, 300);
        input_look(&input);
        input_ready(&input);
        guest_clock_advance(&guest_clock, guest_clock.now + prng_below(&prng, 10));
        if (delivered == before)
            sched_yield();
    }
    pthread_join(console, NULL);
    assert_true(input.dropped == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_output_full),
        cmocka_unit_test(test_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
