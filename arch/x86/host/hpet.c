/* The host's HPET; the contract is in hpet.h. */
#include "arch/x86/host/hpet.h"
#include "arch/x86/paging.h"

#define BLOCK_SIZE            1024u
#define REG_CAPABILITIES      0x000 /* GCAP_ID, low half */
#define REG_PERIOD            0x004 /* COUNTER_CLK_PERIOD, its high half, in femtoseconds */
#define REG_CONFIGURATION     0x010
#define REG_COUNTER           0x0F0
#define CAPABILITIES_REVISION 0xFFu
#define CONFIGURATION_ENABLE  BIT(0)
#define PERIOD_MIN_FS         100000u    /* 10 GHz; faster is nonsense, and rate.h wants no more */
#define PERIOD_MAX_FS         100000000u /* the specification's limit, 05F5E100h: 10 MHz at least */
#define AS_PER_FS             1000u
#define BASE_MAX              BIT64(45) /* keeps clear of the image, at the end of the address space */

static volatile uint32_t *registers;
static uint32_t configuration; /* as it was found */

static uint32_t reg_read(unsigned offset)
{
    return registers[offset / 4];
}

static void reg_write(unsigned offset, uint32_t value)
{
    registers[offset / 4] = value;
}

/* The low half: 32 bits last 43 s even at 100 MHz, and a 32-bit counter has no more. */
static uint32_t read_counter(const void *device)
{
    (void)device;
    return reg_read(REG_COUNTER);
}

bool host_hpet_start(uint64_t base, struct rate_counter *counter)
{
    if (base % 8 != 0 || base >= MIN(paging_phys_limit(), BASE_MAX) - BLOCK_SIZE)
        return false;
    registers = paging_map_device(base, BLOCK_SIZE);
    uint32_t period_fs = reg_read(REG_PERIOD);
    if (!(reg_read(REG_CAPABILITIES) & CAPABILITIES_REVISION) || period_fs < PERIOD_MIN_FS ||
        period_fs > PERIOD_MAX_FS)
        return false;
    configuration = reg_read(REG_CONFIGURATION);
    reg_write(REG_CONFIGURATION, configuration | CONFIGURATION_ENABLE);
    *counter = (struct rate_counter){.read = read_counter,
                                     .mask = UINT32_MAX,
                                     .period_low_as = (uint64_t)period_fs * AS_PER_FS,
                                     .period_high_as = (uint64_t)period_fs * AS_PER_FS};
    return true;
}

void host_hpet_stop(void)
{
    reg_write(REG_CONFIGURATION, configuration);
}
