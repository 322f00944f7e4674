/* prng and crc32 against published values and slow models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "lib/crc32.h"
#include "lib/prng.h"
#include "lib/string.h"

/* The first outputs of splitmix64 for seed 1234567, as its author's reference program prints them. */
static void splitmix_reference(void **state)
{
    const uint64_t expected[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                 UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                 UINT64_C(16408922859458223821)};
    uint64_t seed = 1234567;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_true(splitmix64(&seed) == expected[i]);
}

/* The first outputs of xoshiro256** from the state 1, 2, 3, 4: the first is rotl(2 * 5, 7) * 9 = 11520, the
 * second 0 since s[1] is 0. */
static void xoshiro_reference(void **state)
{
    struct prng prng = {{1, 2, 3, 4}};
    const uint64_t expected[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_true(prng_next(&prng) == expected[i]);
}

static void below_stays_below_and_covers(void **state)
{
    struct prng prng, same;
    unsigned hits[10] = {0};

    (void)state;
    prng_seed(&prng, 0);
    same = prng;
    for (int i = 0; i < 10000; i++) {
        uint64_t value = prng_below(&prng, 10);

        assert_true(value < 10 && value == prng_below(&same, 10));
        hits[value]++;
    }
    for (size_t i = 0; i < ARRAY_SIZE(hits); i++)
        assert_in_range(hits[i], 850, 1150);
    assert_true(prng_below(&prng, 0) == 0 && prng_below(&prng, 1) == 0);
    assert_true(prng_below(&prng, UINT64_MAX) < UINT64_MAX);
}

static uint32_t slow_crc(const uint8_t *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (((crc ^ (uint32_t)(bytes[i] >> bit)) & 1) ? 0xedb88320u : 0);
    return ~crc;
}

static void crc_check_values(void **state)
{
    uint8_t bytes[300];
    struct prng prng;

    (void)state;
    assert_int_equal(crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(crc32(0, "", 0), 0);
    assert_int_equal(crc32(crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
    prng_seed(&prng, 1);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)prng_next(&prng);
        assert_int_equal(crc32(0, bytes, i + 1), slow_crc(bytes, i + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splitmix_reference),
        cmocka_unit_test(xoshiro_reference),
        cmocka_unit_test(below_stays_below_and_covers),
        cmocka_unit_test(crc_check_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
