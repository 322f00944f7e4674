/*
 * The type word and the name in a module's string; the grammar stands in guest/cfg.h.
 */
#ifndef GUEST_MODULE_STRING_H
#define GUEST_MODULE_STRING_H

#include "lib/base.h"

enum module_type { MODULE_UNTYPED, MODULE_KERNEL, MODULE_INITRD, MODULE_DISK, MODULE_BIOS, MODULE_CONFIG };

/* "kernel" for MODULE_KERNEL and so on; NULL for MODULE_UNTYPED. */
const char *module_type_word(enum module_type type);

/* *words is set behind the type word, to the end when there is none. */
enum module_type module_type(const char *string, const char **words);

/*
 * The name: the words skipped before the type word, or all of a string without one. Not terminated; *length
 * may be 0. For the list of modules at boot.
 */
const char *module_name(const char *string, size_t *length);

#endif
