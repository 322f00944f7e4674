/*
 * The host's keyboard behind its i8042. The contract is in api/keyboard.h. Source: IBM, "PS/2 Hardware
 * Interface Technical Reference", Keyboard and Auxiliary Device Controller. Every wait is bounded: the
 * controller may be absent, and firmware that plays it may be slow.
 */
#include "arch/x86/api/keyboard.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/scan_codes.h"

#define PORT_DATA    0x60
#define PORT_COMMAND 0x64
#define PORT_STATUS  0x64

#define STATUS_OUTPUT_FULL BIT(0)
#define STATUS_INPUT_FULL  BIT(1)
#define STATUS_AUXILIARY   BIT(5) /* what came is the mouse's */
#define ABSENT             0xFF

#define COMMAND_READ_CONFIG     0x20
#define COMMAND_WRITE_CONFIG    0x60
#define COMMAND_DISABLE_MOUSE   0xA7
#define COMMAND_DISABLE_KEYS    0xAD
#define COMMAND_ENABLE_KEYBOARD 0xAE
#define KEYBOARD_SCAN           0xF4

#define CONFIG_INTERRUPTS    0x03 /* of keyboard and mouse */
#define CONFIG_KEYBOARD_OFF  BIT(4)
#define CONFIG_AUXILIARY_OFF BIT(5)
#define CONFIG_TRANSLATE     BIT(6) /* set 2 to set 1 */

#define WAIT_READS  50000u /* some 50 ms at 1 us each */
#define FLUSH_BYTES 64u
#define READ_BYTES  16 /* at one look: as many as a keyboard holds; broken ones never end */

static bool present;
static struct scan_codes scan_codes;

static bool wait_for(unsigned mask, unsigned wanted)
{
    for (unsigned i = 0; i < WAIT_READS; i++)
        if ((inb(PORT_STATUS) & mask) == wanted)
            return true;
    return false;
}

static bool send(uint16_t port, uint8_t value)
{
    if (!wait_for(STATUS_INPUT_FULL, 0))
        return false;
    outb(port, value);
    return true;
}

/* False: it gives bytes without end, so it is no keyboard controller, or a broken one. */
static bool flush(void)
{
    for (unsigned i = 0; i < FLUSH_BYTES; i++) {
        if (!(inb(PORT_STATUS) & STATUS_OUTPUT_FULL))
            return true;
        inb(PORT_DATA);
    }
    return false;
}

static bool read_config(uint8_t *config)
{
    if (!send(PORT_COMMAND, COMMAND_READ_CONFIG) || !wait_for(STATUS_OUTPUT_FULL, STATUS_OUTPUT_FULL))
        return false;
    *config = inb(PORT_DATA);
    return true;
}

/* No interrupts, nothing of the mouse, and scan codes of set 1. Both devices are silent while the controller
 * is asked, else a key or a moving mouse could answer in its stead. */
static bool set_up(void)
{
    uint8_t config;

    if (!send(PORT_COMMAND, COMMAND_DISABLE_KEYS) || !send(PORT_COMMAND, COMMAND_DISABLE_MOUSE) || !flush() ||
        !read_config(&config))
        return false;
    config &= (uint8_t) ~(CONFIG_INTERRUPTS | CONFIG_KEYBOARD_OFF);
    config |= CONFIG_AUXILIARY_OFF | CONFIG_TRANSLATE;
    return send(PORT_COMMAND, COMMAND_WRITE_CONFIG) && send(PORT_DATA, config) &&
           send(PORT_COMMAND, COMMAND_ENABLE_KEYBOARD) && send(PORT_DATA, KEYBOARD_SCAN);
}

bool host_keyboard_open(void)
{
    present = inb(PORT_STATUS) != ABSENT;
    if (present && !set_up()) {
        send(PORT_COMMAND, COMMAND_ENABLE_KEYBOARD); /* for firmware that plays it */
        present = false;
    }
    return present;
}

size_t host_keyboard_read(uint8_t *data, size_t length)
{
    size_t count = 0;

    for (unsigned i = 0; i < READ_BYTES && present && length - count >= SCAN_TEXT_MAX; i++) {
        uint8_t status = inb(PORT_STATUS);

        if (status == ABSENT || !(status & STATUS_OUTPUT_FULL))
            break;
        uint8_t code = inb(PORT_DATA);
        if (!(status & STATUS_AUXILIARY))
            count += scan_codes_take(&scan_codes, code, data + count);
    }
    return count;
}
