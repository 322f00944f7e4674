/* The checks of VMRUN; the contract is in check.h. */
#include "arch/x86/svm/check.h"
#include "arch/x86/asm.h"
#include "arch/x86/svm/vmcb.h"

#define EFER_DEFINED                                                                                         \
    UINT64_C(0x1F7D01) /* SCE, LME, LMA, NXE, SVME, LMSLE, FFXSR, TCE, MCOMMIT, INTWB, UAIE, AIBRSE */
#define CS_L           BIT(9)
#define CS_D           BIT(10)
#define EVENT_RESERVED 1u
#define EVENT_TYPES    7u

/* A rule that is broken names itself. */
#define REFUSE_IF(condition, sentence)                                                                       \
    do {                                                                                                     \
        if (condition)                                                                                       \
            return sentence;                                                                                 \
    } while (0)

static const char *registers(const struct vmcb *v, uint64_t cr4_bits, unsigned physical_bits)
{
    REFUSE_IF(!(v->efer & EFER_SVME), "EFER.SVME is clear");
    REFUSE_IF(v->cr0 & CR0_NW && !(v->cr0 & CR0_CD), "CR0.NW is set without CR0.CD");
    REFUSE_IF(v->cr0 >> 32, "CR0 has a bit above 31");
    REFUSE_IF(v->cr3 >> physical_bits && v->efer & EFER_LMA, "CR3 is beyond the CPU's physical addresses");
    REFUSE_IF(v->cr4 & ~cr4_bits, "CR4 has a bit that this CPU doesn't have");
    REFUSE_IF(v->dr6 >> 32, "DR6 has a bit above 31");
    REFUSE_IF(v->dr7 >> 32, "DR7 has a bit above 31");
    REFUSE_IF(v->efer & ~EFER_DEFINED, "EFER has a reserved bit");
    return NULL;
}

static const char *long_mode(const struct vmcb *v)
{
    bool wanted = v->efer & EFER_LME && v->cr0 & CR0_PG;

    REFUSE_IF(wanted && !(v->cr4 & CR4_PAE), "EFER.LME and CR0.PG are set without CR4.PAE");
    REFUSE_IF(wanted && !(v->cr0 & CR0_PE), "EFER.LME and CR0.PG are set without CR0.PE");
    /* Not in the manual's list; but a CPU is never so, and Bochs 2.7 ends on it. */
    REFUSE_IF(wanted != !!(v->efer & EFER_LMA), "EFER.LMA is not what EFER.LME and CR0.PG say");
    REFUSE_IF(wanted && v->cs.attributes & CS_L && v->cs.attributes & CS_D, "CS has both L and D");
    return NULL;
}

static const char *event(const struct vmcb *v)
{
    unsigned type = v->event_inject >> EVENT_TYPE_SHIFT & EVENT_TYPES, vector = v->event_inject & 0xFF;

    if (!(v->event_inject & EVENT_VALID))
        return NULL;
    REFUSE_IF(type == EVENT_RESERVED || type > 4, "the injected event's type doesn't exist");
    REFUSE_IF(type == 3 && vector > 31, "an exception is injected with a vector above 31");
    REFUSE_IF(type == 3 && vector == 2, "an exception is injected with the vector of NMIs");
    return NULL;
}

const char *svm_guest_fault(const struct vmcb *vmcb, uint64_t cr4_bits, unsigned physical_bits)
{
    const char *fault = registers(vmcb, cr4_bits, physical_bits);

    if (!fault)
        fault = long_mode(vmcb);
    if (!fault)
        fault = event(vmcb);
    if (fault)
        return fault;
    REFUSE_IF(vmcb->asid == 0, "the address space's number (ASID) is 0");
    REFUSE_IF(!(vmcb->intercept[1] & SVM_VMRUN), "VMRUN is not intercepted");
    return NULL;
}
