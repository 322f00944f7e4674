/* Tables of settings: defaults, one word into its field, error texts that show a right word. The contract is
 * in settings.h. */
#include "lib/settings.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define NEAREST_KEY 24 /* longer keys are compared by their first letters */
#define SHOWN       60 /* of a user's word, in an error */

bool settings_fail(struct settings_error *error, const char *format, ...)
{
    va_list arguments;

    if (error->text[0])
        return false;
    va_start(arguments, format);
    fmt_vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    for (char *c = error->text; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    return false;
}

static size_t key_length(const char *word)
{
    const char *equals = strchr(word, '=');

    return equals ? (size_t)(equals - word) : strlen(word);
}

const struct setting *settings_find(const struct setting_table *table, const char *word)
{
    size_t length = key_length(word);

    for (unsigned i = 0; i < table->count; i++) {
        const char *key = table->settings[i].key;

        if (strlen(key) == length && memcmp(key, word, length) == 0)
            return &table->settings[i];
    }
    return NULL;
}

/* How many letters must be added, dropped or changed to make one key of the other (Levenshtein), row by row.
 */
static unsigned edit_distance(const char *left, size_t left_length, const char *right, size_t right_length)
{
    unsigned row[NEAREST_KEY + 1];

    left_length = MIN(left_length, (size_t)NEAREST_KEY);
    right_length = MIN(right_length, (size_t)NEAREST_KEY);
    for (size_t j = 0; j <= right_length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; i < left_length; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < right_length; j++) {
            unsigned changed = diagonal + (left[i] != right[j]);
            unsigned stepped = MIN(row[j], row[j + 1]) + 1;

            diagonal = row[j + 1];
            row[j + 1] = MIN(changed, stepped);
        }
    }
    return row[right_length];
}

bool settings_unknown(const struct setting_table *table, const char *word, const char *where,
                      struct settings_error *error)
{
    const char *shown = table->right_line;
    size_t length = key_length(word);
    unsigned best = 3; /* further off is no misspelling */

    for (unsigned i = 0; i < table->count; i++) {
        const char *key = table->settings[i].key;
        unsigned distance = edit_distance(word, length, key, strlen(key));

        if (distance < best && distance < length) {
            best = distance;
            shown = table->settings[i].example;
        }
    }
    return settings_fail(error, "%s: unknown %s setting \"%.*s\": write it like \"%s\"", where, table->title,
                         SHOWN, word, shown);
}

static bool parse_choice(const char *form, const char *value, uint64_t *position)
{
    size_t length = strlen(value);

    for (*position = 0;; (*position)++) {
        const char *bar = strchr(form, '|');
        size_t width = bar ? (size_t)(bar - form) : strlen(form);

        if (width == length && memcmp(form, value, length) == 0)
            return true;
        if (!bar)
            return false;
        form = bar + 1;
    }
}

/* The value of every type but SETTING_CUSTOM; `text` is what follows the =, NULL when there is none. */
static bool parse_value(const struct setting *setting, const char *text, uint64_t *value)
{
    *value = 1;
    if (setting->type == SETTING_FLAG)
        return text == NULL;
    if (setting->type == SETTING_CHOICE)
        return parse_choice(setting->form, text, value);
    if (setting->type == SETTING_SIZE       ? !parse_size(text, value)
        : setting->type == SETTING_DURATION ? !parse_duration(text, value)
                                            : !parse_integer(text, value))
        return false;
    return *value >= setting->lowest && *value <= setting->highest &&
           (!setting->multiple || *value % setting->multiple == 0);
}

/* Little-endian: the low bytes of the value are the field. */
static bool set_field(const struct setting *setting, void *object, const char *text)
{
    char *field = (char *)object + setting->offset;
    uint64_t value;

    if (!text && setting->type != SETTING_FLAG)
        return false;
    if (setting->type == SETTING_CUSTOM)
        return setting->parse(text, field);
    if (!parse_value(setting, text, &value))
        return false;
    memcpy(field, &value, setting->size);
    return true;
}

void settings_defaults(const struct setting_table *table, void *object)
{
    for (unsigned i = 0; i < table->count; i++) {
        const struct setting *setting = &table->settings[i];

        memset((char *)object + setting->offset, 0, setting->size);
        if (setting->standard)
            set_field(setting, object, setting->standard);
    }
}

static bool bad_value(const struct setting *setting, const char *word, const char *where,
                      struct settings_error *error)
{
    char form[96], range[64];

    setting_format_form(setting, form, sizeof form);
    setting_format_range(setting, range, sizeof range);
    return settings_fail(error, "%s: bad value in \"%.*s\": write it like \"%s\" (%s%s%s)", where, SHOWN,
                         word, setting->example, form, *range ? ", " : "", range);
}

bool settings_set(const struct setting_table *table, void *object, uint64_t *seen, const char *word,
                  const char *where, struct settings_error *error)
{
    const struct setting *setting = settings_find(table, word);
    const char *equals = strchr(word, '=');
    uint64_t bit;

    if (!setting)
        return settings_unknown(table, word, where, error);
    bit = BIT64(setting - table->settings);
    if (*seen & bit)
        return settings_fail(error, "%s: \"%.*s\" sets %s a second time: write it once, like \"%s\"", where,
                             SHOWN, word, setting->key, setting->example);
    if (!set_field(setting, object, equals ? equals + 1 : NULL))
        return bad_value(setting, word, where, error);
    *seen |= bit;
    return true;
}

/* The length of the run of [a-z0-9_-] at the start. */
static size_t plain_length(const char *text)
{
    size_t length = 0;

    while ((text[length] >= 'a' && text[length] <= 'z') || (text[length] >= '0' && text[length] <= '9') ||
           text[length] == '_' || text[length] == '-')
        length++;
    return length;
}

const char *settings_skip_name(const struct setting_table *table, const char *string)
{
    const char *at = string;
    bool first = true;

    for (;; first = false) {
        char word[WORD_SIZE];
        const char *start, *end;
        size_t plain;

        while (*at == ' ' || *at == '\t')
            at++;
        end = start = at;
        /* A loader's shell may have quoted a whole word; a file name that isn't one of ours is cut at blanks
         * as it stands. */
        if (!*start || word_next(&end, word) == WORD_DASHES)
            return start;
        plain = plain_length(word);
        if (plain > 0 && (settings_find(table, word) || (word[plain] == '=' && !strchr(word, '/'))))
            return start;
        if (first && plain > 0 && !word[plain] && strncmp(word, "verge", 5) != 0)
            return start;
        while (*at && *at != ' ' && *at != '\t')
            at++;
    }
}

void setting_format_form(const struct setting *setting, char *text, size_t size)
{
    bool flag = setting->type == SETTING_FLAG;

    fmt_snprintf(text, size, "%s%s%s", setting->key, flag ? "" : "=", flag ? "" : setting->form);
}

/* The largest unit that divides the value. */
static void format_value(enum setting_type type, uint64_t value, char *text, size_t size)
{
    static const char *const sizes[] = {"", "K", "M", "G"};
    static const char *const durations[] = {"ns", "us", "ms", "s"};
    uint64_t step = type == SETTING_SIZE ? 1024 : 1000;
    unsigned unit = 0;

    while (type != SETTING_INTEGER && value && unit < 3 && value % step == 0) {
        value /= step;
        unit++;
    }
    fmt_snprintf(text, size, "%llu%s", (unsigned long long)value,
                 type == SETTING_SIZE       ? sizes[unit]
                 : type == SETTING_DURATION ? durations[unit]
                                            : "");
}

void setting_format_range(const struct setting *setting, char *text, size_t size)
{
    char lowest[24], highest[24], multiple[24];

    text[0] = 0;
    if ((setting->type != SETTING_INTEGER && setting->type != SETTING_SIZE &&
         setting->type != SETTING_DURATION) ||
        (setting->lowest == 0 && setting->highest == UINT64_MAX))
        return;
    format_value(setting->type, setting->lowest, lowest, sizeof lowest);
    format_value(setting->type, setting->highest, highest, sizeof highest);
    format_value(setting->type, setting->multiple, multiple, sizeof multiple);
    fmt_snprintf(text, size, "%s to %s%s%s", lowest, highest, setting->multiple ? " in steps of " : "",
                 setting->multiple ? multiple : "");
}
