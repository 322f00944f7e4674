/*
 * What the parts of plan_build() share: guest/cfg.c (the plan), plan_guest.c (one guest's words) and
 * cfg_file.c (verge.cfg); nobody else includes it.
 */
#ifndef GUEST_PLANNER_H
#define GUEST_PLANNER_H

#include "guest/cfg.h"

#define PLAN_NO_KERNEL (-2) /* while planning */

/* What plan_build() works on. All functions that return bool or a pointer set *error when they return false
 * or NULL. */
struct planner {
    struct plan *plan;
    const struct plan_module *modules;
    unsigned count;
    uint32_t used; /* bit n: module n serves a guest, or is verge.cfg */
    struct settings_error *error;
    bool in_config; /* verge.cfg is being read, not a module's string */
    char where[64]; /* what an error begins with */
};

struct guest_plan *plan_find_guest(struct plan *plan, const char *name);
struct guest_plan *plan_add_guest(struct planner *planner, const char *name);

/* The name in the words' vm=, which may stand anywhere among them; vm0 without. */
bool plan_scan_name(struct planner *planner, const char *words, char name[VM_NAME_SIZE]);

bool plan_set_kernel(struct planner *planner, struct guest_plan *guest, unsigned module);
bool plan_add_initrd(struct planner *planner, struct guest_plan *guest, unsigned module, const char *string);

/* The words of a kernel module's string, or of a guest's line in verge.cfg, where files may be named too. */
bool plan_guest_words(struct planner *planner, struct guest_plan *guest, const char *words);

/* The error of WORD_BAD. */
bool plan_bad_word(struct planner *planner, const char *word);

/* cfg_file.c: the whole of verge.cfg. */
bool plan_read_config(struct planner *planner, const struct plan_module *file, struct hv_settings *hv);

#endif
