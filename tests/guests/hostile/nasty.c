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

static volatile uint64_t dbs, ticks;
static bool count_db(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_IRQ0) {
        ticks++;
        return false;
    }
    if (frame->vector != 1)
        return false;
    dbs++;
    return true;
}
static bool steps_lost(void)
{
    uint64_t n = word_number("n", 20000), c = n;
    trap_hook = count_db;
    idt_set(VECTOR_IRQ0, trap_stubs[VECTOR_IRQ0]);
    pic_start();
    out8(0x43, 0x34);
    out8(0x40, (uint8_t)word_number("count", 5));
    out8(0x40, 0);
    pic_unmask(0);
    __asm__ volatile("sti\n pushf\n pushf\n orq $0x100,(%%rsp)\n popf\n 1: dec %0\n jnz 1b\n popf\n cli\n"
                     : "+r"(c)::"memory");
    print("steps n=%lu dbs=%lu ticks=%lu lost=%ld\n", n, dbs, ticks, 2 * n + 1 - dbs);
    return dbs == 2 * n + 1;
}
static bool reset_state(void)
{
    uint64_t dr0, xmm, a = 0x1234, z;
    uint32_t aux, d;
    __asm__ volatile("mov %%dr0, %0" : "=r"(dr0));
    __asm__ volatile("mov %%cr4, %0\n or $0x600, %0\n mov %0, %%cr4" : "=r"(z));
    __asm__ volatile("movq %%xmm3, %0" : "=r"(xmm));
    __asm__ volatile("rdmsr" : "=a"(aux), "=d"(d) : "c"(0xC0000103));
    print("state dr0=%lx xmm3=%lx aux=%x\n", dr0, xmm, aux);
    __asm__ volatile("mov %0, %%dr0" ::"r"(a));
    __asm__ volatile("movq %0, %%xmm3" ::"r"(a));
    __asm__ volatile("wrmsr" ::"a"(77), "d"(0), "c"(0xC0000103));
    out8(0x70, 0x60);
    uint8_t n = in8(0x71);
    out8(0x71, (uint8_t)(n + 1));
    if (n >= 1)
        return !dr0 && !xmm && !aux;
    out8(0x64, 0xFE);
    for (;;)
        ;
}
static bool mask_pit(void)
{
    pic_start();
    out8(0x43, 0x34);
    out8(0x40, 100);
    out8(0x40, 0);
    pic_mask_all();
    pic_unmask(4);
    print("now halting\n");
    __asm__ volatile("sti; hlt");
    return true;
}

bool nasty_run(bool *passed)
{
    if (word_bare("stepslost")) {
        *passed = steps_lost();
        print("RESULT %s\n", *passed ? "PASS" : "FAIL");
        return true;
    }
    if (word_bare("resetstate")) {
        *passed = reset_state();
        print("RESULT %s\n", *passed ? "PASS" : "FAIL");
        return true;
    }
    if (word_bare("maskpit")) {
        *passed = mask_pit();
        return true;
    }
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
    if (word_bare("reset64"))
        return reset_by("reset64", 0x64, 0xFE), true;
    if (word_bare("reset92"))
        return reset_by("reset92", 0x92, 1), true;
    if (word_bare("resetcf9"))
        return reset_by("resetcf9", 0xCF9, 6), true;
    return false;
}
