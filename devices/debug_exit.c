/* The debug exit port; what it models is in debug_exit.h. */
#include "devices/debug_exit.h"

static uint64_t debug_exit_read(void *opaque, uint64_t offset, unsigned width)
{
    (void)opaque;
    (void)offset;
    (void)width;
    return 0;
}

static void debug_exit_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct debug_exit *debug_exit = opaque;
    uint64_t mask = width >= 4 ? UINT32_MAX : BIT64(width * 8) - 1;

    if (offset == 0 && debug_exit->exit)
        debug_exit->exit(debug_exit->opaque, (uint32_t)(value & mask));
}

/* Nothing to reset and nothing to restore: the device holds no state. */
static void debug_exit_nothing(void *opaque)
{
    (void)opaque;
}

void debug_exit_init(struct debug_exit *debug_exit, void (*exit)(void *opaque, uint32_t value), void *opaque)
{
    static const struct bus_ops ops = {debug_exit_read, debug_exit_write};

    debug_exit->exit = exit;
    debug_exit->opaque = opaque;
    debug_exit->ports = (struct bus_region){.base = 0xf4,
                                            .length = 4,
                                            .widths = 1 | 2 | 4,
                                            .ops = &ops,
                                            .opaque = debug_exit,
                                            .name = "debug exit"};
    debug_exit->device = (struct device){.name = "debug_exit",
                                         .opaque = debug_exit,
                                         .reset = debug_exit_nothing,
                                         .state = NULL,
                                         .state_size = 0,
                                         .state_version = 1,
                                         .restored = debug_exit_nothing};
}
