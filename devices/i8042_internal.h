/*
 * What the three parts of the i8042 share: i8042.c (controller), i8042_keyboard.c (the keyboard's commands
 * and buffers), i8042_keys.c (text to key presses). Included by these only.
 */
#ifndef DEVICES_I8042_INTERNAL_H
#define DEVICES_I8042_INTERNAL_H

#include "devices/i8042.h"

/* i8042.c: after anything has changed: lines, the deadline, and `ready`. */
void i8042_settle(struct i8042 *i8042);

/* i8042_keyboard.c. None of these settles. */
void i8042_keyboard_reset(struct i8042_keyboard *keyboard);
void i8042_keyboard_restored(struct i8042_keyboard *keyboard);
void i8042_keyboard_write(struct i8042_keyboard *keyboard, uint8_t value); /* a byte from the controller */
bool i8042_keyboard_has_byte(const struct i8042_keyboard *keyboard);
uint8_t i8042_keyboard_take(struct i8042_keyboard *keyboard); /* the next byte; only when it has one */
unsigned
i8042_keyboard_room(const struct i8042_keyboard *keyboard); /* bytes that the key buffer still takes */
void i8042_keyboard_key(struct i8042_keyboard *keyboard, uint8_t code, bool extended,
                        bool pressed); /* code: set 2 */

/* IBM's translation of one byte of set 2 to set 1; F0h is the translator's business. */
uint8_t i8042_translate(uint8_t byte);

/* i8042_keys.c */
#define I8042_KEY_ROOM 9 /* bytes that one byte of text can make at most */
void i8042_keys_reset(struct i8042 *i8042);
void i8042_keys_expired(struct i8042 *i8042); /* nothing followed the ESC */

#endif
