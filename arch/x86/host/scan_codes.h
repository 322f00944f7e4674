/*
 * From scan codes of set 1, which an i8042 translates to, to what a terminal sends: US layout, the control
 * codes of ASCII, ECMA-48's sequences as xterm has them for the other keys; with Alt an ESC goes ahead. Num
 * Lock is taken to be on at first, as firmware leaves it; no LED is driven. Codes of no key, and answers of
 * the keyboard, give nothing. Pure.
 *
 * Sources: IBM, "PS/2 Hardware Interface Technical Reference", Keyboards, "Scan Code Set 1"; xterm, "Control
 * Sequences", PC-Style Function Keys.
 */
#ifndef ARCH_X86_HOST_SCAN_CODES_H
#define ARCH_X86_HOST_SCAN_CODES_H

#include "lib/base.h"

#define SCAN_TEXT_MAX 6u /* bytes that one code gives at most */

/* All zero at first. */
struct scan_codes {
    bool extended;          /* E0h came */
    uint8_t skip;           /* codes of the Pause key that are still to come */
    uint8_t shifts;         /* held: bit 0 left, bit 1 right; */
    uint8_t controls, alts; /* the same */
    bool caps_lock, num_unlock;
};

/* Returns how many bytes `text` got. */
unsigned scan_codes_take(struct scan_codes *codes, uint8_t code, uint8_t text[SCAN_TEXT_MAX]);

#endif
