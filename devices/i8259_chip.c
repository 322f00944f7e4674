/*
 * One 8259A: priority resolver, command words, registers. Contract: i8259_chip.h; sources: i8259.h; choices:
 * i8259.c.
 */
#include "devices/i8259_chip.h"
#include "lib/string.h"

#define ICW1_IC4  BIT(0)
#define ICW1_SNGL BIT(1)
#define ICW1_LTIM BIT(3)
#define ICW1_MARK BIT(4) /* A0 = 0: ICW1, not an OCW */
#define ICW4_AEOI BIT(1)
#define ICW4_SFNM BIT(4)
#define OCW_3     BIT(3) /* A0 = 0: OCW3, not OCW2 */
#define OCW2_R    BIT(7)
#define OCW2_SL   BIT(6)
#define OCW2_EOI  BIT(5)
#define OCW3_ESMM BIT(6)
#define OCW3_SMM  BIT(5)
#define OCW3_P    BIT(2)
#define OCW3_RR   BIT(1)
#define OCW3_RIS  BIT(0)
#define POLL_I    BIT(7)

#define POLL_NOTHING 7u

static uint8_t requests(const struct i8259_chip *chip)
{
    uint8_t level_inputs = (chip->icw1 & ICW1_LTIM) ? 0xff : chip->elcr;

    return (chip->latch | level_inputs) & chip->lines;
}

/* The highest priority among `levels`, as a distance from the top (0), or I8259_LEVEL_NONE. */
static unsigned highest(const struct i8259_chip *chip, unsigned levels)
{
    unsigned top = (chip->lowest + 1u) & 7;
    unsigned rotated = ((levels >> top) | (levels << (8 - top))) & 0xff;

    return rotated ? (unsigned)__builtin_ctz(rotated) : I8259_LEVEL_NONE;
}

static unsigned level_at(const struct i8259_chip *chip, unsigned distance)
{
    return (chip->lowest + 1u + distance) & 7;
}

/* The levels in service as the resolver and the non-specific EOI see them. */
static uint8_t in_service(const struct i8259_chip *chip)
{
    return chip->special_mask ? (uint8_t)(chip->isr & ~chip->imr) : chip->isr;
}

bool i8259_chip_is_slave_input(const struct i8259_chip *chip, unsigned level)
{
    return !(chip->icw1 & ICW1_SNGL) && (chip->icw3 & BIT(level));
}

unsigned i8259_chip_resolve(const struct i8259_chip *chip, bool master)
{
    if (chip->step != I8259_READY)
        return I8259_LEVEL_NONE;
    unsigned request = highest(chip, (unsigned)(requests(chip) & ~chip->imr));
    unsigned served = highest(chip, in_service(chip));

    if (request == I8259_LEVEL_NONE || request > served)
        return I8259_LEVEL_NONE;
    unsigned level = level_at(chip, request);
    bool nested = master && (chip->icw4 & ICW4_SFNM) && i8259_chip_is_slave_input(chip, level);

    return request < served || nested ? level : I8259_LEVEL_NONE;
}

void i8259_chip_set_input(struct i8259_chip *chip, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)BIT(input);

    if (!level) {
        chip->lines &= (uint8_t)~bit;
        chip->latch &= (uint8_t)~bit;
    } else if (!(chip->lines & bit)) {
        chip->lines |= bit;
        chip->latch |= bit;
    }
}

unsigned i8259_chip_acknowledge(struct i8259_chip *chip, bool master)
{
    unsigned level = i8259_chip_resolve(chip, master);

    chip->int_out = 0;
    if (level == I8259_LEVEL_NONE)
        return level;
    chip->latch &= (uint8_t)~BIT(level);
    if (!(chip->icw4 & ICW4_AEOI))
        chip->isr |= (uint8_t)BIT(level);
    else if (chip->rotate_aeoi)
        chip->lowest = (uint8_t)level;
    return level;
}

/* Data sheet, "Initialization Command Words". */
static void write_icw1(struct i8259_chip *chip, uint8_t value)
{
    chip->int_out = 0;
    chip->icw1 = value;
    chip->latch = 0;
    chip->imr = 0;
    chip->isr = 0;
    chip->lowest = 7;
    chip->special_mask = 0;
    chip->read_isr = 0;
    chip->poll = 0;
    chip->rotate_aeoi = 0;
    if (!(value & ICW1_IC4))
        chip->icw4 = 0;
    chip->step = I8259_NEEDS_ICW2;
}

static void write_odd(struct i8259_chip *chip, uint8_t value)
{
    switch (chip->step) {
    case I8259_NEEDS_ICW2:
        chip->icw2 = value & 0xf8;
        chip->step = !(chip->icw1 & ICW1_SNGL) ? I8259_NEEDS_ICW3
                     : chip->icw1 & ICW1_IC4   ? I8259_NEEDS_ICW4
                                               : I8259_READY;
        break;
    case I8259_NEEDS_ICW3:
        chip->icw3 = value;
        chip->step = chip->icw1 & ICW1_IC4 ? I8259_NEEDS_ICW4 : I8259_READY;
        break;
    case I8259_NEEDS_ICW4:
        chip->icw4 = value;
        chip->step = I8259_READY;
        break;
    default:
        chip->imr = value;
    }
}

/* Data sheet, "Operation Control Word 2 (OCW2)". */
static void write_ocw2(struct i8259_chip *chip, uint8_t value)
{
    unsigned level = value & 7;

    if (value & OCW2_EOI) {
        if (!(value & OCW2_SL)) {
            unsigned distance = highest(chip, in_service(chip));

            if (distance == I8259_LEVEL_NONE)
                return;
            level = level_at(chip, distance);
        }
        chip->isr &= (uint8_t)~BIT(level);
        if (value & OCW2_R)
            chip->lowest = (uint8_t)level;
    } else if (!(value & OCW2_SL)) {
        chip->rotate_aeoi = (value & OCW2_R) != 0;
    } else if (value & OCW2_R) {
        chip->lowest = (uint8_t)level;
    }
}

/* Data sheet, "Operation Control Word 3 (OCW3)". */
static void write_ocw3(struct i8259_chip *chip, uint8_t value)
{
    if (value & OCW3_ESMM)
        chip->special_mask = (value & OCW3_SMM) != 0;
    if (value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
    chip->poll = (value & OCW3_P) != 0;
}

void i8259_chip_write(struct i8259_chip *chip, uint64_t offset, uint8_t value)
{
    if (offset & 1)
        write_odd(chip, value);
    else if (value & ICW1_MARK)
        write_icw1(chip, value);
    else if (value & OCW_3)
        write_ocw3(chip, value);
    else
        write_ocw2(chip, value);
}

uint8_t i8259_chip_read(struct i8259_chip *chip, bool master, uint64_t offset)
{
    if (chip->poll) {
        chip->poll = 0;
        unsigned level = i8259_chip_acknowledge(chip, master);

        return (uint8_t)(level == I8259_LEVEL_NONE ? POLL_NOTHING : POLL_I | level);
    }
    if (offset & 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : requests(chip);
}

void i8259_chip_reset(struct i8259_chip *chip)
{
    uint8_t lines = chip->lines;

    memset(chip, 0, sizeof(*chip));
    chip->lines = lines;
    chip->lowest = 7;
    chip->step = I8259_NEEDS_ICW1;
}

void i8259_chip_sanitise(struct i8259_chip *chip)
{
    chip->latch &= chip->lines;
    chip->icw2 &= 0xf8;
    chip->lowest &= 7;
    if (chip->step > I8259_NEEDS_ICW4)
        chip->step = I8259_NEEDS_ICW1;
    chip->read_isr = chip->read_isr != 0;
    chip->poll = chip->poll != 0;
    chip->special_mask = chip->special_mask != 0;
    chip->rotate_aeoi = chip->rotate_aeoi != 0;
    chip->int_out = chip->int_out != 0;
}
