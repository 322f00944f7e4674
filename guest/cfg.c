/* Module strings and verge.cfg to a list of guests; the contract and the grammar are in cfg.h. */
#include "guest/cfg.h"
#include "guest/module_string.h"
#include "guest/planner.h"
#include "lib/fmt.h"
#include "lib/string.h"

static void name_module(struct planner *planner, unsigned module)
{
    size_t length;
    const char *name = module_name(planner->modules[module].string, &length);

    if (length > 36) { /* the end of a path says more */
        name += length - 36;
        length = 36;
    }
    fmt_snprintf(planner->where, sizeof planner->where, length ? "module %u (%.*s)" : "module %u", module + 1,
                 (int)length, name);
}

static bool kernel_module(struct planner *planner, unsigned module, const char *words)
{
    char name[VM_NAME_SIZE];
    struct guest_plan *guest;

    if (!plan_scan_name(planner, words, name))
        return false;
    guest = plan_find_guest(planner->plan, name);
    if (!guest)
        guest = plan_add_guest(planner, name);
    return guest && plan_set_kernel(planner, guest, module) && plan_guest_words(planner, guest, words);
}

/* Only vm= stands in an initrd's string; behind its -- is its own. */
static bool initrd_module(struct planner *planner, unsigned module, const char *words)
{
    char name[VM_NAME_SIZE], word[WORD_SIZE];
    struct guest_plan *guest;
    enum word_status status;

    if (!plan_scan_name(planner, words, name))
        return false;
    while ((status = word_next(&words, word)) == WORD_FOUND)
        if (!word_value(word, "vm"))
            return settings_fail(planner->error,
                                 "%s: unknown initrd setting \"%.60s\": write it like \"initrd vm=%s\"",
                                 planner->where, word, name);
    guest = plan_find_guest(planner->plan, name);
    if (!guest)
        return settings_fail(planner->error,
                             "%s: an initrd for %s, which has no kernel: add a module like \"kernel vm=%s\"",
                             planner->where, name, name);
    return plan_add_initrd(planner, guest, module, status == WORD_DASHES ? words : "");
}

/* All modules of one type, in order. An unbuilt type or a stray one is an error. */
static bool take_modules(struct planner *planner, enum module_type wanted, bool config)
{
    for (unsigned i = 0; i < planner->count; i++) {
        const char *words;
        enum module_type type = module_type(planner->modules[i].string, &words);

        name_module(planner, i);
        if (type == MODULE_DISK || type == MODULE_BIOS)
            return settings_fail(planner->error,
                                 "%s: a %s module, which this version can't use: write it like \"%s\"",
                                 planner->where, module_type_word(type), guest_setting_table.right_line);
        if (type == MODULE_UNTYPED && !config)
            return settings_fail(planner->error, "%s: no word says what it is: write it like \"%s\"",
                                 planner->where, guest_setting_table.right_line);
        if (type != wanted)
            continue;
        if (type == MODULE_KERNEL ? !kernel_module(planner, i, words) : !initrd_module(planner, i, words))
            return false;
    }
    return true;
}

/* *config: verge.cfg among the modules, or -1. */
static bool find_config(struct planner *planner, int *config)
{
    *config = -1;
    for (unsigned i = 0; i < planner->count; i++) {
        const char *words;

        if (module_type(planner->modules[i].string, &words) != MODULE_CONFIG)
            continue;
        name_module(planner, i);
        if (*config >= 0)
            return settings_fail(planner->error, "%s: a second config module: keep one, like \"config\"",
                                 planner->where);
        while (*words == ' ' || *words == '\t')
            words++;
        if (*words)
            return settings_fail(planner->error,
                                 "%s: unknown config setting \"%.60s\": write it like \"config\"",
                                 planner->where, words);
        *config = (int)i;
        planner->used |= BIT(i);
    }
    return true;
}

static bool finish(struct planner *planner)
{
    struct plan *plan = planner->plan;

    for (unsigned i = 0; i < plan->guest_count; i++)
        if (plan->guests[i].kernel == PLAN_NO_KERNEL)
            return settings_fail(planner->error,
                                 "verge.cfg: %s has no kernel: write its line like \"vm=%s kernel=vmlinuz\"",
                                 plan->guests[i].name, plan->guests[i].name);
    if (plan->guest_count == 0) {
        static const char name[VM_NAME_SIZE] = "vm0";
        struct guest_plan *guest = plan_add_guest(planner, name);

        guest->kernel = PLAN_BUILTIN;
        guest->settings.mem_bytes = PLAN_BUILTIN_BYTES;
    }
    plan->unused_modules = ~planner->used & (uint32_t)(BIT64(planner->count) - 1);
    return true;
}

bool plan_build(const char *hypervisor_string, const struct plan_module *modules, unsigned module_count,
                struct plan *plan, struct settings_error *error)
{
    struct planner planner = {.plan = plan, .modules = modules, .count = module_count, .error = error};
    struct hv_settings hv;
    int config;

    plan->guest_count = 0;
    plan->unused_modules = 0;
    plan->text_used = 0;
    error->text[0] = 0;
    if (!hv_settings_parse(hypervisor_string, &plan->hv, error))
        return false;
    if (module_count > PLAN_MODULES)
        return settings_fail(error, "%u modules: Verge takes %u: leave some out", module_count, PLAN_MODULES);
    if (!find_config(&planner, &config))
        return false;
    if (config >= 0) {
        memset(&hv, 0, sizeof hv);
        settings_defaults(&hv_setting_table, &hv);
        planner.in_config = true;
        if (!plan_read_config(&planner, &modules[config], &hv) ||
            !hv_settings_overlay(hypervisor_string, &hv, error))
            return false;
        plan->hv = hv;
    }
    planner.in_config = false;
    return take_modules(&planner, MODULE_KERNEL, config >= 0) &&
           take_modules(&planner, MODULE_INITRD, config >= 0) && finish(&planner);
}
