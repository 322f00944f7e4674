/* The lines of verge.cfg into the plan. The contract is in planner.h, the grammar in cfg.h. */
#include "guest/cfg_line.h"
#include "guest/planner.h"
#include "lib/fmt.h"
#include "lib/string.h"

static bool hypervisor_line(struct planner *planner, const char *at, struct hv_settings *hv, uint64_t *seen)
{
    char word[WORD_SIZE];

    for (;;) {
        switch (word_next(&at, word)) {
        case WORD_END:
            return true;
        case WORD_FOUND:
            if (!settings_set(&hv_setting_table, hv, seen, word, planner->where, planner->error))
                return false;
            break;
        case WORD_DASHES:
            return settings_fail(planner->error,
                                 "%s: \"-- ...\" belongs to a guest's line: write it like \"vm=vm0 %s\"",
                                 planner->where, "kernel=vmlinuz -- console=ttyS0");
        case WORD_BAD:
            return plan_bad_word(planner, word);
        }
    }
}

static bool guest_line(struct planner *planner, const char *line)
{
    char name[VM_NAME_SIZE];
    struct guest_plan *guest;

    if (!plan_scan_name(planner, line, name))
        return false;
    if (plan_find_guest(planner->plan, name))
        return settings_fail(planner->error,
                             "%s: a second line for %s: give it another name, like \"vm=vm1\"",
                             planner->where, name);
    guest = plan_add_guest(planner, name);
    return guest && plan_guest_words(planner, guest, line);
}

/* Of a line that doesn't begin with vm=. */
static bool is_guest_word(const char *word)
{
    return !settings_find(&hv_setting_table, word) &&
           (settings_find(&guest_line_table, word) || word_value(word, "kernel") ||
            word_value(word, "initrd"));
}

static bool config_line(struct planner *planner, const char *line, struct hv_settings *hv, uint64_t *seen)
{
    char word[WORD_SIZE];
    const char *at = line;
    enum word_status status = word_next(&at, word);

    if (status == WORD_END)
        return true;
    if (status == WORD_FOUND && word_value(word, "vm"))
        return guest_line(planner, line);
    if (planner->plan->guest_count)
        return settings_fail(planner->error,
                             "%s: \"%.40s\" stands behind the first vm=: begin the line like \"vm=vm1 %s\"",
                             planner->where, word, "kernel=vmlinuz");
    if (status == WORD_FOUND && is_guest_word(word))
        return settings_fail(planner->error,
                             "%s: \"%.40s\" is a guest's setting: begin the line like \"vm=vm0 %s\"",
                             planner->where, word, "kernel=vmlinuz");
    return hypervisor_line(planner, line, hv, seen);
}

bool plan_read_config(struct planner *planner, const struct plan_module *file, struct hv_settings *hv)
{
    struct plan *plan = planner->plan;
    struct cfg_reader reader;
    uint64_t seen = 0;

    cfg_reader_init(&reader, file->data, file->size);
    for (;;) {
        unsigned number;
        enum cfg_status status = cfg_next_line(&reader, plan->line, sizeof plan->line, &number);

        fmt_snprintf(planner->where, sizeof planner->where, "verge.cfg line %u",
                     status == CFG_LINE ? number : reader.line_number);
        if (status == CFG_END)
            return true;
        if (status == CFG_NOT_TEXT)
            return settings_fail(planner->error, "%s: not UTF-8 text: write it like \"%s\"", planner->where,
                                 guest_line_table.right_line);
        if (status == CFG_TOO_LONG)
            return settings_fail(planner->error, "%s: longer than %u bytes: write it like \"%s\"",
                                 planner->where, PLAN_LINE - 1, guest_line_table.right_line);
        if (!config_line(planner, plan->line, hv, &seen))
            return false;
    }
}
