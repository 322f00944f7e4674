/*
 * The hostile guest: `ops=` random operations from `seed=`; every exception is caught and counted, and it
 * goes on. With deadly=1 it may reset or crash; restarted, it goes on with the next seed: the run's number
 * and the operations done are kept in CMOS RAM (60h-6Bh, with a check byte), which a reset leaves alone. With
 * exits=1 too it may also end itself for good, by port f4h or a HLT that nothing ends.
 */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/lib/rtc.h"

#define CMOS_BASE  0x60u
#define CMOS_BYTES 12u
#define CMOS_MAGIC 0x5645u
#define SAVE_EVERY 256u

static struct hostile state;

struct progress {
    uint32_t runs;
    uint64_t done;
};

static bool progress_load(struct progress *p)
{
    uint8_t bytes[CMOS_BYTES], sum = 0;
    for (unsigned i = 0; i < CMOS_BYTES; i++)
        bytes[i] = rtc_read((uint8_t)(CMOS_BASE + i)), sum = (uint8_t)(sum + bytes[i]);
    *p = (struct progress){0};
    if (sum || bytes[0] != (CMOS_MAGIC & 0xFF) || bytes[1] != CMOS_MAGIC >> 8)
        return false;
    p->runs = bytes[2] | (uint32_t)bytes[3] << 8;
    for (unsigned i = 0; i < 6; i++)
        p->done |= (uint64_t)bytes[4 + i] << 8 * i;
    return true;
}

static void progress_save(const struct progress *p)
{
    uint8_t bytes[CMOS_BYTES] = {CMOS_MAGIC & 0xFF, CMOS_MAGIC >> 8, (uint8_t)p->runs,
                                 (uint8_t)(p->runs >> 8)},
            sum = 0;
    for (unsigned i = 0; i < 6; i++)
        bytes[4 + i] = (uint8_t)(p->done >> 8 * i);
    for (unsigned i = 0; i < CMOS_BYTES - 1; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[CMOS_BYTES - 1] = (uint8_t)(0 - sum);
    for (unsigned i = 0; i < CMOS_BYTES; i++)
        rtc_write((uint8_t)(CMOS_BASE + i), bytes[i]);
    out8(0x70, 0x0D); /* away from here: a step may write to 71h */
}

/* Debug traps end here with breakpoints and TF off; interrupts return with IF off, so that no storm of them
 * holds the guest up. */
static bool on_trap(struct trap_frame *frame)
{
    if (frame->vector == 1) {
        uint64_t dr7 = 0x400;
        __asm__ volatile("mov %0, %%dr7" : : "r"(dr7));
        state.debug_traps++;
        frame->rflags = (frame->rflags & ~0x100ull) | 0x10000; /* RF: not this breakpoint again */
        return true;
    }
    if (frame->vector < 32) {
        state.exceptions[frame->vector]++;
        return false;
    }
    state.interrupts++;
    frame->rflags &= ~0x200ull;
    return false; /* the default ends the interrupt */
}

static void report(const struct hostile *h, const struct progress *p, uint64_t ops)
{
    uint64_t caught = 0;
    uart_start();
    print("hostile exceptions");
    for (unsigned v = 0; v < 32; v++)
        if (h->exceptions[v])
            print(" %u:%lu", v, h->exceptions[v]), caught += h->exceptions[v];
    print("\nhostile ops=%lu caught=%lu interrupts=%lu debug_traps=%lu runs=%u total=%lu\n", ops, caught,
          h->interrupts, h->debug_traps, p->runs + 1, p->done);
    print("RESULT PASS hostile\n");
}

bool guest_run(void)
{
    bool passed;
    if (nasty_run(&passed) || relapse_run(&passed))
        return passed;
    struct hostile *h = &state;
    struct progress p;
    uint64_t wanted = word_number("ops", 100000), seed = word_number("seed", 1), ops = 0;
    h->bare = word_number("bare", 0);
    h->deadly = word_number("deadly", 0);
    h->exits = word_number("exits", 0);
    h->verbose = word_number("trace", 0) == 2;
    if (progress_load(&p) && h->deadly)
        p.runs++;
    else
        p = (struct progress){0};
    if (h->deadly)
        progress_save(&p); /* however soon this run ends, the next one is another */
    h->random = seed * 1000003 + p.runs;
    print("hostile start seed=%lu run=%u done=%lu\n", seed, p.runs, p.done);
    idt_set(VECTOR_IRQ0, trap_stubs[VECTOR_IRQ0]); /* nothing here is timed */
    idt_set(VECTOR_IRQ8, trap_stubs[VECTOR_IRQ8]);
    trap_hook = on_trap;
    while (p.done < wanted) {
        hostile_step(h);
        ops++;
        p.done++;
        if (p.done % SAVE_EVERY == 0) {
            if (h->deadly)
                progress_save(&p);
            if (word_number("trace", 0))
                uart_start(), print("hostile at=%lu\n", p.done);
        }
    }
    p.done = wanted;
    report(h, &p, ops);
    p = (struct progress){0};
    if (h->deadly)
        progress_save(&p); /* a further start begins anew */
    return true;
}
