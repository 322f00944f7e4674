/*
 * From what the boot loader handed over, the hypervisor's string and the modules with theirs, to a plan: the
 * settings and the list of guests. Called once at boot, before any guest is made, and again by nobody; pure,
 * so host tests and the fuzzer run it as it is.
 *
 * A module's string: leading words are skipped up to the first type word `kernel|initrd|disk|bios|config`;
 * what was skipped is the module's name, as QEMU puts the file there (the blanks at its ends don't count). A
 * string without a type word, but `--` or not, is a name alone.
 *
 *   kernel vm=NAME key=value ... -- command line    a guest; vm0 when vm= is left out. The words of a guest
 * are those of guest/settings.h. initrd vm=NAME -- its own string                what the guest's kernel gets
 * as initrd or as a Multiboot module, up to PLAN_INITRDS in module order config verge.cfg; at most one disk,
 * bios                                      known words, not built yet: an error that says so
 *
 * verge.cfg: UTF-8 (a byte order mark is skipped), lines end in LF or CRLF; `#` at the start of a word begins
 * a comment, but not behind `--`; a `\` at the end of a line makes one blank of it and joins the next line,
 * but not in a comment. Hypervisor words stand on lines before the first `vm=`. Then each line is one guest:
 * `vm=NAME kernel=FILE initrd=FILE key=value ... -- command line`; `initrd=` may come more than once. FILE is
 * a module's name: the whole name, or else the part after its last slash compared with the same part of FILE,
 * which must fit one module only.
 *
 * The command line wins: the hypervisor's string over the lines of verge.cfg, and a module's string over the
 * guest's line there, word by word and its
 * `--` part too. Guests stand in the order of verge.cfg, then of the modules. One kernel module may serve
 * several guests.
 *
 * Refused, each with a line that names it and shows a right one: unknown key, a key twice in one place, bad
 * value, bad VM name, a second kernel for a VM, an initrd or a line without a kernel, a second line for a VM,
 * a file that no module or more than one is named by, more than PLAN_GUESTS, PLAN_INITRDS or PLAN_MODULES,
 * more than PLAN_TEXT bytes of strings, a module without a type word where there is no verge.cfg.
 */
#ifndef GUEST_CFG_H
#define GUEST_CFG_H

#include "guest/settings.h"
#include "hv/settings.h"

#define PLAN_MODULES 32
#define PLAN_GUESTS  32
#define PLAN_INITRDS 8
#define PLAN_TEXT    32768 /* bytes of all strings that the plan keeps */
#define PLAN_LINE    4096  /* bytes of a line of verge.cfg, joined, its terminator included */
#define VM_NAME_SIZE 16

#define PLAN_BUILTIN (-1) /* as a kernel: the clock guest in Verge's own image */
/* Its memory: it runs on any PC. */
#define PLAN_BUILTIN_BYTES (UINT64_C(16) << 20)

/* One module as the boot loader gave it. `string` is NUL-terminated, never NULL; `data` is only read for type
 * `config`. */
struct plan_module {
    const char *string;
    const void *data;
    size_t size;
};

struct plan_initrd {
    unsigned module;    /* index into the modules */
    const char *string; /* behind its `--`, "" without; a Multiboot module's own string */
};

struct guest_plan {
    char name[VM_NAME_SIZE];
    struct guest_settings settings;
    int kernel;               /* index into the modules, or PLAN_BUILTIN */
    const char *command_line; /* "" when none */
    unsigned initrd_count;
    struct plan_initrd initrds[PLAN_INITRDS];
};

/* Large (about 50 KB): keep it in static memory. All pointers in it lead into its own `text`, so it must not
 * be copied. */
struct plan {
    struct hv_settings hv;
    unsigned guest_count; /* at least 1 after success */
    struct guest_plan guests[PLAN_GUESTS];
    uint32_t unused_modules; /* bit n: module n serves nobody; worth a warning */
    size_t text_used;
    char text[PLAN_TEXT];
    char line[PLAN_LINE]; /* scratch while verge.cfg is read */
};

/*
 * Fills *plan. Without a module, and without a guest in verge.cfg, there is one guest, vm0, with defaults and
 * the built-in kernel. False: error->text says what is wrong; plan->hv is still usable to show it, the guests
 * are not.
 */
bool plan_build(const char *hypervisor_string, const struct plan_module *modules, unsigned module_count,
                struct plan *plan, struct settings_error *error);

#endif
