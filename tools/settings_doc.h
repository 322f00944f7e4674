/* The text of docs/settings.md; shared by the generator and by the test that compares it with the file. Host
 * only. */
#ifndef TOOLS_SETTINGS_DOC_H
#define TOOLS_SETTINGS_DOC_H

#include "guest/settings.h"
#include "hv/settings.h"
#include <stdio.h>
#include <string.h>

#define SETTINGS_DOC_SIZE 32768

static const char settings_doc_head[] =
    "# Settings\n"
    "\n"
    "<!-- Made by tools/settings_doc.c from hv/settings.c and guest/settings.c: `make settings-doc`. Do not "
    "edit. -->\n"
    "\n"
    "Words are `key=value`, divided by blanks. Quotes, ' or \", may open anywhere in a word; a backslash "
    "takes the next character as\n"
    "it is. The first stand-alone `--` ends the words: the rest is the guest's, untouched. Sizes take K, M "
    "or G (binary), durations ns,\n"
    "us, ms or s, never a bare number. An unknown key, a key given twice or a bad value is an error that "
    "shows a right line.\n"
    "\n"
    "## Where they stand\n"
    "\n"
    "| place | line |\n"
    "|---|---|\n"
    "| hypervisor's string | `key=value ...`; the image's own file name before them is skipped |\n"
    "| module string of a guest | `kernel vm=NAME key=value ... -- guest command line` |\n"
    "| module string of its initrd, or of a Multiboot module | `initrd vm=NAME -- the module's own string` "
    "|\n"
    "| module string of the file below | `config` |\n"
    "| verge.cfg, before the first `vm=` | hypervisor words |\n"
    "| verge.cfg, a line for each guest | `vm=NAME kernel=FILE initrd=FILE key=value ... -- command line` |\n"
    "\n"
    "All before the first type word of a module's string (`kernel`, `initrd`, `config`) is skipped: it is "
    "the module's name. NAME is 1 to 15 of\n"
    "`a-z 0-9 _ -`, `vm0` when left out of a module's string. FILE is a module's name, or what follows its "
    "last slash; `initrd=` may come more than\n"
    "once. verge.cfg is UTF-8; `#` begins a comment, a `\\` at the end of a line continues it. The "
    "hypervisor's string wins over verge.cfg, and a\n"
    "module's string over the guest's line there. Without a guest, the built-in clock guest runs.\n";

/* In a table cell a | must be escaped, in code too. */
static inline size_t settings_doc_cell(char *text, size_t size, const char *cell)
{
    size_t length = 0;

    for (; *cell && length + 3 < size; cell++) {
        if (*cell == '|')
            text[length++] = '\\';
        text[length++] = *cell;
    }
    text[length] = 0;
    return length;
}

static inline size_t settings_doc_table(char *text, size_t size, const struct setting_table *table)
{
    size_t length = (size_t)snprintf(
        text, size,
        "\n## %c%s keys\n\n| word | default | range | when | what it does |\n|---|---|---|---|---|\n",
        table->title[0] - 'a' + 'A', table->title + 1);

    for (unsigned i = 0; i < table->count && length < size; i++) {
        const struct setting *row = &table->settings[i];
        char form[128], cell[192], standard[64], range[64];

        setting_format_form(row, form, sizeof form);
        setting_format_range(row, range, sizeof range);
        settings_doc_cell(cell, sizeof cell, form);
        snprintf(standard, sizeof standard,
                 row->standard               ? "`%s`"
                 : row->type == SETTING_FLAG ? "off"
                                             : "",
                 row->standard);
        length += (size_t)snprintf(text + length, size - length, "| `%s` | %s | %s | %s | %s |\n", cell,
                                   standard, range, row->applied, row->help);
    }
    return length;
}

/* False when `size` is too small. */
static inline bool settings_doc(char *text, size_t size)
{
    size_t length = sizeof settings_doc_head - 1;

    if (size < sizeof settings_doc_head)
        return false;
    memcpy(text, settings_doc_head, sizeof settings_doc_head);
    length += settings_doc_table(text + length, size - length, &hv_setting_table);
    if (length >= size)
        return false;
    length += settings_doc_table(text + length, size - length, &guest_setting_table);
    return length < size;
}

#endif
