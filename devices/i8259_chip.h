/*
 * One 8259A, without its place in the cascade: i8259.c joins two of them and knows the CPU. The choices named
 * by number stand in i8259.c. Plain functions on struct i8259_chip; none of them raises INT
 * (i8259_chip_resolve() says when it should), some lower it.
 */
#ifndef DEVICES_I8259_CHIP_H
#define DEVICES_I8259_CHIP_H

#include "devices/i8259.h"

#define I8259_LEVEL_NONE 8u

/* Power-on. The inputs are wires of other devices: their levels stay. */
void i8259_chip_reset(struct i8259_chip *chip);

/* Forces every field into its range. */
void i8259_chip_sanitise(struct i8259_chip *chip);

/* An input's level; a rise sets the edge latch, a fall clears it. */
void i8259_chip_set_input(struct i8259_chip *chip, unsigned input, bool level);

/* ICW3 of a master names this input as a slave's. */
bool i8259_chip_is_slave_input(const struct i8259_chip *chip, unsigned level);

/* The level that the chip would serve now, or I8259_LEVEL_NONE. master: the SP pin, for special fully nested
 * mode. */
unsigned i8259_chip_resolve(const struct i8259_chip *chip, bool master);

/* The chip's part in an INTA sequence or a poll: INT goes low; returns the level taken, I8259_LEVEL_NONE if
 * there was none. */
unsigned i8259_chip_acknowledge(struct i8259_chip *chip, bool master);

/* A port access; offset is A0. */
uint8_t i8259_chip_read(struct i8259_chip *chip, bool master, uint64_t offset);
void i8259_chip_write(struct i8259_chip *chip, uint64_t offset, uint8_t value);

#endif
