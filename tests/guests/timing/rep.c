/*
 * Ticks into REP string instructions (op=, count=): the handler writes to a port where each one came, so that
 * a test can hold that against how the CPU counts REP (tests/integration/rep_load.py). Then it halts up to
 * one more tick: behind that the time is the same on every machine.
 */
#include "tests/guests/lib/pit.h"
#include "tests/guests/timing/timing.h"

#define MOST 4096u /* elements: rep_load.asm */

typedef void rep_function(volatile uint64_t *counter, uint64_t target, uint32_t count);
rep_function rep_movsb, rep_stosd, rep_lodsw, rep_cmpsq, rep_scasb;
void rep_irq0(void), rep_forget(void);
extern uint8_t rep_target[];

static const struct {
    const char *name;
    rep_function *run;
} operations[] = {
    {"movsb", rep_movsb}, {"stosd", rep_stosd}, {"lodsw", rep_lodsw},
    {"cmpsq", rep_cmpsq}, {"scasb", rep_scasb},
};

static rep_function *operation_chosen(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(operations); i++)
        if (word_is("op", operations[i].name))
            return operations[i].run;
    guest_fail("op=: unknown");
}

bool test_rep(void)
{
    rep_function *run = operation_chosen();
    uint64_t ticks = word_number("ticks", 40);
    uint32_t count = (uint32_t)word_number("count", 1000);
    if (!count || count > MOST)
        guest_fail("count=: 1 to 4096");
    if (run == rep_scasb)
        rep_target[count / 2] = 1; /* AL: the byte that ends it */
    idt_set(VECTOR_IRQ0, (void *)(uintptr_t)rep_irq0);
    pit_control(0, 2);
    pic_start();
    pic_unmask(0);
    irq0_count = 0;
    pit_count(0, pit_count_for(word_thousandths("hz", 20000000)));
    run(&irq0_count, ticks, count);
    __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
    pic_mask_all();
    rep_forget();
    bool good = irq0_count == ticks + 1;
    print("RESULT %s rep ticks=%lu\n", good ? "PASS" : "FAIL", irq0_count);
    return good;
}
