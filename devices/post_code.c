/* The POST code port; what it models is in post_code.h. */
#include "devices/post_code.h"

static uint64_t post_code_read(void *opaque, uint64_t offset, unsigned width)
{
    const struct post_code *post_code = opaque;

    (void)offset;
    (void)width;
    return post_code->state.last;
}

static void post_code_write(void *opaque, uint64_t offset, unsigned width, uint64_t value)
{
    struct post_code *post_code = opaque;

    (void)offset;
    (void)width;
    post_code->state.last = (uint8_t)value;
    if (post_code->written)
        post_code->written(post_code->opaque, (uint8_t)value);
}

static void post_code_reset(void *opaque)
{
    struct post_code *post_code = opaque;

    post_code->state.last = 0;
}

/* Any byte is a valid state. */
static void post_code_restored(void *opaque)
{
    (void)opaque;
}

void post_code_init(struct post_code *post_code)
{
    static const struct bus_ops ops = {post_code_read, post_code_write};

    post_code->ports = (struct bus_region){
        .base = 0x80, .length = 1, .widths = 1, .ops = &ops, .opaque = post_code, .name = "POST code"};
    post_code->device = (struct device){.name = "post_code",
                                        .opaque = post_code,
                                        .reset = post_code_reset,
                                        .state = &post_code->state,
                                        .state_size = sizeof(post_code->state),
                                        .state_version = POST_CODE_STATE_VERSION,
                                        .restored = post_code_restored};
    post_code_reset(post_code);
}
