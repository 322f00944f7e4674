/* end=NAME: what must end the guest with a line of Verge's (tests/integration/test_modes.py has the texts).
 */
#include "tests/guests/modes/legacy.h"

#define TSS_CR3    7 /* in dwords */
#define TSS_EIP    8
#define TSS_EFLAGS 9
#define TSS_ESP    14
#define TSS_ES     18
#define TSS_CS     19
#define TSS_SS     20
#define TSS_DS     21
#define TASK_GATE  0x85

legacy_code end_triple32, end_triple_real, end_task_jmp, end_task_call, end_task_gate, end_task_interrupt,
    end_task_iret, end_task_entry;
typedef void end_function(void);
end_function end_triple64, end_mmio_shift, end_mmio_multiply, end_mmio_divide, end_mmio_cmpxchg8b,
    end_mmio_x87, end_mmio_sse, end_mmio_jump, end_mmio_far_jump, end_mmio_selector, end_mmio_lgdt,
    end_mmio_code, end_mmio_tables, end_mmio_stack;

static const struct {
    const char *name;
    end_function *code;
    bool is_trial;
} ends[] = {
    {"triple64", end_triple64, false},
    {"triple32", end_triple32, true},
    {"triple_real", end_triple_real, true},
    {"task_jmp", end_task_jmp, true},
    {"task_call", end_task_call, true},
    {"task_gate", end_task_gate, true},
    {"task_interrupt", end_task_interrupt, true},
    {"task_iret", end_task_iret, true},
    {"mmio_shift", end_mmio_shift, false},
    {"mmio_multiply", end_mmio_multiply, false},
    {"mmio_divide", end_mmio_divide, false},
    {"mmio_cmpxchg8b", end_mmio_cmpxchg8b, false},
    {"mmio_x87", end_mmio_x87, false},
    {"mmio_sse", end_mmio_sse, false},
    {"mmio_jump", end_mmio_jump, false},
    {"mmio_far_jump", end_mmio_far_jump, false},
    {"mmio_selector", end_mmio_selector, false},
    {"mmio_lgdt", end_mmio_lgdt, false},
    {"mmio_code", end_mmio_code, false},
    {"mmio_tables", end_mmio_tables, false},
    {"mmio_stack", end_mmio_stack, false},
};

/* A task that could be switched to. */
static void prepare_task(void)
{
    static uint8_t stack[256];
    legacy_tss2[TSS_EIP] = (uint32_t)(uintptr_t)end_task_entry;
    legacy_tss2[TSS_EFLAGS] = 2;
    legacy_tss2[TSS_ESP] = (uint32_t)(uintptr_t)stack + sizeof stack;
    legacy_tss2[TSS_ES] = legacy_tss2[TSS_SS] = legacy_tss2[TSS_DS] = SEL_DATA;
    legacy_tss2[TSS_CS] = SEL_CODE32;
}

void check_ends(void)
{
    struct legacy_state result;

    if (!word_text("end"))
        return; /* not among all groups */
    legacy_prepare();
    prepare_task();
    if (word_is("end", "task_interrupt"))
        legacy_gate(LEGACY_STOP, SEL_TSS2, 0, TASK_GATE);
    for (size_t i = 0; i < ARRAY_LENGTH(ends); i++) {
        if (!word_is("end", ends[i].name))
            continue;
        print("modes ends: %s\n", ends[i].name);
        if (ends[i].is_trial)
            legacy_run(LEGACY_FLAT, &ends[i].code, &result, 1);
        else
            ends[i].code();
        check(false, ends[i].name, 0, 0); /* it came back */
    }
}
