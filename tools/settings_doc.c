/*
 * Prints docs/settings.md from the tables of keys (hv/settings.c, guest/settings.c). Host program; `make
 * settings-doc` runs it, and test_settings_doc fails when the file is stale.
 */
#include "tools/settings_doc.h"
#include <stdio.h>

int main(void)
{
    static char text[SETTINGS_DOC_SIZE];

    if (!settings_doc(text, sizeof text))
        return 1;
    return fputs(text, stdout) < 0;
}
