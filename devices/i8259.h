/*
 * The PC's two cascaded 8259A interrupt controllers with the PIIX4's ELCR: ports 20h-21h (master), A0h-A1h
 * (slave), 4D0h-4D1h. The slave's INT stands on the master's IR2. What is modelled, what is not and the
 * choices made are listed in i8259.c.
 *
 * Not re-entrant; called on the CPU that owns the VM, with the guest outside. Nothing here reads a clock:
 * what an input or a port access does, it does at the moment of the call.
 *
 * Sources: Intel, "8259A Programmable Interrupt Controller" data sheet; Intel 82371AB (PIIX4) data sheet,
 * "Interrupt Controller Registers".
 */
#ifndef DEVICES_I8259_H
#define DEVICES_I8259_H

#include "hv/devapi/bus.h"
#include "hv/devapi/device.h"
#include "hv/devapi/irq_line.h"

#define I8259_INPUTS 16

enum { I8259_MASTER, I8259_SLAVE, I8259_CHIPS };

enum i8259_init_step {
    I8259_READY,      /* initialised: A0 = 1 writes OCW1 */
    I8259_NEEDS_ICW1, /* since power-on */
    I8259_NEEDS_ICW2,
    I8259_NEEDS_ICW3,
    I8259_NEEDS_ICW4,
};

/* One bit per input, IR0 in bit 0, where not said otherwise. */
struct i8259_chip {
    uint8_t lines; /* levels of the inputs */
    uint8_t latch; /* edge sense: risen, still high, not yet acknowledged */
    uint8_t imr;   /* masked */
    uint8_t isr;   /* in service */
    uint8_t elcr;  /* level triggered */
    uint8_t icw1;
    uint8_t icw2; /* vector of IR0; bits 2-0 clear */
    uint8_t icw3; /* master: inputs that hold a slave; slave: its number */
    uint8_t icw4;
    uint8_t lowest;       /* the level of lowest priority, 0-7 */
    uint8_t step;         /* enum i8259_init_step */
    uint8_t read_isr;     /* 1: A0 = 0 reads the ISR, 0: the IRR */
    uint8_t poll;         /* 1: the next read is a poll */
    uint8_t special_mask; /* 1: special mask mode */
    uint8_t rotate_aeoi;  /* 1: automatic EOI rotates */
    uint8_t int_out;      /* 1: INT is asserted */
};

/* All that a guest can see: plain data, no pointers. */
struct i8259_state {
    struct i8259_chip chip[I8259_CHIPS];
};

#define I8259_STATE_VERSION 1u

struct i8259_pair {
    struct i8259_state state;
    struct irq_line intr;         /* the master's INT, to the vCPU; connect before use, or leave alone */
    struct bus_region regions[3]; /* master, slave, ELCR: for bus_add() */
    struct device device;
};

/* Fills in the wiring and resets. The pair must not move afterwards. */
void i8259_init(struct i8259_pair *pair);

/* An irq_line_sink; opaque is the pair, input 0-15. Input 2 is the cascade and, like any above 15, ignored.
 */
void i8259_set_irq(void *opaque, unsigned input, bool level);

/* Is INT asserted? It follows the requests until the INTA (see i8259.c, choice 1). O(1). */
static inline bool i8259_pending(const struct i8259_pair *pair)
{
    return pair->state.chip[I8259_MASTER].int_out != 0;
}

/*
 * Can any input ever raise INT, as the masks stand? False while a chip that has to let it pass is not
 * initialised or masks everything.
 */
bool i8259_can_interrupt(const struct i8259_pair *pair);

/*
 * One INTA sequence of an 8086 CPU; returns the vector. Once per injected interrupt, at the moment of the
 * injection. With the request gone it is the spurious IR7 of the chip that was asked: no bit of that chip's
 * ISR is set, but a spurious slave leaves the master's IR2 in service.
 */
uint8_t i8259_ack(struct i8259_pair *pair);

#endif
