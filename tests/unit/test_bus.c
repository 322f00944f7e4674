/*
 * Port and MMIO buses: the numbered choices of hv/bus.h one by one, then random regions and accesses against
 * a model that goes byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "hv/bus.h"

/* ---- a device that notes each call and keeps its bytes ---- */

struct call {
    unsigned device;
    uint64_t offset;
    unsigned width;
    bool is_write;
};

#define CALLS 64
static struct call calls[CALLS];
static unsigned call_count;

struct fake {
    struct bus_region region;
    unsigned number;
    uint8_t bytes[64]; /* of offset % 64 */
};

static void note(const struct fake *fake, uint64_t offset, unsigned width, bool is_write)
{
    assert_true(call_count < CALLS);
    assert_true(width && (fake->region.widths & width) == width);
    assert_int_equal((fake->region.base + offset) % width, 0);
    assert_true(offset < fake->region.length && width <= fake->region.length - offset);
    calls[call_count++] = (struct call){fake->number, offset, width, is_write};
}

static uint64_t fake_read(void *opaque, uint64_t offset, unsigned width)
{
    struct fake *fake = opaque;
    uint64_t value = ~UINT64_C(0); /* a device may leave rubbish above its width */
    note(fake, offset, width, false);
    for (unsigned i = width; i-- > 0;)
        value = value << 8 | fake->bytes[(offset + i) % 64];
    return value;
}

static void fake_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct fake *fake = opaque;
    note(fake, offset, width, true);
    assert_true(width == 8 || value >> (8 * width) == 0);
    for (unsigned i = 0; i < width; i++)
        fake->bytes[(offset + i) % 64] = (uint8_t)(value >> (8 * i));
}

static const struct bus_ops fake_ops = {fake_read, fake_write};

static const struct bus_region *add(struct bus *bus, struct fake *fake, uint64_t base, uint64_t length,
                                    unsigned widths)
{
    fake->region = (struct bus_region){base, length, widths, &fake_ops, fake, "fake"};
    for (unsigned i = 0; i < 64; i++)
        fake->bytes[i] = (uint8_t)(0x10 + i);
    call_count = 0;
    return bus_add(bus, &fake->region);
}

static void expect_calls(const struct call *expected, unsigned count)
{
    assert_int_equal(call_count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(calls[i].device, expected[i].device);
        assert_int_equal(calls[i].offset, expected[i].offset);
        assert_int_equal(calls[i].width, expected[i].width);
        assert_int_equal(calls[i].is_write, expected[i].is_write);
    }
    call_count = 0;
}

#define EXPECT(...)                                                                                          \
    do {                                                                                                     \
        const struct call list[] = {__VA_ARGS__};                                                            \
        expect_calls(list, sizeof list / sizeof list[0]);                                                    \
    } while (0)

/* ---- fixed cases ---- */

static void supported_widths_arrive_whole(void **state)
{
    (void)state;
    static struct bus bus;
    static struct fake fake;
    bus_init(&bus, BUS_PORTS);
    assert_null(add(&bus, &fake, 0xCF8, 8, 1 | 2 | 4));
    assert_int_equal(bus_read(&bus, 0xCFC, 4), 0x17161514);
    assert_int_equal(bus_read(&bus, 0xCFE, 2), 0x1716);
    assert_int_equal(bus_read(&bus, 0xCFF, 1), 0x17);
    bus_write(&bus, 0xCF8, 4, 0xFFFFFFFF80001234);
    EXPECT({0, 4, 4, false}, {0, 6, 2, false}, {0, 7, 1, false}, {0, 0, 4, true});
    assert_int_equal(bus_read(&bus, 0xCF8, 4), 0x80001234);
    assert_int_equal(bus.counters.unclaimed_reads + bus.counters.unclaimed_writes, 0);
    assert_ptr_equal(bus_find(&bus, 0xCFF), &fake.region);
    assert_null(bus_find(&bus, 0xD00));
    assert_null(bus_find(&bus, 0x10CF8));
}

static void others_are_split_low_first(void **state) /* choice 1 */
{
    (void)state;
    static struct bus bus;
    static struct fake fake[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    bus_init(&bus, BUS_PORTS);
    assert_null(add(&bus, &fake[0], 0x40, 4, 1));
    assert_null(add(&bus, &fake[1], 0x44, 4, 1 | 2 | 4));
    assert_null(add(&bus, &fake[2], 0x60, 8, 1 | 2));
    assert_int_equal(bus_read(&bus, 0x40, 2), 0x1110);
    EXPECT({0, 0, 1, false}, {0, 1, 1, false});
    assert_int_equal(bus_read(&bus, 0x42, 4), 0x11101312); /* across two regions */
    EXPECT({0, 2, 1, false}, {0, 3, 1, false}, {1, 0, 2, false});
    assert_int_equal(bus_read(&bus, 0x60, 4), 0x13121110);
    EXPECT({2, 0, 2, false}, {2, 2, 2, false});
    bus_write(&bus, 0x61, 4, 0xDDCCBBAA); /* unaligned */
    EXPECT({2, 1, 1, true}, {2, 2, 2, true}, {2, 4, 1, true});
    assert_int_equal(bus_read(&bus, 0x62, 2), 0xCCBB);
    assert_int_equal(bus_read(&bus, 0x44, 3), 0x121110); /* an odd width is one more that nobody takes */
}

static void wide_registers_are_picked_apart(void **state) /* choice 2 */
{
    (void)state;
    static struct bus bus;
    static struct fake fake;
    bus_init(&bus, BUS_MMIO);
    assert_null(add(&bus, &fake, 0xFED00000, 0x400, 4 | 8));
    assert_int_equal(bus_read(&bus, 0xFED000F5, 2), 0x4645);
    EXPECT({0, 0xF4, 4, false});
    assert_int_equal(bus_read(&bus, 0xFED00002, 4), 0x15141312);
    EXPECT({0, 0, 4, false}, {0, 4, 4, false});
    assert_int_equal(bus_read(&bus, 0xFED00004, 8), 0x1B1A191817161514);
    EXPECT({0, 4, 4, false}, {0, 8, 4, false});
    assert_int_equal(bus_read(&bus, 0xFED00008, 8), 0x1F1E1D1C1B1A1918);
    EXPECT({0, 8, 8, false});
    bus_write(&bus, 0xFED00001, 1, 0xAA);
    assert_int_equal(call_count, 0);
    assert_int_equal(bus.counters.unclaimed_writes, 1);
    assert_int_equal(bus.counters.last_unclaimed, 0xFED00001);
    bus_write(&bus, 0xFED00002, 8, 0x8877665544332211); /* the aligned word inside arrives */
    EXPECT({0, 4, 4, true});
    assert_int_equal(bus.counters.unclaimed_writes, 2);
    assert_int_equal(bus_read(&bus, 0xFED00004, 4), 0x66554433);
}

static void unclaimed_reads_are_ones_and_counted(void **state) /* choice 3 */
{
    (void)state;
    static struct bus bus;
    static struct fake fake;
    bus_init(&bus, BUS_PORTS);
    assert_int_equal(bus_read(&bus, 0x1234, 1), 0xFF);
    assert_int_equal(bus_read(&bus, 0x1234, 2), 0xFFFF);
    assert_int_equal(bus_read(&bus, 0x1238, 4), 0xFFFFFFFF);
    bus_write(&bus, 0x80, 1, 7);
    assert_int_equal(bus.counters.unclaimed_reads, 3);
    assert_int_equal(bus.counters.unclaimed_writes, 1);
    assert_int_equal(bus.counters.last_unclaimed, 0x80);
    assert_null(add(&bus, &fake, 0x92, 1, 1));
    assert_int_equal(bus_read(&bus, 0x90, 4), 0xFF10FFFF);
    assert_int_equal(bus.counters.unclaimed_reads, 4); /* once for the access */
    assert_int_equal(bus.counters.last_unclaimed, 0x90);
    assert_int_equal(bus_read(&bus, 0x92, 2), 0xFF10);
    assert_int_equal(bus.counters.last_unclaimed, 0x93);
    bus_write(&bus, 0x91, 2, 0x5566);
    assert_int_equal(fake.bytes[0], 0x55);
    assert_int_equal(bus.counters.unclaimed_writes, 2);
    assert_int_equal(bus_read(&bus, 0x92, 0), 0);
    bus_write(&bus, 0x92, 0, 1);
    assert_int_equal(fake.bytes[0], 0x55);
}

static void nothing_wraps(void **state) /* choice 4 */
{
    (void)state;
    static struct bus ports, mmio;
    static struct fake first = {.number = 0}, last = {.number = 1};
    bus_init(&ports, BUS_PORTS);
    assert_null(add(&ports, &first, 0, 16, 1 | 2 | 4));
    assert_null(add(&ports, &last, 0xFFFC, 4, 1 | 2 | 4));
    assert_int_equal(bus_read(&ports, 0xFFFE, 4), 0xFFFF1312);
    EXPECT({1, 2, 2, false});
    assert_int_equal(bus_read(&ports, 0x10000, 4), 0xFFFFFFFF);

    bus_init(&mmio, BUS_MMIO);
    assert_null(add(&mmio, &first, 0, 16, 1 | 2 | 4 | 8));
    assert_null(add(&mmio, &last, UINT64_MAX - 7, 8, 1 | 2 | 4 | 8));
    assert_int_equal(bus_read(&mmio, UINT64_MAX - 3, 8), 0xFFFFFFFF17161514);
    EXPECT({1, 4, 4, false});
    bus_write(&mmio, UINT64_MAX, 8, 0x1122);
    EXPECT({1, 7, 1, true});
    assert_int_equal(bus_read(&mmio, UINT64_MAX - 7, 8) >> 56, 0x22);
    assert_int_equal(bus_read(&mmio, 0, 16), 0x1716151413121110); /* a width beyond 8 is 8 */
}

static void overlaps_and_nonsense_are_refused(void **state)
{
    (void)state;
    static struct bus bus;
    static struct fake fake[3], other;
    for (enum bus_kind kind = BUS_PORTS; kind <= BUS_MMIO; kind++) {
        bus_init(&bus, kind);
        assert_null(add(&bus, &fake[0], 0x3F8, 8, 1));
        assert_null(add(&bus, &fake[1], 0x3E8, 8, 1));
        assert_null(add(&bus, &fake[2], 0x3F0, 8, 1)); /* touches both */
        assert_ptr_equal(add(&bus, &other, 0x3FF, 1, 1), &fake[0].region);
        assert_ptr_equal(add(&bus, &other, 0x3F0, 8, 1), &fake[2].region);
        assert_ptr_equal(add(&bus, &other, 0x3E0, 9, 1), &fake[1].region);
        assert_ptr_equal(add(&bus, &other, 0x3F9, 2, 1), &fake[0].region);
        assert_non_null(add(&bus, &other, 0, 0x1000, 1)); /* around all */
        assert_ptr_equal(add(&bus, &other, 0x500, 0, 1), &bus_region_malformed);
        assert_ptr_equal(add(&bus, &other, 0x500, 1, 0), &bus_region_malformed);
        assert_ptr_equal(add(&bus, &other, 0x500, 1, 16), &bus_region_malformed);
        assert_ptr_equal(add(&bus, &other, 0x500, 6, 4), &bus_region_malformed);
        assert_ptr_equal(add(&bus, &other, 0x502, 4, 4), &bus_region_malformed);
        assert_ptr_equal(add(&bus, &other, UINT64_MAX, 2, 1), &bus_region_malformed);
        struct bus_region no_ops = {.base = 0x500, .length = 1, .widths = 1, .name = "no operations"};
        assert_ptr_equal(bus_add(&bus, &no_ops), &bus_region_malformed);
        assert_null(add(&bus, &other, 0x400, 1, 1));
        assert_int_equal(bus.region_count, 4);
    }
    bus_init(&bus, BUS_PORTS);
    assert_ptr_equal(add(&bus, &other, 0x10000, 1, 1), &bus_region_malformed);
    assert_ptr_equal(add(&bus, &other, 0xFFFF, 2, 1), &bus_region_malformed);
}

static void a_full_bus_refuses(void **state)
{
    (void)state;
    static struct bus bus;
    static struct fake fakes[BUS_REGIONS], more;
    for (enum bus_kind kind = BUS_PORTS; kind <= BUS_MMIO; kind++) {
        bus_init(&bus, kind);
        for (unsigned i = 0; i < BUS_REGIONS; i++)
            assert_null(add(&bus, &fakes[i], i * 4, 4, 1));
        assert_ptr_equal(add(&bus, &more, 0x300, 4, 1), &bus_region_no_room);
        assert_null(bus_find(&bus, 0x300));
    }
    bus_init(&bus, BUS_PORTS);
    assert_ptr_equal(add(&bus, &more, 0, 0x10000, 1), &bus_region_no_room); /* too many pages of ports */
    assert_int_equal(bus.region_count, 0);
    for (unsigned i = 0; i < BUS_PORT_PAGES; i++)
        assert_null(add(&bus, &fakes[i], i * 256, 1, 1));
    assert_ptr_equal(add(&bus, &more, BUS_PORT_PAGES * 256, 1, 1), &bus_region_no_room);
    assert_null(add(&bus, &more, BUS_PORT_PAGES * 256 - 2, 2, 1));
}

/* ---- random regions against the model ---- */

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 20) % limit);
}

#define FAKES 12
static struct fake fakes[FAKES];
static bool added[FAKES];

static struct fake *model_find(uint64_t address)
{
    for (unsigned i = 0; i < FAKES; i++)
        if (added[i] && address >= fakes[i].region.base &&
            address - fakes[i].region.base < fakes[i].region.length)
            return &fakes[i];
    return NULL;
}

static void check_random_read(struct bus *bus, uint64_t address, unsigned width)
{
    uint64_t expected = 0;
    bool unclaimed = false;
    for (unsigned i = width; i-- > 0;) {
        struct fake *fake = model_find(address + i);
        unclaimed = unclaimed || !fake;
        expected = expected << 8 | (fake ? fake->bytes[(address + i - fake->region.base) % 64] : 0xFF);
    }
    uint64_t counted = bus->counters.unclaimed_reads;
    call_count = 0;
    assert_int_equal(bus_read(bus, address, width), expected);
    assert_int_equal(bus->counters.unclaimed_reads - counted, unclaimed);
    for (unsigned i = 1; i < call_count; i++) /* low first */
        assert_true(fakes[calls[i - 1].device].region.base + calls[i - 1].offset <
                    fakes[calls[i].device].region.base + calls[i].offset);
}

static void check_random_write(struct bus *bus, uint64_t address, unsigned width)
{
    uint64_t value = random_state;
    static struct fake before[FAKES];
    memcpy(before, fakes, sizeof before);
    call_count = 0;
    bus_write(bus, address, width, value);
    bool written[8] = {false};
    for (unsigned i = 0; i < call_count; i++)
        for (unsigned j = 0; j < calls[i].width; j++) {
            uint64_t at = fakes[calls[i].device].region.base + calls[i].offset + j - address;
            assert_true(at < width && !written[at]); /* inside the access, once */
            written[at] = true;
        }
    for (unsigned i = 0; i < width; i++) {
        struct fake *fake = model_find(address + i);
        if (written[i])
            assert_int_equal(fake->bytes[(address + i - fake->region.base) % 64],
                             (uint8_t)(value >> (8 * i)));
        if (fake && (fake->region.widths & 1))
            assert_true(written[i]); /* a region that takes bytes gets each of its bytes */
    }
    for (unsigned i = 0; i < FAKES; i++) /* and no byte beside it has changed */
        for (unsigned j = 0; j < 64; j++)
            if (fakes[i].bytes[j] != before[i].bytes[j])
                assert_true(address < fakes[i].region.base + fakes[i].region.length &&
                            address + width > fakes[i].region.base);
}

static void random_accesses_match_the_model(void **state)
{
    (void)state;
    static struct bus bus;
    for (int round = 0; round < 400; round++) {
        uint64_t start = round % 2 ? 0xFEB00000 : 0xC0;
        bus_init(&bus, round % 2 ? BUS_MMIO : BUS_PORTS);
        memset(added, 0, sizeof added);
        for (unsigned i = 0; i < FAKES; i++) {
            static const unsigned widths[] = {1, 1 | 2, 1 | 2 | 4, 15, 4, 4 | 8, 2, 1 | 4};
            fakes[i].number = i;
            const struct bus_region *refused = add(&bus, &fakes[i], start + random_below(160),
                                                   1 + random_below(24), widths[random_below(8)]);
            added[i] = refused == NULL;
        }
        for (int i = 0; i < 300; i++) {
            uint64_t address = start - 4 + random_below(190);
            unsigned width = random_below(4) ? 1u << random_below(4) : 1 + random_below(8);
            check_random_read(&bus, address, width);
            check_random_write(&bus, address, width);
            assert_ptr_equal(bus_find(&bus, address),
                             model_find(address) ? &model_find(address)->region : NULL);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supported_widths_arrive_whole),
        cmocka_unit_test(others_are_split_low_first),
        cmocka_unit_test(wide_registers_are_picked_apart),
        cmocka_unit_test(unclaimed_reads_are_ones_and_counted),
        cmocka_unit_test(nothing_wraps),
        cmocka_unit_test(overlaps_and_nonsense_are_refused),
        cmocka_unit_test(a_full_bus_refuses),
        cmocka_unit_test(random_accesses_match_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
