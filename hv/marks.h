/* Marks: the host TSC at each of a guest's last POST codes (port 80h), so that a run can be measured from
 * outside: `make bench` reads them. */
#ifndef HV_MARKS_H
#define HV_MARKS_H

#include "lib/base.h"

#define MARKS_MAX 64

struct mark {
    uint64_t host_tsc;
    uint8_t code;
};

struct marks {
    unsigned count; /* all that were put; the last MARKS_MAX are kept */
    struct mark marks[MARKS_MAX];
};

static inline void marks_put(struct marks *marks, uint8_t code, uint64_t host_tsc)
{
    marks->marks[marks->count++ % MARKS_MAX] = (struct mark){host_tsc, code};
}

#endif
