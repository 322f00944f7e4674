/*
 * SLP_TYP of \_S5 by its bytes: NameOp, the name, PackageOp, then two integer constants. A name that is made
 * in another way (in a scope of its own, by a method) is not found, and power-off then falls back. Source:
 * ACPI Specification 6.4, "ACPI Machine Language (AML) Specification": "Name Objects Encoding", "Package
 * Length Encoding", "Data Objects Encoding"; "\_Sx (System States)".
 */
#include "arch/x86/host/acpi.h"
#include "lib/string.h"

#define AML_ZERO    0x00
#define AML_ONE     0x01
#define AML_NAME    0x08
#define AML_BYTE    0x0A
#define AML_WORD    0x0B
#define AML_DWORD   0x0C
#define AML_PACKAGE 0x12
#define SLP_TYP_MAX 7u

struct cursor {
    const uint8_t *bytes;
    size_t size, at;
};

static bool next_byte(struct cursor *cursor, uint8_t *value)
{
    if (cursor->at >= cursor->size)
        return false;
    *value = cursor->bytes[cursor->at++];
    return true;
}

static bool skip_package_length(struct cursor *cursor)
{
    uint8_t lead, rest;

    if (!next_byte(cursor, &lead))
        return false;
    for (unsigned i = 0; i < lead >> 6; i++)
        if (!next_byte(cursor, &rest))
            return false;
    return true;
}

/* An integer constant that fits SLP_TYP. */
static bool sleep_type(struct cursor *cursor, uint8_t *value)
{
    unsigned bytes;
    uint8_t op, high;

    if (!next_byte(cursor, &op))
        return false;
    if (op == AML_ZERO || op == AML_ONE) {
        *value = op;
        return true;
    }
    bytes = op == AML_BYTE ? 1 : op == AML_WORD ? 2 : op == AML_DWORD ? 4 : 0;
    if (!bytes || !next_byte(cursor, value) || *value > SLP_TYP_MAX)
        return false;
    for (unsigned i = 1; i < bytes; i++)
        if (!next_byte(cursor, &high) || high)
            return false;
    return true;
}

/* Behind the name. */
static bool read_package(struct cursor *cursor, uint8_t *type_a, uint8_t *type_b)
{
    uint8_t op, elements;

    return next_byte(cursor, &op) && op == AML_PACKAGE && skip_package_length(cursor) &&
           next_byte(cursor, &elements) && elements >= 2 && sleep_type(cursor, type_a) &&
           sleep_type(cursor, type_b);
}

bool acpi_find_s5(const uint8_t *aml, size_t size, uint8_t *type_a, uint8_t *type_b)
{
    for (size_t at = 1; size >= 4 && at <= size - 4; at++) {
        if (aml[at] != '_' || memcmp(aml + at, "_S5_", 4) != 0)
            continue;
        bool named = aml[at - 1] == AML_NAME || (at >= 2 && aml[at - 1] == '\\' && aml[at - 2] == AML_NAME);
        struct cursor cursor = {aml, size, at + 4};
        uint8_t a, b;

        if (named && read_package(&cursor, &a, &b)) {
            *type_a = a;
            *type_b = b;
            return true;
        }
    }
    return false;
}
