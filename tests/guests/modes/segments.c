/* Segment state: base, limit and attributes through exits and mode changes; rings; the LDT; long mode. */
#include "tests/guests/modes/legacy.h"

#define FS_BASE     0xC0000100u
#define DENIED_PORT 0x64
#define LIMITS      "segment_limits"

legacy_code seg_based, seg_ldt, seg_small_in, seg_small_out, seg_read_only, seg_write_read_only,
    seg_execute_only, seg_null, seg_down16_below, seg_down16, seg_down16_above, seg_down32_below, seg_down32,
    seg_hidden, seg_tables, seg_ring3, seg_ring3_exits, seg_ring3_in, seg_ring3_cli, seg_ring3_hlt,
    seg_ring3_cr, seg_ring3_rdmsr, seg_ring3_int, seg_ring3_load, seg_conforming, seg_call_gate,
    seg_stack_limit, seg_gate_target, seg_ring3_nulls, seg_tss16, seg_undo_tss16;
extern uint32_t legacy_last_fs;

static void check_bases(enum legacy_paging paging)
{
    static const struct {
        const char *name;
        legacy_code *code;
        unsigned at;
    } reads[] = {
        {"segment base", seg_based, 4},          {"segment of the LDT", seg_ldt, 0x100},
        {"segment end", seg_small_in, 0x0C},     {"read-only segment", seg_read_only, 8},
        {"expand-down, B=0", seg_down16, 0x800}, {"expand-down, B=1", seg_down32, 0x800},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(reads); i++) {
        const struct legacy_state *s = legacy_run_one(paging, reads[i].code);
        same(reads[i].name, s->vector, LEGACY_RETURNED);
        same(reads[i].name, s->eax, legacy_data_at(reads[i].at));
    }
    const struct legacy_state *s = legacy_run_one(paging, seg_ldt);
    same("SLDT", s->edx & 0xFFFF, SEL_LDT);
    same("STR", s->ebx & 0xFFFF, SEL_TSS);
    s = legacy_run_one(paging, seg_hidden);
    same("hidden base, descriptor changed", s->esi, s->ebx);
    same("hidden base, loaded again", s->edi, legacy_data_at(0x14));
    s = legacy_run_one(paging, seg_tables);
    same("GDTR limit", s->eax, legacy_gdt_pointer.limit);
    same("GDTR base", s->ebx, legacy_gdt_pointer.base);
    same("IDTR limit", s->ecx, legacy_idt_pointer.limit);
    same("IDTR base", s->edx, legacy_idt_pointer.base);
}

static void check_limits(enum legacy_paging paging)
{
    static const struct legacy_case cases[] = {
        {"beyond a segment's limit", seg_small_out, 13, 0, LIMITS},
        {"write to a read-only segment", seg_write_read_only, 13, 0, LIMITS},
        {"read of an execute-only segment", seg_execute_only, 13, 0, LIMITS},
        {"null selector", seg_null, 13, 0, LIMITS},
        {"below an expand-down segment, B=0", seg_down16_below, 13, 0, LIMITS},
        {"above an expand-down segment, B=0", seg_down16_above, 13, 0, LIMITS},
        {"below an expand-down segment, B=1", seg_down32_below, 13, 0, LIMITS},
        {"PUSH beyond the stack's limit", seg_stack_limit, 12, 0, LIMITS},
    };
    static struct legacy_state results[ARRAY_LENGTH(cases)];
    legacy_check(paging, cases, results, ARRAY_LENGTH(cases));
}

static void check_rings(enum legacy_paging paging)
{
    static const struct legacy_case cases[] = {
        {"IN in ring 3, forbidden", seg_ring3_in, 13, 0, NULL},
        {"CLI in ring 3", seg_ring3_cli, 13, 0, NULL},
        {"HLT in ring 3", seg_ring3_hlt, 13, 0, NULL},
        {"MOV EAX, CR0 in ring 3", seg_ring3_cr, 13, 0, NULL},
        {"RDMSR in ring 3", seg_ring3_rdmsr, 13, 0, NULL},
        {"INT through a gate of ring 0", seg_ring3_int, 13, 0x20 * 8 + 2, NULL},
        {"MOV DS of ring 0 in ring 3", seg_ring3_load, 13, SEL_DATA, NULL},
    };
    static struct legacy_state results[ARRAY_LENGTH(cases)];
    const struct legacy_state *s = legacy_run_one(paging, seg_ring3);
    same("ring 3: INT", s->vector, LEGACY_STOP);
    same("ring 3: CS", s->cs & 0xFFFF, SEL_USER_CODE);
    same("ring 3: SS", s->ss & 0xFFFF, SEL_USER_DATA);
    same("ring 3: DS stays", s->ds & 0xFFFF, SEL_USER_DATA);
    s = legacy_run_one(paging, seg_ring3_exits);
    same("ring 3: CPUID, IN, OUT", s->vector, LEGACY_STOP);
    same("ring 3: memory", s->eax, *(const uint32_t *)(uintptr_t)seg_small_in);
    s = legacy_run_one(paging, seg_ring3_nulls);
    same("IRET to ring 3: DS of ring 0 becomes null", s->ds & 0xFFFF, 0);
    same("IRET to ring 3: ES of ring 3 stays", s->es & 0xFFFF, SEL_USER_DATA);
    s = legacy_run_one(paging, seg_conforming);
    same("conforming code from ring 3", s->vector, LEGACY_STOP);
    same("conforming code from ring 3: CS", s->cs & 0xFFFF, SEL_CONFORMING + 3);
    s = legacy_run_one(paging, seg_call_gate);
    same("call gate from ring 3", s->vector, LEGACY_STOP);
    same("call gate from ring 3: CS", s->eax & 0xFFFF, SEL_CODE32);
    legacy_check(paging, cases, results, ARRAY_LENGTH(cases));
}

/* FS as it was loaded in 32-bit protected mode has its base in 64-bit mode (AMD APM vol. 2, "FS and GS
 * Registers in 64-Bit Mode"). And a 16-bit TSS doesn't get there (Intel SDM vol. 3, "Initializing IA-32e
 * Mode"); AMD's manual is silent. */
static void check_long_mode(void)
{
    uint32_t r[4], low, high;
    legacy_last_fs = SEL_BASED;
    legacy_run_one(LEGACY_FLAT, seg_based);
    legacy_last_fs = SEL_DATA;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(FS_BASE));
    same("FS base from protected mode", (uint64_t)high << 32 | low, (uintptr_t)legacy_data);
    __asm__ volatile("wrmsr" : : "c"(FS_BASE), "a"(0), "d"(0));
    cpuid(0, r);
    if (r[1] != 0x756E6547) /* "Genu" */
        return;
    legacy_code *const trials[] = {seg_tss16, seg_undo_tss16};
    static struct legacy_state results[2];
    legacy_run(LEGACY_FLAT, trials, results, 2);
    same("long mode with a 16-bit TSS", results[0].vector, 13);
}

void check_segments(void)
{
    legacy_prepare();
    legacy_forbid_port(DENIED_PORT);
    legacy_call_gate((uint32_t)(uintptr_t)seg_gate_target);
    for (unsigned paging = LEGACY_FLAT; paging <= LEGACY_PAE; paging++) {
        check_bases((enum legacy_paging)paging);
        check_limits((enum legacy_paging)paging);
        check_rings((enum legacy_paging)paging);
    }
    check_long_mode();
}
