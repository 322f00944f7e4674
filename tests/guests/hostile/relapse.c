/* Mistakes that Verge once made, each by its name on the command line. */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/lib/rtc.h"

#define MSR_TSC_AUX   0xC0000103u
#define CR4_SSE       0x600ull
#define CMOS_RESTARTS 0x60u
#define PIT_CONTROL   0x43u
#define PIT_CHANNEL_0 0x40u
#define PIT_RATE      0x34u /* channel 0, both bytes, mode 2 */

static void pit_rate(uint8_t count)
{
    out8(PIT_CONTROL, PIT_RATE);
    out8(PIT_CHANNEL_0, count);
    out8(PIT_CHANNEL_0, 0);
}

/* ---- a single step was lost when an interrupt fell on it ---- */

static volatile uint64_t debug_traps, ticks;

static bool count_traps(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_IRQ0)
        ticks++;
    else if (frame->vector == 1)
        debug_traps++;
    return frame->vector == 1;
}

/* `steps [n=20000] [count=5]`: n rounds of two instructions with TF set, a tick every `count` CLKs. */
static bool steps(void)
{
    uint64_t rounds = word_number("n", 20000), left = rounds, wanted = 2 * rounds + 1;

    trap_hook = count_traps;
    idt_set(VECTOR_IRQ0, trap_stubs[VECTOR_IRQ0]);
    pic_start();
    pit_rate((uint8_t)word_number("count", 5));
    pic_unmask(0);
    __asm__ volatile("sti\n"
                     "pushf\n"
                     "pushf\n"
                     "orq $0x100, (%%rsp)\n"
                     "popf\n"
                     "1: dec %0\n"
                     "jnz 1b\n"
                     "popf\n"
                     "cli\n"
                     : "+r"(left)
                     :
                     : "memory");
    print("steps traps=%lu wanted=%lu ticks=%lu\n", debug_traps, wanted, ticks);
    return debug_traps == wanted && ticks > rounds / 100;
}

/* ---- a reset left debug registers, vector registers and TSC_AUX as they were ---- */

/* `leftovers`: looks at them, fills them, resets; says how it was when it is started again. */
static bool leftovers(void)
{
    uint64_t dr0, cr4, xmm3, pattern = 0x1234;
    uint32_t aux, unused;
    uint8_t restarts = rtc_read(CMOS_RESTARTS);

    __asm__ volatile("mov %%cr4, %0\n or %1, %0\n mov %0, %%cr4" : "=&r"(cr4) : "r"(CR4_SSE));
    __asm__ volatile("mov %%dr0, %0" : "=r"(dr0));
    __asm__ volatile("movq %%xmm3, %0" : "=r"(xmm3));
    __asm__ volatile("rdmsr" : "=a"(aux), "=d"(unused) : "c"(MSR_TSC_AUX));
    print("leftovers restarts=%u dr0=%lx xmm3=%lx tsc_aux=%x\n", restarts, dr0, xmm3, aux);
    __asm__ volatile("mov %0, %%dr0" : : "r"(pattern));
    __asm__ volatile("movq %0, %%xmm3" : : "r"(pattern));
    __asm__ volatile("wrmsr" : : "a"(77), "d"(0), "c"(MSR_TSC_AUX));
    rtc_write(CMOS_RESTARTS, (uint8_t)(restarts + 1));
    if (restarts)
        return !dr0 && !xmm3 && !aux;
    out8(0x64, 0xFE); /* the keyboard controller's reset */
    for (;;)
        ;
}

/* ---- a halted guest whose ticks are all masked kept the CPU from the others ---- */

/* `deaf`: sleeps for ever with a fast PIT behind a masked line; COM1 could wake it, so it is no dead halt. */
static bool deaf(void)
{
    pic_start();
    pit_rate(100);
    pic_mask_all();
    pic_unmask(4);
    print("deaf from now on\n");
    __asm__ volatile("sti\n hlt");
    return false;
}

bool relapse_run(bool *passed)
{
    static const struct {
        const char *name;
        bool (*run)(void);
    } relapses[] = {{"steps", steps}, {"leftovers", leftovers}, {"deaf", deaf}};

    for (size_t i = 0; i < ARRAY_LENGTH(relapses); i++) {
        if (!word_bare(relapses[i].name))
            continue;
        *passed = relapses[i].run();
        print("RESULT %s %s\n", *passed ? "PASS" : "FAIL", relapses[i].name);
        return true;
    }
    return false;
}
