/* The modes guest: CPU modes, exceptions, shadows and emulated instructions, each checked. `only=A,B` runs
 * some groups. */
#include "tests/guests/modes/modes.h"

static uint64_t passed_checks, failed_checks, expected_failures;

void check(bool good, const char *what, uint64_t is, uint64_t wanted)
{
    if (good) {
        passed_checks++;
        return;
    }
    failed_checks++;
    print("modes failed: %s: is %lx, should be %lx\n", what, is, wanted);
}

/* Is `name` one of those in key=a,b,c? */
static bool is_listed(const char *key, const char *name)
{
    const char *at = word_text(key);
    while (at && *at && *at != ' ') {
        const char *n = name;
        while (*n && *n == *at)
            n++, at++;
        if (!*n && (*at == ',' || *at == ' ' || !*at))
            return true;
        while (*at && *at != ' ' && *at != ',')
            at++;
        if (*at == ',')
            at++;
    }
    return false;
}

bool limited(const char *limit, const char *what)
{
    if (!limit || !is_listed("xfail", limit))
        return false;
    expected_failures++;
    print("XFAIL %s: %s\n", limit, what);
    return true;
}

void check_limited(const char *limit, bool good, const char *what, uint64_t is, uint64_t wanted)
{
    if (!good && limited(limit, what))
        return;
    check(good, what, is, wanted);
    if (good && limit && is_listed("xfail", limit))
        print("XPASS %s: %s\n", limit, what);
}

void same(const char *what, uint64_t is, uint64_t wanted)
{
    check(is == wanted, what, is, wanted);
}

bool alike(void)
{
    return word_number("alike", 0);
}

uint64_t unclaimed_memory(void)
{
    return word_number("bare", 0) ? 0 : ~0ull;
}

static const struct {
    const char *name;
    void (*run)(void);
} groups[] = {
    {"trip", check_trip},
    {"exceptions", check_exceptions},
    {"shadows", check_shadows},
    {"steps", check_steps},
    {"strings", check_strings},
    {"rep", check_rep},
    {"registers", check_registers},
    {"patching", check_patching},
    {"v86", check_v86},
    {"segments", check_segments},
    {"sixteen", check_sixteen},
    {"real", check_real},
    {"faults", check_faults},
    {"ports", check_ports},
    {"restart", check_restart},
    {"forms", check_forms},
    {"ends", check_ends},
    {"compatibility", check_compat},
    {"selfmod", check_selfmod},
    {"nmi", check_nmi},
    {"nmisource", check_nmi_source},
};

bool guest_run(void)
{
    idt_set(VECTOR_IRQ0, trap_stubs[VECTOR_IRQ0]);
    for (size_t i = 0; i < ARRAY_LENGTH(groups); i++) {
        bool wanted =
            word_text("only") ? is_listed("only", groups[i].name) : groups[i].run != check_nmi_source;
        if (!wanted)
            continue;
        uint64_t before = passed_checks, failed_before = failed_checks;
        groups[i].run();
        print("modes %s: %lu checks passed, %lu failed\n", groups[i].name, passed_checks - before,
              failed_checks - failed_before);
    }
    bool good = !failed_checks && passed_checks;
    print("RESULT %s modes passed=%lu failed=%lu xfail=%lu\n", good ? "PASS" : "FAIL", passed_checks,
          failed_checks, expected_failures);
    return good;
}
