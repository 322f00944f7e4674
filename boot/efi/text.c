/* UTF-8 and UCS-2; the contract is in loader.h. Sources: RFC 3629, "UTF-8 definition"; UEFI Specification,
 * "Text formats": firmware takes characters of 16 bits. */
#include "boot/efi/loader.h"

#define NO_CHARACTER 0xFFFD

/* The character at *text, which is moved behind it. */
static uint32_t next_character(const char **text)
{
    const unsigned char first = (unsigned char)*(*text)++;
    unsigned more = first < 0x80 ? 0 : first < 0xC0 ? 4 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    uint32_t character = first;

    if (more == 0)
        return first;
    if (more == 4)
        return NO_CHARACTER;
    character &= 0x3Fu >> more;
    for (; more; more--) {
        if (((unsigned char)**text & 0xC0) != 0x80)
            return NO_CHARACTER;
        character = character << 6 | ((unsigned char)*(*text)++ & 0x3F);
    }
    return character > 0xFFFF ? NO_CHARACTER : character;
}

size_t text_to_firmware(const char *text, CHAR16 *out, size_t size)
{
    size_t length = 0;

    while (*text && length + 1 < size)
        out[length++] = (CHAR16)next_character(&text);
    out[length] = 0;
    return length;
}

size_t text_from_firmware(const CHAR16 *text, size_t length, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < length && text[i] && used + 1 < size; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            used = 0;
            break;
        }
        out[used++] = (char)text[i];
    }
    out[used] = 0;
    return used;
}
