/* `cpuid`: every leaf and subleaf that the CPU shows, one line each. */
#include "tests/guests/timing/timing.h"

#define SUBLEAVES 4u

static const uint32_t ranges[] = {0x00000000, 0x40000000, 0x80000000};

static void show(uint32_t leaf, uint32_t subleaf)
{
    uint32_t r[4];

    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "0"(leaf), "2"(subleaf));
    if (r[0] | r[1] | r[2] | r[3])
        print("leaf %08x %x %08x %08x %08x %08x\n", leaf, subleaf, r[0], r[1], r[2], r[3]);
}

bool test_cpuid(void)
{
    uint32_t r[4];

    for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
        cpuid(ranges[i], r);
        uint32_t last = r[0] - ranges[i] <= 0xFFFF ? r[0] : ranges[i];
        for (uint32_t leaf = ranges[i]; leaf <= last; leaf++)
            for (uint32_t subleaf = 0; subleaf < SUBLEAVES; subleaf++)
                show(leaf, subleaf);
    }
    print("RESULT PASS cpuid\n");
    return true;
}
