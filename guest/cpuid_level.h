/*
 * The CPUs that cpu=v1, v2 and v3 show: the micro-architecture levels of the x86-64 psABI, each as a CPU that
 * is the same on every machine. What such a CPU shows is a const table; it passes through the rules of
 * cpuid_table.c like a host's.
 *
 * A level's features are the psABI's, and below them what both vendors' first 64-bit CPUs have, Verge
 * virtualises and a kernel needs: VME is not among them, since emulators leave it out. Nothing else of the
 * host is shown, not even what each CPU of a level has by chance. Cleared as ever: the local APIC.
 *
 * Everything else is fixed:
 *  1. Family 0Fh, model 6Bh, stepping 1 (qemu64's): the one number under which kernels of both vendors' code
 *     expect no model-specific registers; QEMU shows it on hosts of both.
 *  2. Address widths: 36 bits physical for v1 and v2, 39 for v3, as the least of CPUs that can run guests and
 *     have the level; 48 linear. A host with less is refused. One with more checks fewer reserved bits by
 *     itself: hv/emulate.c does it where the guest's access ends in a nested page fault.
 *  3. Caches: L1 of 32 KB each for data and code, 8 ways; L2 of 512 KB, 8 ways; lines of 64 bytes; told in
 *     Intel's leaves 2 and 4 and in AMD's 80000005h and 80000006h. TLBs are not told.
 *  4. Highest leaves 0Dh and 80000008h; a name of 48 bytes; no topology leaves: one CPU.
 *  5. XSAVE, in v3: x87, SSE and AVX, the standard form only, AVX at 576.
 *  6. 80000000h is without the vendor's name, and 80000001h EDX without AMD's copies of leaf 1.
 *
 * The host's are the vendor's name in leaf 0, and with it the vendor's MSRs (guest/msr.c).
 *
 * Sources: System V ABI AMD64 supplement, table "Micro-Architecture Levels"; as in cpuid.h.
 */
#ifndef GUEST_CPUID_LEVEL_H
#define GUEST_CPUID_LEVEL_H

#include "guest/cpuid.h"

#define CPUID_LEVELS    3
#define CPUID_LACK_SIZE 32

/* What a CPU of `level`, 1 to CPUID_LEVELS, would say; leaf 0 has no vendor's name. */
cpuid_source *cpuid_level_source(unsigned level);

/* Whether the host can't show this level; then `what` names the first thing that it lacks. */
bool cpuid_level_lacks(cpuid_source *host, unsigned level, char what[CPUID_LACK_SIZE]);

#endif
