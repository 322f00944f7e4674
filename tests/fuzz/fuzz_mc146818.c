/*
 * Fuzzes the RTC: a step of 5 bytes is (port, value, and the time that passes before: a 16-bit number times a
 * power of two). Beside the sanitisers it checks that the line is IRQF, that deadlines lie ahead, that a
 * restored copy is the same, and that reading the time changes nothing.
 */
#include <stdlib.h>
#include <string.h>
#include "devices/mc146818.h"
#include "hv/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guest_clock guest;
static struct mc146818 rtc;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void access_port(unsigned what, uint8_t value)
{
    const struct bus_region *region = &rtc.region;

    if (what & 2)
        region->ops->write(region->opaque, what & 1, 1, value);
    else
        check(region->ops->read(region->opaque, what & 1, 1) <= 0xff);
}

static void save_and_restore(void)
{
    struct mc146818_state state = rtc.state;

    deadline_cancel(&rtc.deadline);
    mc146818_init(&rtc, &guest, &guest.deadlines);
    rtc.state = state;
    rtc.device.restored(rtc.device.opaque);
}

static void hostile_snapshot(const uint8_t *data)
{
    ((uint8_t *)&rtc.state)[data[1] % sizeof(rtc.state)] = data[2];
    rtc.device.restored(rtc.device.opaque);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t rates[] = {1000000000, 999999937, 1193181, 3400000001};

    if (size == 0)
        return 0;
    guest_clock_init(&guest, rates[data[0] & 3]);
    mc146818_init(&rtc, &guest, &guest.deadlines);
    for (data++, size--; size >= 5; data += 5, size -= 5) {
        uint64_t pass = (uint64_t)(data[2] | data[3] << 8) << (data[4] & 31);

        /* A year at 8192 Hz with nobody reading the flags costs no deadline; a century must not either. */
        guest_clock_advance(&guest, guest.now > UINT64_MAX - pass ? UINT64_MAX : guest.now + pass);
        if (data[0] < 0xf0)
            access_port(data[0], data[1]);
        else if (data[0] < 0xf8)
            save_and_restore();
        else if (data[0] == 0xf8)
            rtc.device.reset(rtc.device.opaque);
        else if (data[0] == 0xf9)
            mc146818_set_time(&rtc, pass);
        else if (data[0] == 0xfa)
            hostile_snapshot(data);
        check(rtc.irq.level == ((rtc.state.cmos[0x0b] & rtc.state.cmos[0x0c] & 0x70) != 0));
        check(!guest.deadlines.first || guest.deadlines.first->when > guest.now);
        check(!rtc.irq.level || !guest.deadlines.first);
        if (data[4] & 32)
            save_and_restore();
    }
    return 0;
}
