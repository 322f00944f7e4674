/* The timing guest: picks the test that the command line names. */
#include "tests/guests/timing/timing.h"

static const struct {
    const char *name;
    bool (*run)(void);
} tests[] = {
    {"pit", test_pit},       {"work", test_work},   {"continuity", test_continuity},
    {"clocks", test_clocks}, {"count", test_count}, {"spin", test_spin},
    {"busy", test_busy},     {"bench", test_bench}, {"cpuid", test_cpuid},
    {"rep", test_rep},
};

static const struct {
    const char *name;
    load_function *run;
} loads[] = {
    {"spin", load_spin},   {"halt", load_halt}, {"movsb", load_movsb},
    {"cpuid", load_cpuid}, {"port", load_port}, {"mmio", load_mmio},
};

load_function *load_chosen(void)
{
    load_gap = (uint32_t)word_number("gap", 0);
    if (!word_text("load"))
        return load_spin;
    for (size_t i = 0; i < ARRAY_LENGTH(loads); i++)
        if (word_is("load", loads[i].name))
            return loads[i].run;
    guest_fail("load=: unknown");
}

void mark(uint8_t value)
{
    if (word_number("marks", 0))
        out8(0x80, value);
}

bool guest_run(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(tests); i++)
        if (word_bare(tests[i].name))
            return tests[i].run();
    guest_fail("no test named on the command line");
}
