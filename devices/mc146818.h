/*
 * The PC's real-time clock and CMOS RAM: an MC146818 with 128 bytes behind ports 70h (index; bit 7 masks NMI)
 * and 71h (data). What is modelled, what is not and the choices made are listed in mc146818.c.
 *
 * All times are guest cycles. The second's edge s after power-on stands at ceil(s * f), an edge of the
 * divider's tick k at ceil(k * f / 32768), counted from power-on or from the end of the access that released
 * the divider (the first second then after 500 ms, 16384 ticks). Everything but the interrupt line is
 * computed when it is read; one deadline stands for the next moment at which the line rises.
 *
 * Not re-entrant; called on the CPU that owns the VM. Sources: Motorola, "MC146818 Real-Time Clock plus RAM";
 * for the register bits also Maxim, "DS12885/DS12887 Real-Time Clocks".
 */
#ifndef DEVICES_MC146818_H
#define DEVICES_MC146818_H

#include "hv/devapi/bus.h"
#include "hv/devapi/clock.h"
#include "hv/devapi/deadline.h"
#include "hv/devapi/device.h"
#include "hv/devapi/irq_line.h"
#include "lib/ratio.h"

#define MC146818_BYTES 128

/* All that a guest can see: plain data, no pointers. Brought up to date lazily: `synced_ticks` says up to
 * when. */
struct mc146818_state {
    uint8_t cmos[MC146818_BYTES]; /* register C: the flags without IRQF; register A: without UIP */
    uint8_t index;                /* as written to port 70h */
    uint8_t halfway; /* 1: the divider was released, so the first second comes 16384 ticks after the origin */
    uint8_t reserved[6];
    uint64_t origin_cycles; /* guest cycles of tick 0 */
    uint64_t synced_ticks;  /* ticks since then that the flags and the time bytes know of */
};

#define MC146818_STATE_VERSION 1u

struct mc146818 {
    struct mc146818_state state;
    struct irq_line irq; /* IRQ 8: high while register C has IRQF; connect before use */
    const struct guest_clock *clock;
    struct grid ticks; /* 32768 Hz */
    struct deadline deadline;
    struct bus_region region;
    struct device device;
};

/* Fills in the wiring and resets. The clock's rate must be set. The chip must not move afterwards. */
void mc146818_init(struct mc146818 *rtc, const struct guest_clock *clock, struct deadline_queue *queue);

/*
 * After each reset (it clears the RAM and sets 2000-01-01 00:00:00): sets date, time, weekday and century in
 * the format that register B has, and starts that second now. Past the year 9999: that year's last second.
 */
void mc146818_set_time(struct mc146818 *rtc, uint64_t seconds_since_1970);

/* A byte of the RAM, 0Eh to 7Fh, for the machine's configuration. Other indexes are ignored. */
void mc146818_set_cmos(struct mc146818 *rtc, unsigned index, uint8_t value);

/* Port 70h, bit 7. */
bool mc146818_nmi_masked(const struct mc146818 *rtc);

#endif
