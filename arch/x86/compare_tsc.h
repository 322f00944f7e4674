/* How far a further CPU's TSC is from the boot CPU's. On the boot CPU, while it starts the others. */
#ifndef ARCH_X86_COMPARE_TSC_H
#define ARCH_X86_COMPARE_TSC_H

#include "lib/base.h"

struct tsc_offset {
    int64_t ahead;   /* of the boot CPU's, in cycles */
    uint64_t within; /* give or take */
};

struct tsc_offset compare_tsc(unsigned id);

void compare_tsc_show(unsigned id, const struct tsc_offset *offset);

/* Both run at one rate, the one that was measured: a while after `first` the offset is what it was. False,
 * with a logged line: it isn't. */
bool compare_tsc_same_rate(unsigned id, const struct tsc_offset *first);

#endif
