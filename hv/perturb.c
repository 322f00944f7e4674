/* Random disturbance of the host side; the contract is in perturb.h. */
#include "hv/perturb.h"
#include "arch/x86/api/per_cpu.h"
#include "lib/prng.h"

#define BURN_MOST  5000u   /* cycles */
#define EARLY_MOST 200000u /* cycles */

bool perturb_on;

static PER_CPU struct prng prng;

void perturb_init(uint64_t seed)
{
    perturb_on = seed != 0;
    prng_seed(&prng, seed + this_cpu()->id);
}

static void unmap_somewhere(struct vm *vm)
{
    uint64_t low = guest_mem_low_bytes(vm->memory.ram_bytes);

    nested_unmap(&vm->nested, prng_below(&prng, low));
}

void perturb_exit(struct vm *vm)
{
    uint64_t burn = prng_below(&prng, BURN_MOST + 1) / 2;

    for (; burn; burn--) /* two instructions each */
        __asm__ volatile("");
    if (prng_below(&prng, 16) == 0)
        unmap_somewhere(vm);
}

uint64_t perturb_limit(uint64_t host_now, uint64_t host_limit)
{
    if (prng_below(&prng, 4))
        return host_limit;
    return MIN(host_limit, host_now + prng_below(&prng, EARLY_MOST));
}

bool perturb_ends_slice(void)
{
    return prng_below(&prng, 64) == 0;
}
