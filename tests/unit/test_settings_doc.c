/* docs/settings.md must be what the tables say; run from the root of the tree (as make does). Stale: `make
 * settings-doc`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tools/settings_doc.h"

static void document_is_fresh(void **state)
{
    static char wanted[SETTINGS_DOC_SIZE], found[SETTINGS_DOC_SIZE];
    FILE *file = fopen("docs/settings.md", "r");

    (void)state;
    assert_non_null(file);
    found[fread(found, 1, sizeof found - 1, file)] = 0;
    fclose(file);
    assert_true(settings_doc(wanted, sizeof wanted));
    if (strcmp(found, wanted) != 0)
        fail_msg("docs/settings.md is stale: make settings-doc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(document_is_fresh)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
