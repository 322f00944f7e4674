/*
 * A small deterministic generator for tests and for `perturb=SEED`: xoshiro256** (Blackman and Vigna,
 * "Scrambled Linear Pseudorandom Number Generators"), its state filled by splitmix64 (Steele, Lea and Flood,
 * "Fast Splittable Pseudorandom Number Generators"). The same seed gives the same sequence everywhere. Not
 * for secrets. Each user owns its own state; no locks.
 */
#ifndef LIB_PRNG_H
#define LIB_PRNG_H

#include "lib/base.h"

struct prng {
    uint64_t state[4];
};

/* One step of splitmix64: advances *state and returns the next number. Any seed is good, 0 too. */
uint64_t splitmix64(uint64_t *state);

void prng_seed(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);

/* Even over 0 .. bound - 1 to within bound / 2^64, without a division; bound 0 gives 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);

#endif
