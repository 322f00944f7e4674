/* The input queue; the contract is in input.h. */
#include "hv/input.h"

static void deliver(void *opaque, uint64_t when)
{
    struct input *input = opaque;

    (void)when;
    while (input->count) {
        size_t run = MIN(input->count, INPUT_SIZE - input->head);
        size_t taken = input->deliver(input->opaque, input->bytes + input->head, run);

        taken = MIN(taken, run);
        input->head = (input->head + (unsigned)taken) % INPUT_SIZE;
        input->count -= (unsigned)taken;
        if (taken < run)
            return; /* input_ready() goes on */
    }
}

void input_init(struct input *input, struct guest_clock *clock, size_t (*to)(void *, const uint8_t *, size_t),
                void *opaque)
{
    *input = (struct input){.clock = clock, .deliver = to, .opaque = opaque};
    deadline_init(&input->deadline, &clock->deadlines, deliver, input, "input");
}

void input_put(struct input *input, uint8_t byte)
{
    if (input->count == INPUT_SIZE) {
        input->dropped++;
        return;
    }
    input->bytes[(input->head + input->count) % INPUT_SIZE] = byte;
    input->count++;
    deadline_set(&input->deadline, guest_clock_now(input->clock));
}

void input_ready(struct input *input)
{
    if (input->count)
        deadline_set(&input->deadline, guest_clock_now(input->clock));
}

void input_reset(struct input *input)
{
    deadline_cancel(&input->deadline);
    input_ready(input);
}
