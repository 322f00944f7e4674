/*
 * verge.cfg, and the files that its kernel= and initrd= name, as GRUB's menu would hand them over: a module's
 * string is its path, but "config" for verge.cfg. What is wrong inside verge.cfg Verge says itself, with more
 * room for it; here such a line only ends the search for names. The contract is in loader.h.
 */
#include "boot/efi/loader.h"
#include "guest/cfg.h"
#include "guest/cfg_line.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define FOLDER    "/verge/"
#define CONFIG    FOLDER "verge.cfg"
#define PATH_SIZE (sizeof FOLDER + WORD_SIZE)

struct module {
    struct efi_file file;
    char string[PATH_SIZE];
};

static struct module modules[BOOT_MODULES_MAX];
static unsigned module_count;

/* The path is the module's string too. A name with a slash at its start counts from the volume's root. */
static EFI_STATUS load_named(EFI_FILE_HANDLE volume, const char *name)
{
    char path[PATH_SIZE];
    EFI_STATUS status;

    fmt_snprintf(path, sizeof path, "%s%s", *name == '/' ? "" : FOLDER, name);
    for (unsigned i = 0; i < module_count; i++)
        if (strcmp(modules[i].string, path) == 0)
            return EFI_SUCCESS;
    if (module_count == BOOT_MODULES_MAX)
        return efi_fail(EFI_OUT_OF_RESOURCES, "%s: one file more than Verge takes, %u", path,
                        BOOT_MODULES_MAX - 1);
    status = efi_load_file(volume, path, &modules[module_count].file);
    if (status == EFI_NOT_FOUND)
        return efi_fail(status, "%s: is not there, and %s names it", path, CONFIG);
    if (!EFI_ERROR(status))
        memcpy(modules[module_count++].string, path, sizeof path);
    return status;
}

/* The files of one line; behind its -- is the guest's own. */
static EFI_STATUS load_line(EFI_FILE_HANDLE volume, const char *line)
{
    EFI_STATUS status = EFI_SUCCESS;
    char word[WORD_SIZE];

    while (!EFI_ERROR(status) && word_next(&line, word) == WORD_FOUND) {
        const char *name = word_value(word, "kernel");

        if (!name)
            name = word_value(word, "initrd");
        if (name)
            status = load_named(volume, name);
    }
    return status;
}

EFI_STATUS modules_load(EFI_FILE_HANDLE volume)
{
    static char line[PLAN_LINE];
    struct efi_file *config = &modules[0].file;
    struct cfg_reader reader;
    unsigned number;
    EFI_STATUS status = efi_load_file(volume, CONFIG, config);

    if (status == EFI_NOT_FOUND)
        efi_print("no %s: the built-in clock guest will run\r\n", CONFIG);
    if (EFI_ERROR(status))
        return status == EFI_NOT_FOUND ? EFI_SUCCESS : status;
    memcpy(modules[module_count++].string, "config", sizeof "config");
    cfg_reader_init(&reader, (const void *)(uintptr_t)config->base, config->size);
    while (!EFI_ERROR(status) && cfg_next_line(&reader, line, sizeof line, &number) == CFG_LINE)
        status = load_line(volume, line);
    return status;
}

void modules_add(struct information *information)
{
    for (unsigned i = 0; i < module_count; i++)
        information_add_module(information, modules[i].file.base, modules[i].file.size, modules[i].string);
}

void modules_free(void)
{
    while (module_count) {
        const struct efi_file *file = &modules[--module_count].file;

        efi_free(file->base, file->size);
    }
}
