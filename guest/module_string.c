/* Module strings; the contract is in module_string.h. */
#include "guest/module_string.h"
#include "lib/string.h"

static const char *const type_words[] = {NULL, "kernel", "initrd", "disk", "bios", "config"};

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

static enum module_type type_of_word(const char *word, size_t length)
{
    for (unsigned type = MODULE_KERNEL; type < ARRAY_SIZE(type_words); type++)
        if (strlen(type_words[type]) == length && memcmp(type_words[type], word, length) == 0)
            return (enum module_type)type;
    return MODULE_UNTYPED;
}

/*
 * Finds the first type word, words being cut at blanks only since a file name may hold quotes. Right behind
 * one, a second means that the first was a file of that name. *words is set behind the type word, *name_end
 * to it (without one: both to the end).
 */
static enum module_type split_string(const char *string, const char **name_end, const char **words)
{
    enum module_type found = MODULE_UNTYPED;
    const char *at = skip_blanks(string);

    for (const char *end; *at; at = skip_blanks(end)) {
        enum module_type type;

        for (end = at; *end && *end != ' ' && *end != '\t'; end++)
            ;
        type = type_of_word(at, (size_t)(end - at));
        if (found && !type)
            return found;
        if (end - at == 2 && memcmp(at, "--", 2) == 0)
            break;
        if (type) {
            found = type;
            *name_end = at;
            *words = end;
        }
    }
    if (!found)
        *name_end = *words = string + strlen(string);
    return found;
}

const char *module_name(const char *string, size_t *length)
{
    const char *end, *words;

    split_string(string, &end, &words);
    string = skip_blanks(string);
    while (end > string && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *length = end > string ? (size_t)(end - string) : 0;
    return string;
}

enum module_type module_type(const char *string, const char **words)
{
    const char *name_end;

    return split_string(string, &name_end, words);
}

const char *module_type_word(enum module_type type)
{
    return type_words[type];
}
