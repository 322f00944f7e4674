/* The VGA's registers, its retrace against the formula, and the screen as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "devices/vga_text.h"
#include "hv/clock.h"

#define HZ 1000000000

static struct guest_clock rig_clock;
static struct vga_text vga;
static uint8_t *ram;   /* on the heap, so that ASan sees an access outside */
static bool restoring; /* save and restore around each access */

static void round_trip(void)
{
    if (!restoring)
        return;
    struct vga_text_state saved = vga.state;

    memset(&vga, 0xa5, sizeof(vga));
    vga_text_init(&vga, &rig_clock, ram);
    vga.state = saved;
    vga.device.restored(vga.device.opaque);
    assert_memory_equal(&saved, &vga.state, sizeof(saved));
}

static uint8_t in(unsigned port)
{
    round_trip();
    for (unsigned i = 0; i < 3; i++)
        if (port - vga.ports[i].base < vga.ports[i].length)
            return (uint8_t)vga.ports[i].ops->read(vga.ports[i].opaque, port - vga.ports[i].base, 1);
    fail_msg("port %x is unclaimed", port);
    return 0;
}

static void out(unsigned port, unsigned value)
{
    round_trip();
    for (unsigned i = 0; i < 3; i++)
        if (port - vga.ports[i].base < vga.ports[i].length)
            vga.ports[i].ops->write(vga.ports[i].opaque, port - vga.ports[i].base, 1, value);
}

static uint8_t in_indexed(unsigned port, unsigned index)
{
    out(port, index);
    return in(port + 1);
}

static void out_indexed(unsigned port, unsigned index, unsigned value)
{
    out(port, index);
    out(port + 1, value);
}

static int setup(void **unused)
{
    (void)unused;
    free(ram);
    ram = calloc(1, VGA_TEXT_RAM_SIZE);
    guest_clock_init(&rig_clock, HZ);
    vga_text_init(&vga, &rig_clock, ram);
    restoring = false;
    return 0;
}

static int setup_restoring(void **unused)
{
    setup(unused);
    restoring = true;
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    free(ram);
    ram = NULL;
    return 0;
}

static void test_reset(void **unused)
{
    unsigned column = 9, row = 9;

    (void)unused;
    assert_int_equal(in_indexed(0x3d4, 0x01), 79);
    assert_int_equal(in_indexed(0x3d4, 0x13), 40);
    assert_int_equal(in(0x3cc), 0x67);
    assert_int_equal(in_indexed(0x3c4, 4), 2);
    assert_int_equal(in_indexed(0x3ce, 6), 0x0e);
    assert_true(vga_text_cursor(&vga, &column, &row));
    assert_int_equal(column, 0);
    assert_int_equal(row, 0);
    char screen[64];
    assert_int_equal(vga_text_screen(&vga, screen, sizeof(screen)), 25);
    assert_string_equal(screen, "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n");
    out_indexed(0x3d4, 0x0c, 5);
    vga.device.reset(vga.device.opaque);
    assert_int_equal(in_indexed(0x3d4, 0x0c), 0);
}

static void test_crtc(void **unused)
{
    (void)unused;
    for (unsigned i = 8; i < 25; i++) {
        if (i == 0x11)
            continue;
        out_indexed(0x3d4, i, 0xa0 + i);
        assert_int_equal(in(0x3d4), i);
        assert_int_equal(in_indexed(0x3d4, i), 0xa0 + i);
    }
    /* Registers 0 to 7 are protected by bit 7 of 11h, but for bit 4 of 7. */
    out_indexed(0x3d4, 0x11, 0x8e);
    out_indexed(0x3d4, 0x00, 0x12);
    out_indexed(0x3d4, 0x07, 0x00);
    assert_int_equal(in_indexed(0x3d4, 0x00), 0x5f);
    assert_int_equal(in_indexed(0x3d4, 0x07), 0x0f);
    out_indexed(0x3d4, 0x11, 0x0e);
    out_indexed(0x3d4, 0x00, 0x12);
    out_indexed(0x3d4, 0x07, 0x00);
    assert_int_equal(in_indexed(0x3d4, 0x00), 0x12);
    assert_int_equal(in_indexed(0x3d4, 0x07), 0x00);
}

static void test_absent_registers(void **unused)
{
    static const uint16_t ports[] = {0x3d4, 0x3c4, 0x3ce};

    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned index = 0x19; index < 256; index++) {
            out_indexed(ports[i], index, 0xff);
            assert_int_equal(in_indexed(ports[i], index), 0);
        }
    out(0x3cd, 0xff);
    assert_int_equal(in(0x3cd), 0);
}

static void test_attribute_flip_flop(void **unused)
{
    (void)unused;
    in(0x3da);
    out(0x3c0, 0x03); /* index */
    out(0x3c0, 0x2a); /* data */
    out(0x3c0, 0x30); /* index 10h, and the screen on */
    out(0x3c0, 0x0c);
    assert_int_equal(in(0x3c0), 0x30);
    assert_int_equal(in(0x3c1), 0x0c);
    out(0x3c0, 0x03);
    in(0x3da); /* forgets that data was next */
    out(0x3c0, 0x03);
    assert_int_equal(in(0x3c1), 0x2a);
    in(0x3da);
    out(0x3c0, 0x1f);
    out(0x3c0, 0xff);
    assert_int_equal(in(0x3c1), 0);
}

static void test_dac(void **unused)
{
    (void)unused;
    out(0x3c7, 0x3f); /* EGA white */
    assert_int_equal(in(0x3c7), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(in(0x3c9), 63);
    out(0x3c7, 0x14); /* brown */
    assert_int_equal(in(0x3c9), 42);
    assert_int_equal(in(0x3c9), 21);
    assert_int_equal(in(0x3c9), 0);
    out(0x3c8, 0xff);
    assert_int_equal(in(0x3c7), 0);
    for (unsigned i = 0; i < 6; i++) /* runs over into entry 0 */
        out(0x3c9, 0xc1 + i);
    assert_int_equal(in(0x3c8), 1);
    out(0x3c7, 0xff);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(in(0x3c9), 1 + i);
    out(0x3c6, 0x0f);
    assert_int_equal(in(0x3c6), 0x0f);
}

static void test_misc_output(void **unused)
{
    (void)unused;
    out(0x3c2, 0x66); /* monochrome addresses: the CRTC stays at 3D4h */
    assert_int_equal(in(0x3cc), 0x66);
    assert_int_equal(in_indexed(0x3d4, 0x01), 79);
    assert_int_equal(in(0x3c2), 0x10);
    out(0x3da, 0x03);
    assert_int_equal(in(0x3ca), 0x03);
    out(0x3c3, 0x00);
    assert_int_equal(in(0x3c3), 0x00);
    out_indexed(0x3c4, 1, 0x21);
    assert_int_equal(in(0x3c4), 1);
    assert_int_equal(in(0x3c5), 0x21);
    out_indexed(0x3ce, 8, 0x7f);
    assert_int_equal(in(0x3ce), 8);
    assert_int_equal(in(0x3cf), 0x7f);
}

/* Each place where 3DAh changes, over frames near the start and after a day, against the definition in 128
 * bits. */
static void test_retrace_grid(void **unused)
{
    static const uint64_t starts[] = {0, UINT64_C(86400) * HZ};

    (void)unused;
    for (unsigned s = 0; s < 2; s++) {
        uint64_t retraces = 0;
        uint8_t last = 0xff;
        for (uint64_t t = starts[s]; t < starts[s] + HZ / 5; t += 1777) {
            uint64_t dot = (uint64_t)((unsigned __int128)t * 28322000 / HZ);
            uint64_t line = dot / 900 % 449;
            uint8_t want = (uint8_t)((line >= 400 || dot % 900 >= 720) | (line == 412 || line == 413) << 3);

            guest_clock_advance(&rig_clock, t);
            uint8_t got = in(0x3da);
            assert_int_equal(got, want);
            if (got & 8 & ~last)
                retraces++;
            last = got;
        }
        assert_in_range(retraces, 14, 15); /* 70.09 Hz */
    }
}

static void put(unsigned cell, const char *text)
{
    for (; *text; text++, cell++)
        ram[cell % 16384 * 2] = (uint8_t)*text;
}

static void test_screen(void **unused)
{
    char screen[VGA_TEXT_SCREEN_SIZE];

    (void)unused;
    put(0, "\xc9\xcd\xbb Hello");
    put(80 + 79, "X");
    put(160, "tail \xff\x20");
    put(24 * 80, "last");
    size_t length = vga_text_screen(&vga, screen, sizeof(screen));
    assert_int_equal(length, strlen(screen));
    assert_memory_equal(screen, "\u2554\u2550\u2557 Hello\n", 16);
    assert_non_null(strstr(screen, "X\ntail\n\n"));
    assert_string_equal(screen + length - 5, "last\n");
    /* Scrolled by one line, and round the end of the buffer. */
    out_indexed(0x3d4, 0x0d, 80);
    vga_text_screen(&vga, screen, sizeof(screen));
    assert_int_equal(strspn(screen, " "), 79);
    out_indexed(0x3d4, 0x0c, 16304 >> 8);
    out_indexed(0x3d4, 0x0d, 16304 & 0xff);
    vga_text_screen(&vga, screen, sizeof(screen));
    assert_memory_equal(screen, "\n\u2554", 4);
    /* The widest possible screen fits. */
    memset(ram, 0xdb, VGA_TEXT_RAM_SIZE);
    assert_int_equal(vga_text_screen(&vga, screen, sizeof(screen)), VGA_TEXT_SCREEN_SIZE - 1);
}

static void test_screen_cut(void **unused)
{
    (void)unused;
    put(0, "a\x81"
           "b\xdb"); /* 1, 2, 1 and 3 bytes */
    static const char *const want[] = {"",
                                       "",
                                       "a",
                                       "a",
                                       "a\u00fc",
                                       "a\u00fcb",
                                       "a\u00fcb",
                                       "a\u00fcb",
                                       "a\u00fcb\u2588",
                                       "a\u00fcb\u2588\n"};
    for (size_t size = 0; size < 10; size++) {
        char screen[16] = "untouched";

        assert_int_equal(vga_text_screen(&vga, screen, size), 7 + 25);
        assert_string_equal(screen, size ? want[size] : "untouched");
    }
}

static void test_code_page(void **unused)
{
    char screen[VGA_TEXT_SCREEN_SIZE];

    (void)unused;
    for (unsigned i = 0; i < 256; i++)
        ram[i * 2] = (uint8_t)i;
    vga_text_screen(&vga, screen, sizeof(screen));
    assert_memory_equal(screen, " \u263a\u263b\u2665", 10);
    assert_non_null(strstr(
        screen, " !\"#$%&'()*+,-./"
                "0123456789:;<=>?@ABCDEFGHIJKLMNO\nPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\u2302"));
    assert_non_null(strstr(screen, "\u2561\u2562\u2556\u2555\u2563\u2551\u2557\u255d\u255c\u255b\u2510"));
    assert_non_null(strstr(screen, "\u221a\u207f\u00b2\u25a0\n"));
}

static void test_cursor(void **unused)
{
    unsigned column = 77, row = 77;

    (void)unused;
    out_indexed(0x3d4, 0x0e, (3 * 80 + 17) >> 8);
    out_indexed(0x3d4, 0x0f, (3 * 80 + 17) & 0xff);
    assert_true(vga_text_cursor(&vga, &column, &row));
    assert_int_equal(column, 17);
    assert_int_equal(row, 3);
    out_indexed(0x3d4, 0x0d, 80);
    assert_true(vga_text_cursor(&vga, &column, &row));
    assert_int_equal(row, 2);
    out_indexed(0x3d4, 0x0e, 0x3f); /* outside */
    assert_false(vga_text_cursor(&vga, &column, &row));
    out_indexed(0x3d4, 0x0e, 0);
    out_indexed(0x3d4, 0x0f, 80);
    assert_true(vga_text_cursor(&vga, &column, &row));
    out_indexed(0x3d4, 0x0a, 0x2d); /* off */
    assert_false(vga_text_cursor(&vga, &column, &row));
    out_indexed(0x3d4, 0x0a, 0x0d);
    out_indexed(0x3d4, 0x13, 0); /* rows without width */
    assert_false(vga_text_cursor(&vga, &column, &row));
    out_indexed(0x3d4, 0x13, 50); /* rows of 100, the cursor beyond column 80 */
    out_indexed(0x3d4, 0x0f, 80 + 90);
    assert_false(vga_text_cursor(&vga, &column, &row));
}

static void test_restore_garbage(void **unused)
{
    char screen[VGA_TEXT_SCREEN_SIZE];
    unsigned column, row;

    (void)unused;
    for (unsigned seed = 0; seed < 256; seed++) {
        memset(&vga.state, (int)seed, sizeof(vga.state));
        vga.device.restored(vga.device.opaque);
        for (unsigned port = 0x3c0; port < 0x3d0; port++) {
            in(port);
            out(port, seed);
        }
        in(0x3d5);
        in(0x3da);
        vga_text_screen(&vga, screen, sizeof(screen));
        vga_text_cursor(&vga, &column, &row);
    }
}

int main(void)
{
#define BOTH_WAYS(test) cmocka_unit_test_setup(test, setup), cmocka_unit_test_setup(test, setup_restoring)
    const struct CMUnitTest tests[] = {
        BOTH_WAYS(test_reset),
        BOTH_WAYS(test_crtc),
        BOTH_WAYS(test_absent_registers),
        BOTH_WAYS(test_attribute_flip_flop),
        BOTH_WAYS(test_dac),
        BOTH_WAYS(test_misc_output),
        BOTH_WAYS(test_retrace_grid),
        BOTH_WAYS(test_screen),
        BOTH_WAYS(test_screen_cut),
        BOTH_WAYS(test_code_page),
        BOTH_WAYS(test_cursor),
        cmocka_unit_test_setup(test_restore_garbage, setup),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
