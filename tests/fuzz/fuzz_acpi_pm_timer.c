/* Fuzzes the PM timer: a step of 4 bytes is (offset and width, time passed). The counter must follow its
 * formula. */
#include <stdlib.h>
#include "devices/acpi_pm_timer.h"
#include "hv/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t rates[] = {1000000000, 999999937, 1193181, 3400000001};
    static struct guest_clock guest;
    static struct acpi_pm_timer timer;

    if (size == 0)
        return 0;
    guest_clock_init(&guest, rates[data[0] & 3]);
    acpi_pm_timer_init(&timer, &guest, ACPI_PM_TIMER_PORT, data[0] & 4 ? 32 : 24);
    for (data++, size--; size >= 4; data += 4, size -= 4) {
        unsigned width = 1u << (data[0] & 3) % 3;
        unsigned offset = (data[0] >> 2) % (5 - width);
        uint64_t pass = (uint64_t)(data[1] | data[2] << 8) << (data[3] & 31);

        guest_clock_advance(&guest, guest.now > UINT64_MAX - pass ? UINT64_MAX : guest.now + pass);
        unsigned __int128 edges =
            (unsigned __int128)guest.now * 39375000 / ((unsigned __int128)guest.hz * 11);
        uint64_t expected = ((uint64_t)edges & timer.mask) >> offset * 8 & (BIT64(width * 8) - 1);

        if (data[0] & 0x80)
            timer.region.ops->write(timer.region.opaque, offset, width, pass);
        if (timer.region.ops->read(timer.region.opaque, offset, width) != expected)
            abort();
    }
    return 0;
}
