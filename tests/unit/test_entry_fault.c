/*
 * Why a CPU refuses a guest's state (vmx/check.c, svm/check.c): from good states of each mode, one field at a
 * time is made illegal as the manuals' lists of checks have it. Source: SDM vol. 3, "Checks on the Guest
 * State Area"; APM vol. 2, "Canonicalization and Consistency Checks".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/svm/check.h"
#include "arch/x86/vmx/check.h"

/* ---- VT-x ---- */

enum mode { LONG, REAL, V86, PAE_PAGING, USER64 };

static struct vmx_segment_state data_segment(void)
{
    return (struct vmx_segment_state){0, 0xFFFFFFFF, 0xC093, 0x10};
}

static void all_modes(struct vmx_guest_state *s)
{
    *s = (struct vmx_guest_state){.cr0 = 0x80000031,
                                  .cr3 = 0x1000,
                                  .cr4 = 0x2020,
                                  .efer = 0x500,
                                  .rflags = 2,
                                  .rip = 0x100000,
                                  .dr7 = 0x400,
                                  .pat = 0x0007040600070406,
                                  .link_pointer = UINT64_MAX,
                                  .entry_64bit = true,
                                  .cr0_fixed0 = 0x80000021,
                                  .cr0_fixed1 = 0xFFFFFFFF,
                                  .cr4_fixed0 = 0x2000,
                                  .cr4_fixed1 = 0x3727FF,
                                  .physical_bits = 40};
    for (unsigned i = 0; i < SEGMENT_LDTR; i++)
        s->segments[i] = data_segment();
    s->segments[SEGMENT_CS] = (struct vmx_segment_state){0, 0xFFFFFFFF, 0xA09B, 0x08};
    s->segments[SEGMENT_LDTR] = (struct vmx_segment_state){0, 0, 0x10000, 0};
    s->segments[SEGMENT_TR] = (struct vmx_segment_state){0x5000, 0x67, 0x8B, 0x18};
    s->gdtr = s->idtr = (struct vcpu_table){0x6000, 0xFFF};
}

static void in_mode(struct vmx_guest_state *s, enum mode mode)
{
    all_modes(s);
    if (mode == USER64) {
        s->segments[SEGMENT_CS].rights = 0xA0FB;
        s->segments[SEGMENT_SS] = (struct vmx_segment_state){0, 0, 0x10060, 0}; /* null: not usable, DPL 3 */
    }
    if (mode == LONG || mode == USER64)
        return;
    s->entry_64bit = false;
    s->efer = 0;
    s->rip = 0x1000;
    s->segments[SEGMENT_CS].rights = 0xC09B;
    if (mode == PAE_PAGING) {
        s->pdpte[0] = 0x2001;
        return;
    }
    for (unsigned i = 0; i < SEGMENT_LDTR; i++)
        s->segments[i] = (struct vmx_segment_state){0x1000, 0xFFFF, mode == V86 ? 0xF3 : 0x93, 0x100};
    if (mode == V86) {
        s->rflags |= 1 << 17;
        return;
    }
    s->cr0 = 0x20;
}

static void test_good_states(void **state)
{
    struct vmx_guest_state s;

    (void)state;
    for (unsigned mode = LONG; mode <= USER64; mode++) {
        in_mode(&s, mode);
        assert_null(vmx_guest_fault(&s));
    }
}

#define FIELD(name)            offsetof(struct vmx_guest_state, name), sizeof(((struct vmx_guest_state *)0)->name)
#define SEGMENT(which, member) FIELD(segments[which].member)

static const struct {
    enum mode mode;
    size_t offset, size;
    uint64_t value;
    const char *sentence;
} vmx_cases[] = {
    {LONG, FIELD(cr0), 0x80000011, "CR0 has a bit that VT-x fixes"},
    {LONG, FIELD(cr0), 0x180000031, "CR0 has a bit that VT-x fixes"},
    {LONG, FIELD(cr0_shadow), 0xA0000031, "CR0.NW is set without CR0.CD"},
    {PAE_PAGING, FIELD(cr0), 0x80000030, "CR0.PG is set without CR0.PE"},
    {LONG, FIELD(cr4), 0x20, "CR4 has a bit"},
    {LONG, FIELD(cr4), 0x802020, "CR4 has a bit"},
    {LONG, FIELD(cr0), 0x31, "EFER.LMA is set without CR0.PG"},
    {LONG, FIELD(cr4), 0x2000, "EFER.LMA is set without CR4.PAE"},
    {REAL, FIELD(cr4), 0x22000, "CR4.PCIDE is set outside long mode"},
    {LONG, FIELD(cr3), UINT64_C(1) << 40, "CR3 is beyond"},
    {LONG, FIELD(debugctl), 4, "DEBUGCTL has a reserved bit"},
    {LONG, FIELD(dr7), UINT64_C(1) << 32, "DR7 has a bit above 31"},
    {LONG, FIELD(sysenter_esp), UINT64_C(1) << 47, "SYSENTER_ESP is not canonical"},
    {LONG, FIELD(sysenter_eip), UINT64_C(1) << 63, "SYSENTER_EIP is not canonical"},
    {LONG, FIELD(pat), 2, "PAT has a memory type"},
    {LONG, FIELD(efer), 0x4500, "EFER has a reserved bit"},
    {LONG, FIELD(efer), 0x100, "EFER.LMA is not what the entry's control says"},
    {LONG, FIELD(efer), 0x400, "EFER.LMA and EFER.LME differ"},
    {PAE_PAGING, FIELD(efer), 0x100, "EFER.LMA and EFER.LME differ"},
    {LONG, SEGMENT(SEGMENT_FS, base), UINT64_C(1) << 47, "FS's or GS's base is not canonical"},
    {LONG, SEGMENT(SEGMENT_GS, base), UINT64_C(1) << 50, "FS's or GS's base is not canonical"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0x1A09B, "CS is not usable"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0xA09A, "CS is no accessed code segment"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0xA097, "CS is no accessed code segment"},
    {PAE_PAGING, SEGMENT(SEGMENT_CS, rights), 0xC0B3, "CS is a data segment and its DPL is not 0"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0xA0FB, "CS's DPL is not SS's"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0xA0FF, "a conforming CS's DPL is above SS's"},
    {LONG, SEGMENT(SEGMENT_CS, base), UINT64_C(1) << 32, "CS's base is above 4 GB"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0xE09B, "CS has both L and D"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0xA08B, "a code or data segment is a system segment"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0xA01B, "a usable segment is not present"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0xA19B, "a segment's rights have a reserved bit"},
    {LONG, SEGMENT(SEGMENT_CS, rights), 0x209B, "a segment's limit and granularity"},
    {LONG, SEGMENT(SEGMENT_CS, limit), 0xFFFFFFFE, "a segment's limit and granularity"},
    {REAL, SEGMENT(SEGMENT_SS, rights), 0xF3, "SS's DPL is not 0 in real mode"},
    {LONG, SEGMENT(SEGMENT_SS, rights), 0xC091, "SS is no accessed, writable data segment"},
    {LONG, SEGMENT(SEGMENT_SS, base), UINT64_C(1) << 33, "SS's base is above 4 GB"},
    {LONG, SEGMENT(SEGMENT_DS, rights), 0xC092, "a data segment is not accessed"},
    {LONG, SEGMENT(SEGMENT_GS, rights), 0xC099, "a data segment register holds code that can't be read"},
    {LONG, SEGMENT(SEGMENT_ES, base), UINT64_C(1) << 32, "DS's or ES's base is above 4 GB"},
    {LONG, SEGMENT(SEGMENT_ES, rights), 0xC013, "a usable segment is not present"},
    {REAL, SEGMENT(SEGMENT_FS, rights), 0x90, "a data segment is not accessed"},
    {V86, SEGMENT(SEGMENT_DS, base), 0x1010, "in virtual-8086 mode a segment's base"},
    {V86, SEGMENT(SEGMENT_CS, limit), 0xFFFFF, "in virtual-8086 mode a segment's limit"},
    {V86, SEGMENT(SEGMENT_SS, rights), 0x93, "in virtual-8086 mode a segment's rights"},
    {LONG, SEGMENT(SEGMENT_TR, rights), 0x1008B, "TR is not usable"},
    {LONG, SEGMENT(SEGMENT_TR, selector), 0x1C, "TR is a selector of the LDT"},
    {LONG, SEGMENT(SEGMENT_TR, base), UINT64_C(1) << 47, "TR's base is not canonical"},
    {LONG, SEGMENT(SEGMENT_TR, rights), 0x83, "TR is no busy TSS"},
    {LONG, SEGMENT(SEGMENT_TR, rights), 0x89, "TR is no busy TSS"},
    {LONG, SEGMENT(SEGMENT_TR, rights), 0x9B, "TR or LDTR is no system segment"},
    {LONG, SEGMENT(SEGMENT_TR, rights), 0x0B, "a usable segment is not present"},
    {LONG, SEGMENT(SEGMENT_TR, limit), 0x100000, "a segment's limit and granularity"},
    {LONG, SEGMENT(SEGMENT_LDTR, rights), 0x83, "LDTR is no LDT"},
    {LONG, SEGMENT(SEGMENT_LDTR, rights), 0x02, "a usable segment is not present"},
    {LONG, FIELD(gdtr.base), UINT64_C(1) << 47, "GDTR's base is not canonical"},
    {LONG, FIELD(idtr.base), UINT64_C(1) << 47, "IDTR's base is not canonical"},
    {LONG, FIELD(gdtr.limit), 0x10000, "GDTR's limit"},
    {LONG, FIELD(idtr.limit), 0x10000, "IDTR's limit"},
    {REAL, FIELD(rip), UINT64_C(1) << 32, "RIP is above 4 GB"},
    {LONG, FIELD(rip), UINT64_C(1) << 47, "RIP is not canonical"},
    {LONG, FIELD(rflags), 0, "RFLAGS has a reserved bit"},
    {LONG, FIELD(rflags), 0x8002, "RFLAGS has a reserved bit"},
    {LONG, FIELD(rflags), UINT64_C(1) << 22 | 2, "RFLAGS has a reserved bit"},
    {LONG, FIELD(activity), 4, "the activity state doesn't exist"},
    {USER64, FIELD(activity), 1, "halted above privilege level 0"},
    {LONG, FIELD(interruptibility), 0x20, "the interruptibility state has a reserved bit"},
    {LONG, FIELD(interruptibility), 4, "SMIs are blocked"},
    {LONG, FIELD(interruptibility), 3, "two interrupt shadows"},
    {LONG, FIELD(interruptibility), 1, "an STI shadow with RFLAGS.IF clear"},
    {LONG, FIELD(pending_debug), 0x10, "the pending debug exceptions have a reserved bit"},
    {LONG, FIELD(link_pointer), 0, "the VMCS link pointer is set"},
    {LONG, FIELD(event), 0x80000020, "an interrupt is injected with RFLAGS.IF clear"},
    {LONG, FIELD(event), 0x80000120, "the injected event's type"},
    {LONG, FIELD(event), 0x80000203, "an NMI is injected with another vector"},
    {LONG, FIELD(event), 0x80000320, "an exception is injected with a vector above 31"},
    {LONG, FIELD(event), 0x8000030D, "the injected event's error code is missing"},
    {REAL, FIELD(event), 0x80000B0D, "the injected event's error code is missing or too many"},
    {PAE_PAGING, FIELD(pdpte[1]), 0x3003, "a page-directory-pointer entry"},
    {PAE_PAGING, FIELD(pdpte[3]), UINT64_C(1) << 41 | 1, "a page-directory-pointer entry"},
};

static void put(void *base, size_t offset, size_t size, uint64_t value)
{
    memcpy((uint8_t *)base + offset, &value, size); /* little-endian */
}

static bool begins_with(const char *text, const char *start)
{
    return text && strncmp(text, start, strlen(start)) == 0;
}

static void test_each_rule_of_vmx(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vmx_cases / sizeof *vmx_cases; i++) {
        struct vmx_guest_state s;

        in_mode(&s, vmx_cases[i].mode);
        put(&s, vmx_cases[i].offset, vmx_cases[i].size, vmx_cases[i].value);
        if (!begins_with(vmx_guest_fault(&s), vmx_cases[i].sentence))
            fail_msg("case %zu, \"%s\": said \"%s\"", i, vmx_cases[i].sentence, vmx_guest_fault(&s));
    }
}

/* Rules over two fields. */
static void test_vmx_combinations(void **state)
{
    struct vmx_guest_state s;

    (void)state;
    in_mode(&s, LONG);
    s.cr4 |= 1 << 23;
    s.cr4_fixed1 |= 1 << 23;
    assert_true(begins_with(vmx_guest_fault(&s), "CR4.CET is set without CR0.WP"));
    in_mode(&s, LONG);
    s.rflags = 0x20002;
    for (unsigned i = 0; i < SEGMENT_LDTR; i++)
        s.segments[i] = (struct vmx_segment_state){0x1000, 0xFFFF, 0xF3, 0x100};
    assert_true(begins_with(vmx_guest_fault(&s), "RFLAGS.VM is set in long or real mode"));
    in_mode(&s, LONG);
    s.rflags = 0x302; /* TF, IF */
    s.interruptibility = 2;
    assert_true(begins_with(vmx_guest_fault(&s), "in an interrupt shadow the pending debug exceptions"));
    s.pending_debug = 0x4000;
    assert_null(vmx_guest_fault(&s));
    s.event = 0x80000020;
    assert_true(begins_with(vmx_guest_fault(&s), "an interrupt is injected into an interrupt shadow"));
    s.event = 0x80000202;
    assert_true(begins_with(vmx_guest_fault(&s), "an NMI is injected where NMIs are blocked"));
    in_mode(&s, LONG);
    s.activity = 1;
    s.rflags = 0x202;
    s.interruptibility = 1;
    assert_true(begins_with(vmx_guest_fault(&s), "halted in an interrupt shadow"));
    in_mode(&s, LONG);
    s.segments[SEGMENT_LDTR] = (struct vmx_segment_state){0x7000, 0xFF, 0x82, 0x24};
    assert_true(begins_with(vmx_guest_fault(&s), "LDTR is a selector of the LDT"));
    s.segments[SEGMENT_LDTR].selector = 0x20;
    s.segments[SEGMENT_LDTR].base = UINT64_C(1) << 47;
    assert_true(begins_with(vmx_guest_fault(&s), "LDTR's base is not canonical"));
    in_mode(&s, LONG);
    s.event = 0x80000403;
    s.event_length = 16;
    assert_true(begins_with(vmx_guest_fault(&s), "the injected instruction is longer"));
}

/* ---- SVM ---- */

static void good_vmcb(struct vmcb *v)
{
    memset(v, 0, sizeof *v);
    v->efer = 0x1500;
    v->cr0 = 0x80000031;
    v->cr4 = 0x20;
    v->cr3 = 0x1000;
    v->cs.attributes = 0x29B;
    v->asid = 1;
    v->intercept[1] = SVM_VMRUN;
}

#define VMCB(name) offsetof(struct vmcb, name), sizeof(((struct vmcb *)0)->name)

static const struct {
    size_t offset, size;
    uint64_t value;
    const char *sentence;
} svm_cases[] = {
    {VMCB(efer), 0x500, "EFER.SVME is clear"},
    {VMCB(cr0), 0xA0000031, "CR0.NW is set without CR0.CD"},
    {VMCB(cr0), 0x180000031, "CR0 has a bit above 31"},
    {VMCB(cr3), UINT64_C(1) << 48, "CR3 is beyond"},
    {VMCB(cr4), 0x1020, "CR4 has a bit that this CPU doesn't have"},
    {VMCB(dr6), UINT64_C(1) << 32, "DR6 has a bit above 31"},
    {VMCB(dr7), UINT64_C(1) << 32, "DR7 has a bit above 31"},
    {VMCB(efer), 0x1502, "EFER has a reserved bit"},
    {VMCB(cr4), 0, "EFER.LME and CR0.PG are set without CR4.PAE"},
    {VMCB(cr0), 0x80000030, "EFER.LME and CR0.PG are set without CR0.PE"},
    {VMCB(efer), 0x1100, "EFER.LMA is not what EFER.LME and CR0.PG say"},
    {VMCB(efer), 0x1400, "EFER.LMA is not what EFER.LME and CR0.PG say"},
    {VMCB(cr0), 0x31, "EFER.LMA is not what EFER.LME and CR0.PG say"},
    {VMCB(cs.attributes), 0x69B, "CS has both L and D"},
    {VMCB(event_inject), 0x80000120, "the injected event's type"},
    {VMCB(event_inject), 0x80000520, "the injected event's type"},
    {VMCB(event_inject), 0x80000320, "an exception is injected with a vector above 31"},
    {VMCB(event_inject), 0x80000302, "an exception is injected with the vector of NMIs"},
    {VMCB(asid), 0, "the address space's number (ASID) is 0"},
    {VMCB(intercept[1]), 0, "VMRUN is not intercepted"},
};

static void test_each_rule_of_svm(void **state)
{
    static struct vmcb v;

    (void)state;
    good_vmcb(&v);
    assert_null(svm_guest_fault(&v, 0x7FF, 40));
    for (size_t i = 0; i < sizeof svm_cases / sizeof *svm_cases; i++) {
        good_vmcb(&v);
        put(&v, svm_cases[i].offset, svm_cases[i].size, svm_cases[i].value);
        if (!begins_with(svm_guest_fault(&v, 0x7FF, 40), svm_cases[i].sentence))
            fail_msg("\"%s\": said \"%s\"", svm_cases[i].sentence, svm_guest_fault(&v, 0x7FF, 40));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_states),
        cmocka_unit_test(test_each_rule_of_vmx),
        cmocka_unit_test(test_vmx_combinations),
        cmocka_unit_test(test_each_rule_of_svm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
