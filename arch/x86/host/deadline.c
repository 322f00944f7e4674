/*
 * Intel's CPUs whose TSC-deadline timer may fire late or early when their microcode is older than a certain
 * revision: Haswell to Kaby Lake. Contract: deadline.h. Source of models and revisions: the table
 * `deadline_match` in Linux, arch/x86/kernel/apic/apic.c, which gathers Intel's specification updates.
 */
#include "arch/x86/host/deadline.h"

#define ANY_STEPPING 0xFF
#define NOT_FIXED    UINT32_MAX

struct repair {
    uint8_t model, stepping;
    uint32_t revision;
};

/* The first that matches; all of family 6. */
static const struct repair repairs[] = {
    {0x3C, ANY_STEPPING, 0x22},       /* Haswell */
    {0x45, ANY_STEPPING, 0x20},       /* Haswell ULT */
    {0x46, ANY_STEPPING, 0x17},       /* Haswell with GT3e */
    {0x3F, 2, 0x3A},                  /* Haswell-EP */
    {0x3F, 4, 0x0F},                  /* Haswell-EX */
    {0x3D, ANY_STEPPING, 0x25},       /* Broadwell */
    {0x47, ANY_STEPPING, 0x17},       /* Broadwell with GT3e */
    {0x4F, ANY_STEPPING, 0x0B000020}, /* Broadwell-EP, -EX */
    {0x56, 2, 0x00000011},            /* Broadwell-DE */
    {0x56, 3, 0x0700000E},
    {0x56, 4, 0x0F00000C},
    {0x56, 5, 0x0E000003},
    {0x55, 3, 0x01000136}, /* Skylake-SP */
    {0x55, 4, 0x02000014},
    {0x4E, ANY_STEPPING, 0xB2}, /* Skylake U and Y */
    {0x5E, ANY_STEPPING, 0xB2}, /* Skylake S and H */
    {0x8E, ANY_STEPPING, 0x52}, /* Kaby Lake U and Y */
    {0x9E, ANY_STEPPING, 0x52}, /* Kaby Lake S and H */
    /* steppings for which no revision is known, samples most of them; later Skylake-SPs are sound */
    {0x3F, ANY_STEPPING, NOT_FIXED},
    {0x56, ANY_STEPPING, NOT_FIXED},
    {0x55, 0, NOT_FIXED},
    {0x55, 1, NOT_FIXED},
    {0x55, 2, NOT_FIXED},
};

uint32_t deadline_microcode(uint32_t signature)
{
    unsigned family = signature >> 8 & 0xF, stepping = signature & 0xF;
    unsigned model = (signature >> 4 & 0xF) | (signature >> 12 & 0xF0);

    if (family != 6)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(repairs); i++)
        if (repairs[i].model == model &&
            (repairs[i].stepping == ANY_STEPPING || repairs[i].stepping == stepping))
            return repairs[i].revision;
    return 0;
}
