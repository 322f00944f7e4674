/*
 * A slow and obvious 16550A for comparison with devices/uart16550*.c, written from the PC16550D datasheet and
 * the choices listed in uart16550.h. It moves one guest cycle at a time, counts half-bit edges, and keeps
 * each status as a flag of its own instead of deriving it.
 */
#ifndef TESTS_UART16550_MODEL_H
#define TESTS_UART16550_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Counts edges of the grid of one divisor, from the cycle after it was started. */
struct model_countdown {
    bool active;
    bool from_whole_bit; /* the count begins at the first even edge */
    unsigned left;
    unsigned divisor;
};

struct model_character {
    uint8_t data;
    uint8_t errors;
};

struct model {
    uint64_t hz, now;
    bool baud;
    unsigned divisor;
    uint8_t ier, fcr, lcr, mcr, scr, errors, msr, pins;
    bool thre, thri, timed_out;
    struct model_character rx[16];
    unsigned rx_count;
    uint8_t rbr;
    uint8_t tx[16];
    unsigned tx_count, tx_peak;
    bool tx_wait_half; /* the shift register is free and takes the next character at an edge */
    uint8_t shift;
    struct model_character wire;
    struct model_countdown tx_start, tx_end, tx_thre, rx_end, timeout;
    uint8_t out[65536];
    unsigned out_count;
};

static inline bool model_edge(const struct model *m, uint64_t cycle, unsigned divisor, bool *even)
{
    unsigned __int128 here = (unsigned __int128)cycle * 230400 / ((unsigned __int128)m->hz * divisor);
    unsigned __int128 before = (unsigned __int128)(cycle - 1) * 230400 / ((unsigned __int128)m->hz * divisor);

    if (even)
        *even = here % 2 == 0;
    return cycle == 0 || here > before;
}

static inline bool model_fifo(const struct model *m)
{
    return m->fcr & 1;
}

static inline unsigned model_frame(const struct model *m)
{
    static const unsigned data_bits[4] = {5, 6, 7, 8};
    unsigned bits = data_bits[m->lcr & 3];
    unsigned halves = 2 + 2 * bits;

    if (m->lcr & 8)
        halves += 2;
    if (!(m->lcr & 4))
        halves += 2;
    else if (bits == 5)
        halves += 3;
    else
        halves += 4;
    return halves;
}

static inline uint8_t model_mask(const struct model *m, uint8_t data)
{
    return data & (uint8_t)((32u << (m->lcr & 3)) - 1);
}

/* One more edge than `frame` when this cycle is not itself an edge: the frame starts at the next one. */
static inline unsigned model_from_here(const struct model *m, unsigned frame)
{
    return model_edge(m, m->now, m->divisor, NULL) ? frame : frame + 1;
}

static inline void model_start_timeout(struct model *m)
{
    m->timed_out = false;
    m->timeout = (struct model_countdown){.active = model_fifo(m) && m->rx_count,
                                          .from_whole_bit = true,
                                          .left = 4 * model_frame(m),
                                          .divisor = m->divisor};
}

static inline void model_receive_done(struct model *m, struct model_character c)
{
    c.data = model_mask(m, c.data);
    if (model_fifo(m) && m->rx_count == 16) {
        m->errors |= 2;
        return;
    }
    if (!model_fifo(m) && m->rx_count == 1) {
        m->errors |= 2;
        m->rx_count = 0;
    }
    if (m->rx_count == 0) {
        m->errors |= c.errors;
        c.errors = 0;
    }
    m->rx[m->rx_count++] = c;
    if (!m->timed_out)
        model_start_timeout(m);
}

static inline void model_sent(struct model *m, uint8_t data)
{
    if (m->mcr & 0x10)
        model_receive_done(m, (struct model_character){data, 0});
    else if (!(m->lcr & 0x40))
        m->out[m->out_count++ % sizeof(m->out)] = data;
}

static inline void model_thr_empty(struct model *m)
{
    m->thre = true;
    m->thri = true;
    m->tx_peak = 0;
    m->tx_thre.active = false;
}

static inline uint8_t model_unqueue(struct model *m)
{
    uint8_t data = model_mask(m, m->tx[0]);

    memmove(m->tx, m->tx + 1, 15);
    m->tx_count--;
    return data;
}

static inline void model_load(struct model *m)
{
    unsigned left = model_from_here(m, model_frame(m));

    m->shift = model_unqueue(m);
    m->tx_end = (struct model_countdown){.active = true, .left = left, .divisor = m->divisor};
    if (m->tx_count)
        return;
    if (model_fifo(m) && m->tx_peak < 2)
        m->tx_thre = (struct model_countdown){.active = true, .left = left - 2, .divisor = m->divisor};
    else
        model_thr_empty(m);
}

static inline bool model_count(struct model *m, struct model_countdown *c)
{
    bool even;

    if (!c->active || !model_edge(m, m->now, c->divisor, &even))
        return false;
    if (c->from_whole_bit) {
        if (!even)
            return false;
        c->from_whole_bit = false;
    } else {
        c->left--;
    }
    if (c->left)
        return false;
    c->active = false;
    return true;
}

static inline void model_tick(struct model *m)
{
    m->now++;
    if (model_count(m, &m->timeout)) /* before any arrival of the same cycle: what has timed out stays so */
        m->timed_out = true;
    if (model_count(m, &m->tx_thre))
        model_thr_empty(m);
    if (model_count(m, &m->tx_end)) {
        model_sent(m, m->shift);
        m->tx_wait_half = m->tx_count > 0;
    }
    if (m->tx_wait_half && model_edge(m, m->now, m->divisor, NULL)) {
        m->tx_wait_half = false;
        model_load(m);
    }
    if (model_count(m, &m->tx_start))
        model_load(m);
    if (model_count(m, &m->rx_end))
        model_receive_done(m, m->wire);
}

static inline uint8_t model_iir(const struct model *m)
{
    static const unsigned triggers[4] = {1, 4, 8, 14};
    unsigned trigger = model_fifo(m) ? triggers[m->fcr >> 6] : 1;

    if ((m->ier & 4) && m->errors)
        return 6;
    if ((m->ier & 1) && m->timed_out)
        return 0xc;
    if ((m->ier & 1) && m->rx_count >= trigger)
        return 4;
    if ((m->ier & 2) && m->thri)
        return 2;
    if ((m->ier & 8) && (m->msr & 0xf))
        return 0;
    return 1;
}

static inline bool model_irq(const struct model *m)
{
    return model_iir(m) != 1 && (m->mcr & 8) && !(m->mcr & 0x10);
}

static inline uint8_t model_read(struct model *m, unsigned reg)
{
    uint8_t value = 0;

    switch (reg) {
    case 0:
        if (m->lcr & 0x80)
            return (uint8_t)(m->divisor & 0xff);
        if (m->rx_count) {
            m->rbr = m->rx[0].data;
            memmove(m->rx, m->rx + 1, sizeof(m->rx) - sizeof(m->rx[0]));
            m->rx_count--;
            if (m->rx_count) {
                m->errors |= m->rx[0].errors;
                m->rx[0].errors = 0;
            }
            model_start_timeout(m);
        }
        return m->rbr;
    case 1:
        return m->lcr & 0x80 ? (uint8_t)(m->divisor >> 8) : m->ier;
    case 2:
        value = model_iir(m);
        if (value == 2)
            m->thri = false;
        return value | (model_fifo(m) ? 0xc0 : 0);
    case 3:
        return m->lcr;
    case 4:
        return m->mcr;
    case 5:
        value = m->errors | (m->rx_count ? 1 : 0) | (m->thre ? 0x20 : 0);
        if (m->thre && !m->tx_end.active && !m->tx_start.active && !m->tx_wait_half)
            value |= 0x40;
        for (unsigned i = 0; model_fifo(m) && i < m->rx_count; i++)
            if (m->rx[i].errors)
                value |= 0x80;
        if (model_fifo(m) && (m->errors & 0x1c))
            value |= 0x80;
        m->errors = 0;
        return value;
    case 6:
        value = m->msr;
        m->msr &= 0xf0;
        return value;
    default:
        return m->scr;
    }
}

static inline void model_modem(struct model *m)
{
    uint8_t lines = m->pins;
    uint8_t old = m->msr;

    if (m->mcr & 0x10) {
        lines = 0;
        if (m->mcr & 1)
            lines |= 0x20;
        if (m->mcr & 2)
            lines |= 0x10;
        if (m->mcr & 4)
            lines |= 0x40;
        if (m->mcr & 8)
            lines |= 0x80;
    }
    m->msr = lines | (old & 0xf);
    if ((old ^ lines) & 0x10)
        m->msr |= 1;
    if ((old ^ lines) & 0x20)
        m->msr |= 2;
    if ((old & 0x40) && !(lines & 0x40))
        m->msr |= 4;
    if ((old ^ lines) & 0x80)
        m->msr |= 8;
}

static inline void model_send(struct model *m, uint8_t data)
{
    bool idle = !m->tx_end.active && !m->tx_start.active && !m->tx_wait_half;

    m->thri = false;
    m->thre = false;
    m->tx_thre.active = false;
    if (model_fifo(m)) {
        if (m->tx_count < 16)
            m->tx[m->tx_count++] = data;
    } else {
        m->tx[0] = data;
        m->tx_count = 1;
    }
    if (m->tx_count > m->tx_peak)
        m->tx_peak = m->tx_count;
    if (!m->baud) {
        model_sent(m, model_unqueue(m));
        model_thr_empty(m);
    } else if (idle) {
        m->tx_start = (struct model_countdown){.active = true, .from_whole_bit = true, .divisor = m->divisor};
    }
}

static inline void model_fcr(struct model *m, uint8_t value)
{
    bool toggled = (m->fcr & 1) != (value & 1);

    if (toggled || (value & 3) == 3) {
        m->rx_count = 0;
        m->timed_out = false;
        m->timeout.active = false;
    }
    if (toggled || (value & 5) == 5) {
        m->tx_count = 0;
        m->tx_start.active = false;
        m->tx_wait_half = false;
        if (!m->thre)
            model_thr_empty(m);
    }
    if (toggled)
        m->tx_peak = 2;
    m->fcr = value & 1 ? value & 0xc9 : 0;
}

static inline void model_write(struct model *m, unsigned reg, uint8_t value)
{
    unsigned divisor = m->divisor & 0xffff; /* 65536 reads as 0 */

    switch (reg) {
    case 0:
    case 1:
        if (m->lcr & 0x80) {
            divisor = reg ? (divisor & 0xff) | ((unsigned)value << 8) : (divisor & 0xff00) | value;
            m->divisor = divisor ? divisor : 65536;
        } else if (reg == 0) {
            model_send(m, value);
        } else {
            if ((value & 2) && !(m->ier & 2) && m->thre)
                m->thri = true;
            m->ier = value & 15;
        }
        break;
    case 2:
        model_fcr(m, value);
        break;
    case 3:
        m->lcr = value;
        break;
    case 4:
        m->mcr = value & 31;
        model_modem(m);
        break;
    case 7:
        m->scr = value;
        break;
    default:
        break;
    }
}

static inline unsigned model_receive(struct model *m, const uint8_t *data, unsigned length, uint8_t errors)
{
    unsigned taken = 0;

    while (taken < length && !(m->mcr & 0x10) && !m->rx_end.active &&
           m->rx_count < (model_fifo(m) ? 16u : 1u)) {
        struct model_character c = {data[taken++], errors & 0x1c};

        if (!m->baud) {
            model_receive_done(m, c);
            continue;
        }
        m->wire = c;
        m->rx_end = (struct model_countdown){
            .active = true, .left = model_from_here(m, model_frame(m)), .divisor = m->divisor};
    }
    return taken;
}

static inline void model_reset(struct model *m, uint64_t hz, bool baud)
{
    memset(m, 0, sizeof(*m));
    m->hz = hz;
    m->baud = baud;
    m->divisor = 12;
    m->lcr = 3;
    m->pins = m->msr = 0xb0;
    m->thre = true;
    m->tx_peak = 2;
}

#endif
