/* One-shot nasties, each by its name on the command line: how a guest can end badly, or try to. */
#include "tests/guests/hostile/hostile.h"

#define UNCLAIMED 0xFEDFF000u

static bool count_ud(struct trap_frame *frame)
{
    static uint64_t left = ~0ull;
    if (frame->vector != 6)
        return false;
    if (left == ~0ull)
        left = word_number("n", 0);
    if (left && --left == 0) {
        print("RESULT PASS udstorm\n");
        guest_exit(0);
    }
    return true; /* back to the same UD2 */
}

static bool unclaimed(void)
{
    uint64_t n = word_number("n", 10000), wrong = 0;
    uint32_t nothing =
        word_number("bare", 0) ? 0 : 0xFFFFFFFFu; /* bare QEMU reads memory that nobody claims as 0 */
    volatile uint32_t *at = (volatile uint32_t *)(uintptr_t)UNCLAIMED; // NOLINT: a fixed physical address
    for (uint64_t i = 0; i < n; i++) {
        at[i % 1024] = (uint32_t)i;
        if (at[i % 1024] != nothing)
            wrong++;
        out8(0x2E0, (uint8_t)i);
        if (in8(0x2E0) != 0xFF)
            wrong++;
    }
    print("unclaimed accesses=%lu wrong=%lu\n", 4 * n, wrong);
    print("RESULT %s unclaimed\n", wrong ? "FAIL" : "PASS");
    return !wrong;
}

/* A reset must not come back; give it a moment, then say so. */
static bool reset_by(const char *name, uint16_t port, uint8_t value)
{
    print("nasty %s\n", name);
    out8(port, value);
    for (volatile unsigned i = 0; i < 1000000; i++) {
    }
    print("RESULT FAIL %s: still here\n", name);
    return false;
}

/* A test build of Verge puts an illegal state into this CPU (tests/image/spoil.c). */
static bool spoil(void)
{
    uint32_t r[4];
    uint64_t number = word_number("spoil", 0);

    cpuid(0, r);
    if (r[1] == 0x756E6547) /* Genu */
        __asm__ volatile("vmcall" : : "a"(0x53504F49), "b"(number) : "memory");
    else
        __asm__ volatile("vmmcall" : : "a"(0x53504F49), "b"(number) : "memory");
    print("RESULT PASS spoil %lu: still here\n", number);
    return true;
}

bool nasty_run(bool *passed)
{
    *passed = false;
    if (word_bare("unclaimed")) {
        *passed = unclaimed();
        return true;
    }
    if (word_bare("badexit"))
        guest_exit((uint8_t)word_number("code", 200));
    if (word_bare("tripleflt")) {
        print("nasty tripleflt\n");
        end_triple_fault();
    }
    if (word_bare("clihlt")) {
        print("nasty clihlt\n");
        end_cli_hlt();
    }
    if (word_bare("maskall")) {
        print("nasty maskall\n");
        pic_mask_all();
        end_masked_hlt();
    }
    if (word_bare("udstorm")) {
        print("nasty udstorm n=%lu\n", word_number("n", 0));
        trap_hook = count_ud;
        storm_ud();
    }
    if (word_text("spoil"))
        return *passed = spoil();
    if (word_bare("reset64"))
        return reset_by("reset64", 0x64, 0xFE), true;
    if (word_bare("reset92"))
        return reset_by("reset92", 0x92, 1), true;
    if (word_bare("resetcf9"))
        return reset_by("resetcf9", 0xCF9, 6), true;
    return false;
}
