/* Every form of error code in 32-bit protected mode; double faults there and in long mode. */
#include "tests/guests/modes/legacy.h"

#define PAGE      0x40000000u
#define NX_PAGE   0x40200000u
#define P_PRESENT 1u
#define P_RW      2u
#define P_USER    4u
#define P_LARGE   0x80u
#define P_NX      (1ull << 63)
#define IST_BYTES 1024

legacy_code fault_ts_link, fault_ts_null, fault_np_data, fault_np_code, fault_np_gate, fault_np_handler,
    fault_np_ldt, fault_ss_absent, fault_gp_read_only_ss, fault_gp_null_ss, fault_gp_beyond_gdt,
    fault_gp_beyond_ldt, fault_gp_data_as_code, fault_gp_null_code, fault_gp_ltr_busy, fault_gp_beyond_idt,
    fault_gp_cr4, fault_gp_cr0, fault_db_icebp, fault_bound, fault_df, fault_pf_read, fault_pf_write,
    fault_pf_protected, fault_pf_unprotected, fault_pf_fetch, fault_pf_nx, fault_pf_user_read,
    fault_pf_user_write, fault_pf_user_ins, fault_ac, fault_ac_off, fault_ac_ring0, fault_set_am,
    fault_pdpte_cr3, fault_pdpte_cr0, fault_pdpte_kept;
uint64_t fault_ist(void);
void fault_ist_entry(void);
extern uint64_t fault_ist_error, fault_ist_rip, page_directories[4 * 512], legacy_idt[], legacy_pointers[4];

static void check_selectors(void)
{
    static const struct legacy_case cases[] = {
        {"#TS by IRET with NT", fault_ts_link, 10, SEL_DATA, NULL},
        {"#TS by IRET with NT, null", fault_ts_null, 10, 0, NULL},
        {"#NP data", fault_np_data, 11, SEL_ABSENT_DATA, NULL},
        {"#NP code", fault_np_code, 11, SEL_ABSENT_CODE, NULL},
        {"#NP gate", fault_np_gate, 11, 0x51 * 8 + 2, NULL},
        {"#NP handler's segment", fault_np_handler, 11, SEL_ABSENT_CODE, NULL},
        {"#SS absent", fault_ss_absent, 12, SEL_ABSENT_STACK, NULL},
        {"#GP read-only SS", fault_gp_read_only_ss, 13, SEL_READ_ONLY, NULL},
        {"#GP null SS", fault_gp_null_ss, 13, 0, NULL},
        {"#GP beyond the GDT", fault_gp_beyond_gdt, 13, 0xFFF8, NULL},
        {"#GP beyond the LDT", fault_gp_beyond_ldt, 13, 0xFFFC, NULL},
        {"#GP data as code", fault_gp_data_as_code, 13, SEL_DATA, NULL},
        {"#GP null CS", fault_gp_null_code, 13, 0, NULL},
        {"#GP LTR of a busy TSS", fault_gp_ltr_busy, 13, SEL_TSS, NULL},
        {"#GP beyond the IDT", fault_gp_beyond_idt, 13, 0xF0 * 8 + 2, NULL},
        {"#GP LLDT of data", fault_np_ldt, 13, SEL_ABSENT_DATA, NULL},
        {"#DB by ICEBP", fault_db_icebp, 1, 0, "icebp"},
        {"#BR", fault_bound, 5, 0, NULL},
        {"#GP CR0", fault_gp_cr0, 13, 0, NULL}, /* the last two: bare QEMU has no such check */
        {"#GP CR4", fault_gp_cr4, 13, 0, NULL},
    };
    static struct legacy_state results[ARRAY_LENGTH(cases)];
    legacy_gate(0x51, SEL_CODE32, 0, 0x0E);
    legacy_gate(0x52, SEL_ABSENT_CODE, 0, 0x8E);
    legacy_check(LEGACY_FLAT, cases, results, ARRAY_LENGTH(cases) - (word_number("bare", 0) ? 2 : 0));

    /* INT1 is a trap: the handler returns behind it. */
    uint32_t behind = (uint32_t)(uintptr_t)fault_db_icebp + 1;
    const struct legacy_state *s = legacy_run_one(LEGACY_FLAT, fault_db_icebp);
    check_limited("icebp", s->eip == behind, "EIP behind ICEBP", s->eip, behind);
}

/* Vector 13's gate is absent, and so is vector 11's. */
static void check_double_fault(void)
{
    static const struct legacy_case cases[] = {{"#DF in 32-bit mode", fault_df, 8, 0, NULL}};
    struct legacy_state result;
    uint64_t gp = legacy_idt[13], np = legacy_idt[11];
    legacy_idt[13] = legacy_idt[11] = 0;
    legacy_check(LEGACY_FLAT, cases, &result, 1);
    legacy_idt[13] = gp;
    legacy_idt[11] = np;
}

static void check_page_fault(const char *name, legacy_code *code, uint64_t entry, uint32_t error,
                             uint32_t cr2)
{
    struct legacy_state s;
    uint64_t *at = &page_directories[PAGE >> 21], *nx = &page_directories[NX_PAGE >> 21];
    uint64_t was = *at, nx_was = *nx;
    *at = entry;
    *nx = entry;
    legacy_run(LEGACY_PAE, &code, &s, 1);
    *at = was;
    *nx = nx_was;
    same(name, s.vector, 14);
    check_limited(error & 8 ? "reserved_bit" : NULL, s.error == error, name, s.error, error);
    same(name, s.cr2, cr2);
}

static void check_page_faults(void)
{
    const uint64_t ram = BUFFER_BASE | P_LARGE | P_PRESENT;
    const uint64_t reserved = 1ull << word_number("reserved", 51); /* not below the width that CPUID shows */
    check_page_fault("#PF read", fault_pf_read, 0, 0, PAGE + 0x123);
    check_page_fault("#PF write", fault_pf_write, 0, 2, PAGE + 0x123);
    check_page_fault("#PF write, CR0.WP", fault_pf_protected, ram, 3, PAGE + 0x123);
    check_page_fault("#PF fetch", fault_pf_fetch, 0, 0, NX_PAGE);
    check_page_fault("#PF user read", fault_pf_user_read, ram | P_RW, 5, PAGE + 0x123);
    check_page_fault("#PF user write", fault_pf_user_write, ram | P_RW, 7, PAGE + 0x123);
    check_page_fault("#PF user write, read-only", fault_pf_user_write, ram | P_USER, 7, PAGE + 0x123);
    check_page_fault("#PF user write, absent", fault_pf_user_write, 0, 6, PAGE + 0x123);
    check_page_fault("#PF reserved bit", fault_pf_read, ram | P_RW | reserved, 9, PAGE + 0x123);
    check_page_fault("#PF write, reserved bit", fault_pf_write, ram | P_RW | reserved, 11, PAGE + 0x123);
    check_page_fault("#PF fetch, reserved bit", fault_pf_fetch, ram | P_RW | reserved, 9, NX_PAGE);
    check_page_fault("#PF reserved bit, table", fault_pf_read, BUFFER_BASE | P_RW | P_PRESENT | reserved, 9,
                     PAGE + 0x123);
    check_page_fault("#PF fetch, reserved bit, table", fault_pf_fetch,
                     BUFFER_BASE | P_RW | P_PRESENT | reserved, 9, NX_PAGE);
    check_page_fault("#PF REP INSB", fault_pf_user_ins, ram, 7, PAGE + 0x120);
    check_page_fault("#PF fetch, NX", fault_pf_nx, ram | P_RW | P_NX, 0x11, NX_PAGE);
    legacy_code *const trial = fault_pf_unprotected;
    struct legacy_state s;
    page_directories[PAGE >> 21] = ram;
    legacy_run(LEGACY_PAE, &trial, &s, 1);
    page_directories[PAGE >> 21] = PAGE | P_LARGE | P_USER | P_RW | P_PRESENT;
    same("write without CR0.WP", s.vector, LEGACY_RETURNED);
}

/* Intel's CPUs load and check four entries with CR3 (SDM vol. 3, "PDPTE Registers"); AMD's under nested
 * paging read them when they walk (APM vol. 2, "Nested Paging and VMRUN/#VMEXIT"). */
static void check_pdptes(void)
{
    static const struct {
        const char *name;
        legacy_code *code;
        unsigned vector;
    } cases[] = {
        {"MOV CR3, reserved bit in a PDPTE", fault_pdpte_cr3, 13},
        {"MOV CR0, reserved bit in a PDPTE", fault_pdpte_cr0, 13},
        {"PDPTE changed, then CR3 loaded", fault_pdpte_kept, 14},
    };
    uint32_t r[4];
    cpuid(0, r);
    if (r[1] != 0x756E6547) /* "Genu" */
        return;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct legacy_state s;
        uint64_t was = legacy_pointers[1];
        legacy_run(LEGACY_PAE, &cases[i].code, &s, 1);
        legacy_pointers[1] = was;
        same(cases[i].name, s.vector, cases[i].vector);
        same(cases[i].name, s.error, 0);
        if (cases[i].code == fault_pdpte_kept)
            same("PDPTE changed in memory only", s.edx, 0x600D);
    }
}

static void check_alignment(void)
{
    legacy_code *const trials[] = {fault_set_am, fault_ac_off, fault_ac_ring0, fault_ac};
    static struct legacy_state results[ARRAY_LENGTH(trials)];
    legacy_run(LEGACY_FLAT, trials, results, ARRAY_LENGTH(trials));
    same("EFLAGS.AC clear", results[1].vector, LEGACY_STOP);
    same("EFLAGS.AC in ring 0", results[2].vector, LEGACY_RETURNED);
    check_limited("alignment_check", results[3].vector == 17, "#AC", results[3].vector, 17);
    same("#AC: error code", results[3].error, 0);
}

/* A 64-bit TSS with IST1; the exception's own stack is not canonical. */
static void check_ist(void)
{
    static uint8_t stack[IST_BYTES] __attribute__((aligned(16)));
    static uint32_t tss[26] __attribute__((aligned(128)));
    static uint64_t gdt[10];
    struct legacy_pointer was, pointer = {sizeof gdt - 1, (uintptr_t)gdt};
    uint64_t top = (uintptr_t)stack + IST_BYTES, base = (uintptr_t)tss;

    __asm__ volatile("sgdt %0" : "=m"(was));
    __builtin_memcpy(gdt, (const void *)(uintptr_t)was.base, 6 * 8);
    gdt[6] = 0x67 | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | (base >> 24 & 0xFF) << 56;
    gdt[7] = base >> 32;
    __builtin_memcpy(&tss[9], &top, 8);
    __asm__ volatile("lgdt %0\n\tltr %w1" : : "m"(pointer), "r"(0x30));
    idt_set(8, (void *)(uintptr_t)fault_ist_entry);
    idt_stack(8, 1);
    uint64_t rsp = fault_ist();
    idt_stack(8, 0);
    idt_set(8, trap_stubs[8]);
    __asm__ volatile("lgdt %0" : : "m"(was));
    same("#DF by IST: stack", rsp, top - 6 * 8);
    same("#DF by IST: error code", fault_ist_error, 0);
}

void check_faults(void)
{
    legacy_prepare();
    check_selectors();
    check_double_fault();
    check_page_faults();
    check_pdptes();
    check_alignment();
    check_ist();
}
