/* One guest of the plan: its name, its words, its files. The contract is in planner.h, the grammar in cfg.h.
 */
#include "guest/module_string.h"
#include "guest/planner.h"
#include "lib/string.h"

/* A copy in the plan's text, or NULL with the error set. */
static const char *keep(struct planner *planner, const char *text)
{
    struct plan *plan = planner->plan;
    size_t size = strlen(text) + 1;
    char *kept = plan->text + plan->text_used;

    if (size > sizeof plan->text - plan->text_used) {
        settings_fail(
            planner->error,
            "%s: the command lines of all guests are longer than %u bytes: shorten them, as in \"%s\"",
            planner->where, PLAN_TEXT, "-- console=ttyS0");
        return NULL;
    }
    memcpy(kept, text, size);
    plan->text_used += size;
    return kept;
}

struct guest_plan *plan_find_guest(struct plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->guest_count; i++)
        if (strcmp(plan->guests[i].name, name) == 0)
            return &plan->guests[i];
    return NULL;
}

struct guest_plan *plan_add_guest(struct planner *planner, const char *name)
{
    struct plan *plan = planner->plan;
    struct guest_plan *guest = &plan->guests[plan->guest_count];

    if (plan->guest_count == PLAN_GUESTS) {
        settings_fail(planner->error, "%s: more than %u guests: leave out vm=%s", planner->where, PLAN_GUESTS,
                      name);
        return NULL;
    }
    plan->guest_count++;
    memset(guest, 0, sizeof *guest);
    memcpy(guest->name, name, VM_NAME_SIZE);
    guest->kernel = PLAN_NO_KERNEL;
    guest->command_line = "";
    settings_defaults(&guest_setting_table, &guest->settings);
    return guest;
}

static bool copy_name(struct planner *planner, const char *value, char name[VM_NAME_SIZE])
{
    size_t length = strlen(value);
    bool good = length > 0 && length < VM_NAME_SIZE;

    for (size_t i = 0; i < length; i++)
        good = good && ((value[i] >= 'a' && value[i] <= 'z') || (value[i] >= '0' && value[i] <= '9') ||
                        value[i] == '_' || value[i] == '-');
    if (!good)
        return settings_fail(
            planner->error,
            "%s: bad value in \"vm=%.40s\": write it like \"vm=vm0\" (1 to 15 of a-z 0-9 _ -)",
            planner->where, value);
    memset(name, 0, VM_NAME_SIZE);
    memcpy(name, value, length);
    return true;
}

static const struct setting_table *guest_table(const struct planner *planner)
{
    return planner->in_config ? &guest_line_table : &guest_setting_table;
}

bool plan_bad_word(struct planner *planner, const char *word)
{
    return settings_fail(planner->error,
                         "%s: open quote, control character or too long: \"%.60s\": write it like \"%s\"",
                         planner->where, word, guest_table(planner)->right_line);
}

/* The name in the words' vm=, which may stand anywhere among them; vm0 without. */
bool plan_scan_name(struct planner *planner, const char *at, char name[VM_NAME_SIZE])
{
    char word[WORD_SIZE];
    bool named = false;

    memset(name, 0, VM_NAME_SIZE);
    memcpy(name, "vm0", 3);
    for (;;) {
        enum word_status status = word_next(&at, word);
        const char *value = word_value(word, "vm");

        if (status == WORD_BAD)
            return plan_bad_word(planner, word);
        if (status != WORD_FOUND)
            return true;
        if (!value)
            continue;
        if (named)
            return settings_fail(
                planner->error, "%s: \"%.40s\" names the guest a second time: write it once, like \"vm=vm0\"",
                planner->where, word);
        if (!copy_name(planner, value, name))
            return false;
        named = true;
    }
}

bool plan_set_kernel(struct planner *planner, struct guest_plan *guest, unsigned module)
{
    if (guest->kernel != PLAN_NO_KERNEL && guest->kernel != (int)module)
        return settings_fail(planner->error,
                             "%s: a second kernel for %s: give it a guest of its own, like \"kernel vm=vm1\"",
                             planner->where, guest->name);
    guest->kernel = (int)module;
    planner->used |= BIT(module);
    return true;
}

bool plan_add_initrd(struct planner *planner, struct guest_plan *guest, unsigned module, const char *string)
{
    struct plan_initrd *initrd = guest->initrds;

    while (initrd < guest->initrds + guest->initrd_count && initrd->module != module)
        initrd++;
    if (initrd == guest->initrds + PLAN_INITRDS)
        return settings_fail(planner->error,
                             "%s: more than %u initrds for %s: leave one out, as in \"initrd vm=%s\"",
                             planner->where, PLAN_INITRDS, guest->name, guest->name);
    if (initrd == guest->initrds + guest->initrd_count)
        guest->initrd_count++;
    initrd->module = module;
    initrd->string = *string ? keep(planner, string) : "";
    planner->used |= BIT(module);
    return initrd->string != NULL;
}

/* Without the folders. */
static const char *last_part(const char *name, size_t *length)
{
    for (size_t i = *length; i > 0; i--)
        if (name[i - 1] == '/') {
            *length -= i;
            return name + i;
        }
    return name;
}

/* The module that FILE names; false with the error set when there is none, or more than one with that last
 * part. */
static bool find_file(struct planner *planner, const char *file, unsigned *module)
{
    unsigned matches = 0;
    size_t file_part_length = strlen(file);
    const char *file_part = last_part(file, &file_part_length);

    for (unsigned i = 0; i < planner->count; i++) {
        size_t length;
        const char *name = module_name(planner->modules[i].string, &length);

        if (length && length == strlen(file) && memcmp(name, file, length) == 0) {
            *module = i;
            return true;
        }
        name = last_part(name, &length);
        if (length && length == file_part_length && memcmp(name, file_part, length) == 0) {
            *module = i;
            matches++;
        }
    }
    if (matches == 1)
        return true;
    return settings_fail(planner->error,
                         "%s: %s is named \"%.60s\": write the name of one, like \"kernel=vmlinuz\"",
                         planner->where, matches ? "more than one module" : "no module", file);
}

/* kernel=FILE or initrd=FILE. *handled says whether the word was one. */
static bool file_word(struct planner *planner, struct guest_plan *guest, const char *word, bool *kernel_seen,
                      bool *handled)
{
    const char *kernel = word_value(word, "kernel");
    const char *initrd = word_value(word, "initrd");
    unsigned module = 0;

    *handled = kernel || initrd;
    if (!*handled)
        return true;
    if (kernel && *kernel_seen)
        return settings_fail(
            planner->error,
            "%s: a second kernel for %s, \"%.60s\": give it a line of its own, like \"vm=vm1 %s\"",
            planner->where, guest->name, word, "kernel=vmlinuz");
    if (!find_file(planner, kernel ? kernel : initrd, &module))
        return false;
    *kernel_seen = *kernel_seen || kernel;
    return kernel ? plan_set_kernel(planner, guest, module) : plan_add_initrd(planner, guest, module, "");
}

/* The words of a kernel module's string, or of a guest's line in verge.cfg, where files may be named too. */
bool plan_guest_words(struct planner *planner, struct guest_plan *guest, const char *at)
{
    char word[WORD_SIZE];
    uint64_t seen = 0;
    bool kernel_seen = false, handled = false;

    for (;;) {
        switch (word_next(&at, word)) {
        case WORD_END:
            return true;
        case WORD_DASHES:
            guest->command_line = keep(planner, at);
            return guest->command_line != NULL;
        case WORD_BAD:
            return plan_bad_word(planner, word);
        case WORD_FOUND:
            if (word_value(word, "vm"))
                break;
            if (planner->in_config && !file_word(planner, guest, word, &kernel_seen, &handled))
                return false;
            if (!handled && !settings_set(guest_table(planner), &guest->settings, &seen, word, planner->where,
                                          planner->error))
                return false;
            break;
        }
    }
}
