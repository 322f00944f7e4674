/* The host's CMOS clock. Source: Motorola MC146818 datasheet, "Address Map". Contract: api/host_rtc.h. */
#include "arch/x86/api/host_rtc.h"
#include "arch/x86/api/lock.h"
#include "arch/x86/asm.h"
#include "lib/date.h"

#define PORT_INDEX       0x70
#define PORT_DATA        0x71
#define REG_A            0x0A
#define REG_B            0x0B
#define REG_CENTURY      0x32
#define UIP              BIT(7)
#define B_24H            BIT(1)
#define B_BINARY         BIT(2)
#define UPDATE_POLLS_MAX 100000u

static uint8_t read_cmos(uint8_t index)
{
    outb(PORT_INDEX, index);
    return inb(PORT_DATA);
}

static unsigned number(uint8_t value, uint8_t b)
{
    return b & B_BINARY ? value : (unsigned)(value >> 4) * 10 + (value & 15);
}

static struct lock lock; /* an index and what is read by it go together */

static uint64_t read_seconds(void)
{
    for (unsigned i = 0; read_cmos(REG_A) & UIP; i++)
        if (i == UPDATE_POLLS_MAX)
            return 0;
    uint8_t b = read_cmos(REG_B), hour_raw = read_cmos(4);
    unsigned second = number(read_cmos(0), b), minute = number(read_cmos(2), b),
             hour = number(hour_raw & 0x7F, b);
    unsigned day = number(read_cmos(7), b), month = number(read_cmos(8), b), year = number(read_cmos(9), b);
    unsigned century = number(read_cmos(REG_CENTURY), b);

    if (!(b & B_24H))
        hour = hour % 12 + (hour_raw & 0x80 ? 12 : 0);
    year += century >= 19 && century <= 21 ? century * 100 : 2000;
    if (month < 1 || month > 12 || day < 1 || day > 31 || year < 1970)
        return 0;
    return date_days(year, month, day) * 86400 + hour * 3600u + minute * 60u + second;
}

uint64_t host_rtc_seconds(void)
{
    bool taken = lock_take(&lock);
    uint64_t seconds = read_seconds();

    lock_give(&lock, taken);
    return seconds;
}
