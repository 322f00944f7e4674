/* The tests of the timing guest; each prints its figures and returns true for PASS. Words are described in
 * tests/guests/README.md. */
#ifndef GUEST_TIMING_H
#define GUEST_TIMING_H

#include "tests/guests/lib/guest.h"

typedef void load_function(volatile uint64_t *counter, uint64_t target);
load_function load_spin, load_halt, load_movsb, load_cpuid, load_port, load_mmio;
extern uint32_t
    load_gap; /* rounds of two instructions between the exits of cpuid, port and mmio; the word gap= */
/* The one that the word load= names (default spin); fails the guest on an unknown name. */
load_function *load_chosen(void);

bool test_pit(void);
bool test_rep(void);
bool test_work(void);
bool test_continuity(void);
bool test_clocks(void);
bool test_count(void);
bool test_cpuid(void);
bool test_spin(void);
bool test_busy(void);
bool test_bench(void);

/* Two instructions a round; returns the TSC behind it, *before_tsc: in front (loads.asm). */
uint64_t counted_loop(uint64_t rounds, uint64_t *before_tsc);

/* A mark for the host side: a byte written to port 80h, only with marks=1. */
void mark(uint8_t value);

#endif
