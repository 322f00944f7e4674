/* com1= and com2=; the contract is in settings_com.h. */
#include "hv/settings_com.h"
#include "lib/settings.h"
#include "lib/string.h"

#define LINE_HZ 115200 /* a PC's UART clock over 16 (PC16550D, "Programmable Baud Generator") */

/* If *at begins with `text`, goes behind it. */
static bool skip(const char **at, const char *text)
{
    size_t length = strlen(text);

    if (strncmp(*at, text, length) != 0)
        return false;
    *at += length;
    return true;
}

/* One to `most` hexadecimal digits. */
static bool take_hex(const char **at, unsigned most, uint64_t *value)
{
    static const char digits[] = "0123456789abcdef";
    unsigned count = 0;

    for (*value = 0; count < most && **at; count++, ++*at) {
        const char *digit = strchr(digits, **at >= 'A' && **at <= 'F' ? **at - 'A' + 'a' : **at);

        if (!digit)
            break;
        *value = *value << 4 | (uint64_t)(digit - digits);
    }
    return count > 0;
}

/* BB:DD.F */
static bool take_card(const char **at, uint64_t *card)
{
    uint64_t bus, device, function;

    if (!take_hex(at, 2, &bus) || !skip(at, ":") || !take_hex(at, 2, &device) || !skip(at, ".") ||
        !take_hex(at, 1, &function) || device > 31 || function > 7)
        return false;
    *card = bus << 8 | device << 3 | function;
    return true;
}

static bool take_where(const char **at, struct host_serial_where *where)
{
    if (skip(at, "spcr")) {
        where->kind = HOST_SERIAL_TABLES;
        return true;
    }
    if (skip(at, "pci")) {
        where->kind = HOST_SERIAL_PCI;
        where->address = HOST_SERIAL_ANY_CARD;
        return !skip(at, ":") || take_card(at, &where->address);
    }
    where->kind = skip(at, "io:")       ? HOST_SERIAL_IO
                  : skip(at, "mmio:")   ? HOST_SERIAL_MMIO
                  : skip(at, "mmio32:") ? HOST_SERIAL_MMIO32
                                        : HOST_SERIAL_LEGACY;
    return where->kind == HOST_SERIAL_LEGACY ||
           take_hex(at, where->kind == HOST_SERIAL_IO ? 4 : 8, &where->address);
}

/* 115200,8n1: the baud rate must divide 115200, the divisor being a whole number. */
static bool parse_line(const char *value, struct host_serial_line *line)
{
    char digits[8] = "";
    const char *comma = strchr(value, ',');
    uint64_t baud;

    if (!comma || comma - value >= (ptrdiff_t)sizeof digits || strlen(comma) != 4)
        return false;
    memcpy(digits, value, (size_t)(comma - value));
    if (!parse_integer(digits, &baud) || baud < 50 || baud > LINE_HZ || LINE_HZ % baud)
        return false;
    if (comma[1] < '5' || comma[1] > '8' || (comma[2] != 'n' && comma[2] != 'o' && comma[2] != 'e') ||
        comma[3] < '1' || comma[3] > '2')
        return false;
    *line = (struct host_serial_line){.data_bits = (uint8_t)(comma[1] - '0'),
                                      .stop_bits = (uint8_t)(comma[3] - '0'),
                                      .parity = comma[2],
                                      .divisor = (uint16_t)(LINE_HZ / baud)};
    return true;
}

bool com_settings_parse(const char *value, void *field)
{
    struct com_settings com = {.line = {.divisor = 0, .data_bits = 8, .stop_bits = 1, .parity = 'n'}};

    com.off = strcmp(value, "off") == 0;
    if (!com.off) {
        if (!take_where(&value, &com.where))
            return false;
        bool named = com.where.kind != HOST_SERIAL_LEGACY, whole = named && !*value;
        if (!whole && named && !skip(&value, ","))
            return false;
        if (!whole && strcmp(value, "auto") != 0 && !parse_line(value, &com.line))
            return false;
    }
    *(struct com_settings *)field = com;
    return true;
}
