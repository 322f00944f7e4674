/* The input queue; the contract is in input.h. */
#include "hv/input.h"

static void deliver(void *opaque, uint64_t when)
{
    struct input *input = opaque;

    (void)when;
    while (input->seen != input->taken) {
        size_t head = input->taken % INPUT_SIZE;
        size_t run = MIN((size_t)(input->seen - input->taken), INPUT_SIZE - head);
        size_t taken = input->deliver(input->opaque, input->bytes + head, run);

        taken = MIN(taken, run);
        __atomic_store_n(&input->taken, input->taken + taken, __ATOMIC_RELEASE);
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
    if (input->put - __atomic_load_n(&input->taken, __ATOMIC_ACQUIRE) == INPUT_SIZE) {
        input->dropped++;
        return;
    }
    input->bytes[input->put % INPUT_SIZE] = byte;
    __atomic_store_n(&input->put, input->put + 1, __ATOMIC_RELEASE);
}

void input_look(struct input *input)
{
    uint64_t put = __atomic_load_n(&input->put, __ATOMIC_ACQUIRE);

    if (put == input->seen)
        return;
    input->seen = put;
    deadline_set(&input->deadline, guest_clock_now(input->clock));
}

void input_ready(struct input *input)
{
    if (input->seen != input->taken)
        deadline_set(&input->deadline, guest_clock_now(input->clock));
}

void input_reset(struct input *input)
{
    deadline_cancel(&input->deadline);
    input_ready(input);
}
