/*
 * Fuzzes the 16550A. A step is 5 bytes: what and where, the value, and the time that passes before (a 16-bit
 * number of guest cycles times a power of two). Two of them take the same steps, one with save and restore
 * between; what they read, send and drive must be the same. Beside the sanitisers it checks that the deadline
 * lies ahead, that the line follows OUT2, and that hostile snapshots do no harm.
 */
#include <stdlib.h>
#include <string.h>
#include "devices/uart16550.h"
#include "hv/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
    struct guest_clock clock;
    struct uart16550 uart;
    struct uart16550_config config;
    uint64_t sent; /* a hash of the bytes and their moments */
    unsigned room;
    unsigned ready;
};

static struct side sides[2];

static void check(bool holds)
{
    if (!holds)
        abort();
}

static size_t sink(void *opaque, const uint8_t *data, size_t length)
{
    struct side *side = opaque;

    check(length == 1);
    if (side->room == 0)
        return 0;
    side->room--;
    side->sent = (side->sent ^ *data ^ side->clock.now << 8) * UINT64_C(0x9e3779b97f4a7c15);
    return 1;
}

static void ready(void *opaque)
{
    ((struct side *)opaque)->ready++;
}

static void save_and_restore(struct side *side)
{
    struct uart16550_state state = side->uart.state;
    bool waits = side->uart.input_waits;

    deadline_cancel(&side->uart.deadline);
    uart16550_init(&side->uart, &side->config);
    side->uart.input_waits = waits;
    side->uart.state = state;
    side->uart.device.restored(side->uart.device.opaque);
}

static uint64_t step(struct side *side, const uint8_t *data)
{
    const struct bus_region *ports = &side->uart.ports;
    uint64_t pass = (uint64_t)(data[2] | data[3] << 8) << (data[4] & 15);

    guest_clock_advance(&side->clock, side->clock.now + pass);
    switch (data[0] >> 3 & 7) {
    case 0:
    case 1:
    case 2:
        ports->ops->write(ports->opaque, data[0] & 7, 1, data[1]);
        return 0;
    case 3:
    case 4:
        return ports->ops->read(ports->opaque, data[0] & 7, 1);
    case 5:
        if (data[0] & 1)
            return uart16550_receive_error(&side->uart, data[1], data[2]);
        return uart16550_receive(&side->uart, data, 1 + (data[0] >> 1 & 3));
    case 6:
        side->room = data[1] & 3 ? 1000 : data[1] >> 2;
        uart16550_room(&side->uart);
        return 0;
    default:
        if (data[0] & 1) {
            uart16550_set_modem(&side->uart, data[1]);
            return 0;
        }
        ((uint8_t *)&side->uart.state)[(data[1] | data[2] << 8) % sizeof(side->uart.state)] = data[3];
        side->uart.device.restored(side->uart.device.opaque);
        return 0;
    }
}

static void check_side(const struct side *side)
{
    const struct uart16550_state *state = &side->uart.state;

    check(side->uart.deadline.when > side->clock.now || state->tx.start_cycles <= side->clock.now ||
          state->tx.end_cycles <= side->clock.now || state->tx.thre_cycles <= side->clock.now ||
          state->rx.end_cycles <= side->clock.now); /* due only after a hostile snapshot: run next */
    check(state->tx.start_cycles == DEADLINE_NEVER || state->tx.count);
    check(state->tx.count <= 16 && state->rx.count <= 16);
    check(!side->uart.irq.level || (state->mcr & 0x18) == 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t rates[] = {1000000000, 999999937, 1000003, 3400000001};

    if (size == 0)
        return 0;
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &sides[i];

        memset(side, 0, sizeof(*side));
        side->room = 1000;
        guest_clock_init(&side->clock, rates[data[0] & 3]);
        side->config = (struct uart16550_config){.clock = &side->clock,
                                                 .deadlines = &side->clock.deadlines,
                                                 .wire = {sink, ready, side},
                                                 .speed = data[0] & 4 ? UART16550_BAUD : UART16550_FAST,
                                                 .base = 0x3f8,
                                                 .name = "com1"};
        uart16550_init(&side->uart, &side->config);
    }
    for (data++, size--; size >= 5; data += 5, size -= 5) {
        save_and_restore(&sides[1]);
        check(step(&sides[0], data) == step(&sides[1], data));
        check(sides[0].sent == sides[1].sent && sides[0].ready == sides[1].ready);
        check(sides[0].uart.irq.level == sides[1].uart.irq.level);
        check_side(&sides[0]);
        check_side(&sides[1]);
    }
    return 0;
}
