/* The one-register devices: port 92h, the debug exit and the POST code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/debug_exit.h"
#include "devices/port92.h"
#include "devices/post_code.h"

static unsigned resets, exits;
static uint32_t exit_value;

static void note_reset(void *opaque)
{
    assert_ptr_equal(opaque, &resets);
    resets++;
}

static void note_exit(void *opaque, uint32_t value)
{
    assert_ptr_equal(opaque, &exits);
    exits++;
    exit_value = value;
}

static uint64_t in(const struct bus_region *ports, uint64_t offset, unsigned width)
{
    return ports->ops->read(ports->opaque, offset, width);
}

static void out(const struct bus_region *ports, uint64_t offset, unsigned width, uint64_t value)
{
    ports->ops->write(ports->opaque, offset, width, value);
}

static void test_port92_reset(void **unused)
{
    struct port92 port92;

    (void)unused;
    resets = 0;
    port92_init(&port92, note_reset, &resets);
    assert_int_equal(port92.ports.base, 0x92);
    assert_int_equal(in(&port92.ports, 0, 1), 0x02);
    assert_true(port92_a20(&port92));
    out(&port92.ports, 0, 1, 0x00);
    assert_false(port92_a20(&port92));
    assert_int_equal(resets, 0);
    out(&port92.ports, 0, 1, 0x03);
    assert_int_equal(resets, 1);
    out(&port92.ports, 0, 1, 0x03); /* no edge */
    assert_int_equal(resets, 1);
    assert_int_equal(in(&port92.ports, 0, 1), 0x03);
    out(&port92.ports, 0, 1, 0x02);
    out(&port92.ports, 0, 1, 0x01);
    assert_int_equal(resets, 2);
    port92.device.reset(port92.device.opaque);
    assert_int_equal(in(&port92.ports, 0, 1), 0x02);
    port92_init(&port92, NULL, NULL);
    out(&port92.ports, 0, 1, 0x01); /* nobody listens */
}

static void test_port92_reserved_bits(void **unused)
{
    struct port92 port92;

    (void)unused;
    port92_init(&port92, NULL, NULL);
    out(&port92.ports, 0, 1, 0xfe);
    assert_int_equal(in(&port92.ports, 0, 1), 0x02);
    *(uint8_t *)port92.device.state = 0xff;
    port92.device.restored(port92.device.opaque);
    assert_int_equal(in(&port92.ports, 0, 1), 0x03);
}

/* The i8042's gate is wired to these. */
static void test_port92_shared_a20(void **unused)
{
    struct port92 port92;

    (void)unused;
    port92_init(&port92, NULL, NULL);
    port92_set_a20(&port92, false);
    assert_int_equal(in(&port92.ports, 0, 1), 0x00);
    port92_set_a20(&port92, true);
    assert_int_equal(in(&port92.ports, 0, 1), 0x02);
}

static void test_debug_exit(void **unused)
{
    struct debug_exit device;

    (void)unused;
    debug_exit_init(&device, note_exit, &exits);
    assert_int_equal(device.ports.base, 0xf4);
    assert_int_equal(device.ports.widths, 7);
    exits = 0;
    out(&device.ports, 0, 1, 0xffffff2a);
    assert_int_equal(exit_value, 0x2a);
    out(&device.ports, 0, 2, 0xffff1234);
    assert_int_equal(exit_value, 0x1234);
    out(&device.ports, 0, 4, 0x1ffffffff);
    assert_int_equal(exit_value, 0xffffffff);
    assert_int_equal(exits, 3);
    out(&device.ports, 1, 1, 7);
    assert_int_equal(exits, 3);
    assert_int_equal(in(&device.ports, 0, 4), 0);
    device.device.reset(device.device.opaque);
    device.device.restored(device.device.opaque);
    debug_exit_init(&device, NULL, NULL);
    out(&device.ports, 0, 1, 1);
    assert_int_equal(exits, 3);
}

static void test_post_code(void **unused)
{
    struct post_code post;

    (void)unused;
    post_code_init(&post);
    assert_int_equal(in(&post.ports, 0, 1), 0);
    out(&post.ports, 0, 1, 0x5c);
    assert_int_equal(in(&post.ports, 0, 1), 0x5c);
    assert_int_equal(post.state.last, 0x5c);
    post.device.restored(post.device.opaque);
    assert_int_equal(post.state.last, 0x5c);
    post.device.reset(post.device.opaque);
    assert_int_equal(post.state.last, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port92_reset),      cmocka_unit_test(test_port92_reserved_bits),
        cmocka_unit_test(test_port92_shared_a20), cmocka_unit_test(test_debug_exit),
        cmocka_unit_test(test_post_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
