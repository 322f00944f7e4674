/* The checks of a VM entry; the contract is in check.h. */
#include "arch/x86/vmx/check.h"
#include "arch/x86/asm.h"
#include "arch/x86/control.h"
#include "arch/x86/vmx/vmcs.h"

#define CR4_CET          BIT64(23)
#define RFLAGS_ONE       BIT64(1)
#define RFLAGS_TF        BIT64(8)
#define RFLAGS_IF        BIT64(9)
#define RFLAGS_VM        BIT64(17)
#define RFLAGS_ZERO      (~UINT64_C(0x3FFFFF) | BIT64(15) | BIT64(5) | BIT64(3))
#define DEBUGCTL_BTF     BIT64(1)
#define DEBUGCTL_DEFINED UINT64_C(0xDFC3)
#define EFER_DEFINED     (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define PENDING_DEFINED  UINT64_C(0x1500F) /* B0 to B3, enabled breakpoint, BS, RTM */
#define SHADOW_DEFINED   0x1Fu
#define SHADOW_SMI       BIT(2)
#define ACTIVITY_ACTIVE  0u
#define ACTIVITY_HLT     1u
#define ACTIVITY_LAST    3u

#define RIGHTS_TYPE     0xFu
#define RIGHTS_CODE     BIT(3)
#define RIGHTS_S        BIT(4)
#define RIGHTS_P        BIT(7)
#define RIGHTS_L        BIT(13)
#define RIGHTS_DB       BIT(14)
#define RIGHTS_G        BIT(15)
#define RIGHTS_RESERVED (0xF00u | 0xFFFE0000u)
#define RIGHTS_V86      0xF3u

/* A rule that is broken names itself. */
#define REFUSE_IF(condition, sentence)                                                                       \
    do {                                                                                                     \
        if (condition)                                                                                       \
            return sentence;                                                                                 \
    } while (0)

static bool usable(const struct vmx_segment_state *segment)
{
    return !(segment->rights & RIGHTS_UNUSABLE);
}

static unsigned dpl(const struct vmx_segment_state *segment)
{
    return segment->rights >> 5 & 3;
}

static bool beyond(uint64_t address, unsigned bits)
{
    return address >> bits != 0;
}

static const char *control_registers(const struct vmx_guest_state *s)
{
    uint64_t free_bits =
        CR0_PE | CR0_PG | CR0_NW | CR0_CD; /* of an unrestricted guest; the last two unchecked */
    uint64_t must = s->cr0_fixed0 & ~free_bits, may = s->cr0_fixed1 | free_bits;

    REFUSE_IF((s->cr0 & must) != must || s->cr0 & ~may,
              "CR0 has a bit that VT-x fixes (CR0_FIXED0, CR0_FIXED1)");
    REFUSE_IF(s->cr0_shadow & CR0_NW && !(s->cr0_shadow & CR0_CD), "CR0.NW is set without CR0.CD");
    REFUSE_IF(s->cr0 & CR0_PG && !(s->cr0 & CR0_PE), "CR0.PG is set without CR0.PE");
    REFUSE_IF((s->cr4 & s->cr4_fixed0) != s->cr4_fixed0 || s->cr4 & ~s->cr4_fixed1,
              "CR4 has a bit that this CPU doesn't have or VT-x fixes (CR4_FIXED0, CR4_FIXED1)");
    REFUSE_IF(s->cr4 & CR4_CET && !(s->cr0 & CR0_WP), "CR4.CET is set without CR0.WP");
    REFUSE_IF(s->entry_64bit && !(s->cr0 & CR0_PG), "EFER.LMA is set without CR0.PG");
    REFUSE_IF(s->entry_64bit && !(s->cr4 & CR4_PAE), "EFER.LMA is set without CR4.PAE");
    REFUSE_IF(!s->entry_64bit && s->cr4 & CR4_PCIDE, "CR4.PCIDE is set outside long mode");
    REFUSE_IF(beyond(s->cr3, s->physical_bits), "CR3 is beyond the CPU's physical addresses");
    return NULL;
}

static const char *other_registers(const struct vmx_guest_state *s)
{
    bool lma = s->efer & EFER_LMA, lme = s->efer & EFER_LME;

    REFUSE_IF(s->debugctl & ~DEBUGCTL_DEFINED, "DEBUGCTL has a reserved bit");
    REFUSE_IF(s->dr7 >> 32, "DR7 has a bit above 31");
    REFUSE_IF(!control_canonical(s->sysenter_esp), "SYSENTER_ESP is not canonical");
    REFUSE_IF(!control_canonical(s->sysenter_eip), "SYSENTER_EIP is not canonical");
    REFUSE_IF(!control_pat_valid(s->pat), "PAT has a memory type that doesn't exist");
    REFUSE_IF(s->efer & ~EFER_DEFINED, "EFER has a reserved bit");
    REFUSE_IF(lma != s->entry_64bit, "EFER.LMA is not what the entry's control says");
    REFUSE_IF(s->cr0 & CR0_PG && lma != lme, "EFER.LMA and EFER.LME differ under paging");
    return NULL;
}

/* The limit and G must agree: what G can't express is refused. */
static bool granularity_wrong(const struct vmx_segment_state *segment)
{
    bool g = segment->rights & RIGHTS_G;

    return ((segment->limit & 0xFFF) != 0xFFF && g) || (segment->limit >> 20 && !g);
}

static const char *v86_segment(const struct vmx_segment_state *segment)
{
    REFUSE_IF(segment->base != (uint64_t)segment->selector << 4,
              "in virtual-8086 mode a segment's base is not its selector times 16");
    REFUSE_IF(segment->limit != 0xFFFF, "in virtual-8086 mode a segment's limit is not FFFFh");
    REFUSE_IF(segment->rights != RIGHTS_V86, "in virtual-8086 mode a segment's rights are not F3h");
    return NULL;
}

static const char *common_rights(const struct vmx_segment_state *segment, bool system)
{
    REFUSE_IF(!(segment->rights & RIGHTS_S) != system,
              system ? "TR or LDTR is no system segment (S)"
                     : "a code or data segment is a system segment (S)");
    REFUSE_IF(!(segment->rights & RIGHTS_P), "a usable segment is not present (P)");
    REFUSE_IF(segment->rights & RIGHTS_RESERVED, "a segment's rights have a reserved bit");
    REFUSE_IF(granularity_wrong(segment), "a segment's limit and granularity (G) don't agree");
    return NULL;
}

static const char *code_segment(const struct vmx_guest_state *s)
{
    const struct vmx_segment_state *cs = &s->segments[SEGMENT_CS], *ss = &s->segments[SEGMENT_SS];
    unsigned type = cs->rights & RIGHTS_TYPE;

    REFUSE_IF(!usable(cs), "CS is not usable");
    REFUSE_IF(type != 3 && !(type & RIGHTS_CODE && type & 1), "CS is no accessed code segment");
    REFUSE_IF(type == 3 && dpl(cs), "CS is a data segment and its DPL is not 0");
    REFUSE_IF((type == 9 || type == 11) && dpl(cs) != dpl(ss), "CS's DPL is not SS's");
    REFUSE_IF((type == 13 || type == 15) && dpl(cs) > dpl(ss), "a conforming CS's DPL is above SS's");
    REFUSE_IF(cs->base >> 32, "CS's base is above 4 GB");
    REFUSE_IF(s->entry_64bit && cs->rights & RIGHTS_L && cs->rights & RIGHTS_DB, "CS has both L and D");
    return common_rights(cs, false);
}

static const char *stack_segment(const struct vmx_guest_state *s)
{
    const struct vmx_segment_state *cs = &s->segments[SEGMENT_CS], *ss = &s->segments[SEGMENT_SS];
    unsigned type = ss->rights & RIGHTS_TYPE;
    bool must_be_0 = (cs->rights & RIGHTS_TYPE) == 3 || !(s->cr0 & CR0_PE);

    REFUSE_IF(must_be_0 && dpl(ss), "SS's DPL is not 0 in real mode or with a data segment in CS");
    if (!usable(ss))
        return NULL;
    REFUSE_IF(type != 3 && type != 7, "SS is no accessed, writable data segment");
    REFUSE_IF(ss->base >> 32, "SS's base is above 4 GB");
    return common_rights(ss, false);
}

static const char *data_segment(const struct vmx_segment_state *segment)
{
    unsigned type = segment->rights & RIGHTS_TYPE;

    REFUSE_IF(!(type & 1), "a data segment is not accessed");
    REFUSE_IF(type & RIGHTS_CODE && !(type & 2), "a data segment register holds code that can't be read");
    return common_rights(segment, false);
}

static const char *system_segments(const struct vmx_guest_state *s)
{
    const struct vmx_segment_state *tr = &s->segments[SEGMENT_TR], *ldtr = &s->segments[SEGMENT_LDTR];
    unsigned type = tr->rights & RIGHTS_TYPE;
    const char *fault;

    REFUSE_IF(!usable(tr), "TR is not usable");
    REFUSE_IF(tr->selector & BIT(2), "TR is a selector of the LDT");
    REFUSE_IF(!control_canonical(tr->base), "TR's base is not canonical");
    REFUSE_IF(type != 11 && (type != 3 || s->entry_64bit), "TR is no busy TSS of the guest's mode");
    if ((fault = common_rights(tr, true)) || !usable(ldtr))
        return fault;
    REFUSE_IF(ldtr->selector & BIT(2), "LDTR is a selector of the LDT");
    REFUSE_IF(!control_canonical(ldtr->base), "LDTR's base is not canonical");
    REFUSE_IF((ldtr->rights & RIGHTS_TYPE) != 2, "LDTR is no LDT");
    return common_rights(ldtr, true);
}

static const char *protected_segments(const struct vmx_guest_state *s)
{
    static const enum segment_name names[] = {SEGMENT_DS, SEGMENT_ES, SEGMENT_FS, SEGMENT_GS};
    const char *fault = code_segment(s);

    if (!fault)
        fault = stack_segment(s);
    for (unsigned i = 0; i < ARRAY_SIZE(names) && !fault; i++) {
        const struct vmx_segment_state *segment = &s->segments[names[i]];

        if (!usable(segment))
            continue;
        REFUSE_IF(i < 2 && segment->base >> 32, "DS's or ES's base is above 4 GB");
        fault = data_segment(segment);
    }
    return fault;
}

static const char *segments(const struct vmx_guest_state *s)
{
    const char *fault = NULL;

    REFUSE_IF(!control_canonical(s->segments[SEGMENT_FS].base) ||
                  !control_canonical(s->segments[SEGMENT_GS].base),
              "FS's or GS's base is not canonical");
    if (s->rflags & RFLAGS_VM)
        for (unsigned i = SEGMENT_ES; i <= SEGMENT_GS && !fault; i++)
            fault = v86_segment(&s->segments[i]);
    else
        fault = protected_segments(s);
    return fault ? fault : system_segments(s);
}

static const char *tables(const struct vmx_guest_state *s)
{
    REFUSE_IF(!control_canonical(s->gdtr.base), "GDTR's base is not canonical");
    REFUSE_IF(!control_canonical(s->idtr.base), "IDTR's base is not canonical");
    REFUSE_IF(s->gdtr.limit >> 16, "GDTR's limit is above FFFFh");
    REFUSE_IF(s->idtr.limit >> 16, "IDTR's limit is above FFFFh");
    return NULL;
}

static const char *rip_and_flags(const struct vmx_guest_state *s)
{
    bool code64 = s->entry_64bit && s->segments[SEGMENT_CS].rights & RIGHTS_L;
    bool external = s->event & EVENT_VALID && (s->event >> EVENT_TYPE_SHIFT & 7) == EVENT_EXTERNAL;

    REFUSE_IF(!code64 && s->rip >> 32, "RIP is above 4 GB outside 64-bit code");
    REFUSE_IF(code64 && !control_canonical(s->rip), "RIP is not canonical");
    REFUSE_IF(s->rflags & RFLAGS_ZERO || !(s->rflags & RFLAGS_ONE), "RFLAGS has a reserved bit");
    REFUSE_IF(s->rflags & RFLAGS_VM && (s->entry_64bit || !(s->cr0 & CR0_PE)),
              "RFLAGS.VM is set in long or real mode");
    REFUSE_IF(external && !(s->rflags & RFLAGS_IF), "an interrupt is injected with RFLAGS.IF clear");
    return NULL;
}

static const char *pending_debug(const struct vmx_guest_state *s)
{
    bool held = s->interruptibility & (SHADOW_STI | SHADOW_MOV_SS) || s->activity == ACTIVITY_HLT;
    bool stepping = s->rflags & RFLAGS_TF && !(s->debugctl & DEBUGCTL_BTF);

    REFUSE_IF(s->pending_debug & ~PENDING_DEFINED, "the pending debug exceptions have a reserved bit");
    REFUSE_IF(held && stepping != !!(s->pending_debug & PENDING_DEBUG_BS),
              "in an interrupt shadow the pending debug exceptions (BS) don't fit RFLAGS.TF");
    return NULL;
}

static const char *other_state(const struct vmx_guest_state *s)
{
    uint32_t shadow = s->interruptibility;
    unsigned type = s->event >> EVENT_TYPE_SHIFT & 7;
    bool event = s->event & EVENT_VALID;

    REFUSE_IF(s->activity > ACTIVITY_LAST, "the activity state doesn't exist");
    REFUSE_IF(s->activity == ACTIVITY_HLT && dpl(&s->segments[SEGMENT_SS]), "halted above privilege level 0");
    REFUSE_IF(s->activity != ACTIVITY_ACTIVE && shadow & (SHADOW_STI | SHADOW_MOV_SS),
              "halted in an interrupt shadow");
    REFUSE_IF(shadow & ~SHADOW_DEFINED, "the interruptibility state has a reserved bit");
    REFUSE_IF(shadow & SHADOW_SMI, "SMIs are blocked outside SMM");
    REFUSE_IF(shadow & SHADOW_STI && shadow & SHADOW_MOV_SS, "two interrupt shadows at once");
    REFUSE_IF(shadow & SHADOW_STI && !(s->rflags & RFLAGS_IF), "an STI shadow with RFLAGS.IF clear");
    REFUSE_IF(event && type == EVENT_EXTERNAL && shadow & (SHADOW_STI | SHADOW_MOV_SS),
              "an interrupt is injected into an interrupt shadow");
    REFUSE_IF(event && type == EVENT_NMI && shadow & (SHADOW_MOV_SS | SHADOW_NMI),
              "an NMI is injected where NMIs are blocked");
    REFUSE_IF(s->link_pointer != UINT64_MAX, "the VMCS link pointer is set");
    return pending_debug(s);
}

static const char *event(const struct vmx_guest_state *s)
{
    static const uint32_t with_error = BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17);
    unsigned type = s->event >> EVENT_TYPE_SHIFT & 7, vector = s->event & 0xFF;

    if (!(s->event & EVENT_VALID))
        return NULL;
    REFUSE_IF(type == 1 || type == 7, "the injected event's type doesn't exist");
    REFUSE_IF(type == EVENT_NMI && vector != 2, "an NMI is injected with another vector than 2");
    REFUSE_IF(type == EVENT_EXCEPTION && vector > 31, "an exception is injected with a vector above 31");
    bool wants = type == EVENT_EXCEPTION && vector < 32 && with_error & BIT(vector) && s->cr0 & CR0_PE;
    REFUSE_IF(wants != !!(s->event & EVENT_ERROR_VALID),
              "the injected event's error code is missing or too many");
    REFUSE_IF(type >= EVENT_SOFTWARE && s->event_length > 15,
              "the injected instruction is longer than 15 bytes");
    return NULL;
}

static const char *pdptes(const struct vmx_guest_state *s)
{
    if (!(s->cr0 & CR0_PG) || !(s->cr4 & CR4_PAE) || s->entry_64bit)
        return NULL;
    for (unsigned i = 0; i < 4; i++)
        REFUSE_IF(s->pdpte[i] & 1 &&
                      (s->pdpte[i] & PDPTE_RESERVED_LOW || beyond(s->pdpte[i], s->physical_bits)),
                  "a page-directory-pointer entry of PAE paging has a reserved bit");
    return NULL;
}

const char *vmx_guest_fault(const struct vmx_guest_state *state)
{
    static const char *(*const checks[])(const struct vmx_guest_state *) = {
        event, control_registers, other_registers, segments, tables, rip_and_flags, other_state, pdptes};

    for (unsigned i = 0; i < ARRAY_SIZE(checks); i++) {
        const char *fault = checks[i](state);

        if (fault)
            return fault;
    }
    return NULL;
}
