/*
 * Reports for who compares a guest's runs on QEMU and on Bochs by the cycle: the two count REP string
 * instructions and faults differently. The rule is in docs/equivalence.md and tools/compare_traces.py; the
 * guest only says what it did, by an OUT of 32 bits to a port that nobody claims.
 */
#ifndef GUEST_REPORT_H
#define GUEST_REPORT_H

#include "tests/guests/lib/guest.h"

/* lib/report.inc says the same. */
#define REPORT_PORT_REP   0x2F0u
#define REPORT_PORT_FAULT 0x2F4u
#define REPORT_BY_FLAG    (1u << 31)

/* A MOVS, STOS, LODS, CMPS or SCAS with REP is done; by_flag: by a comparison, even if it was the last one.
 * INS and OUTS aren't reported: each of their iterations exits. */
static inline void report_rep(uint32_t iterations, bool by_flag)
{
    out32(REPORT_PORT_REP, iterations | (by_flag ? REPORT_BY_FLAG : 0));
}

/* An exception has arrived. */
static inline void report_fault(uint64_t vector)
{
    out32(REPORT_PORT_FAULT, (uint32_t)vector);
}

#endif
