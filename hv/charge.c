/*
 * The charge table; the contract is in charge.h. An ISA port cycle is 8 clocks of 8.33 MHz: about 1 us. The
 * others are rounded figures of current CPUs: CPUID about 100 cycles, RDMSR and HLT's entry about as much, an
 * uncached load 200 ns, interrupt delivery 100 cycles.
 */
#include "hv/charge.h"
#include "lib/ratio.h"

static const struct {
    const char *name;
    uint64_t ns;
} table[CHARGES] = {
    [CHARGE_PORT] = {"port", 1000}, [CHARGE_MMIO] = {"mmio", 200}, [CHARGE_CPUID] = {"cpuid", 50},
    [CHARGE_MSR] = {"msr", 50},     [CHARGE_HLT] = {"hlt", 50},    [CHARGE_OTHER] = {"other", 50},
    [CHARGE_EVENT] = {"event", 50},
};

void charges_init(struct charges *charges, uint64_t hz, uint64_t each)
{
    struct ratio cycles_per_ns;

    ratio_init(&cycles_per_ns, hz, UINT64_C(1000000000));
    for (unsigned i = 0; i < CHARGES; i++) {
        uint64_t cycles = ratio_ceil(&cycles_per_ns, table[i].ns);

        charges->cycles[i] = each ? each : MAX(cycles, UINT64_C(1));
    }
    if (each)
        charges->cycles[CHARGE_EVENT] = 0;
}

const char *charge_name(enum charge charge)
{
    return table[charge].name;
}

uint64_t charge_ns(enum charge charge)
{
    return table[charge].ns;
}
