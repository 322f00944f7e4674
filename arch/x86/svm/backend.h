/* What the files of the SVM backend share. */
#ifndef ARCH_X86_SVM_BACKEND_H
#define ARCH_X86_SVM_BACKEND_H

#include "arch/x86/api/vcpu.h"
#include "arch/x86/svm/switch.h"
#include "arch/x86/svm/vmcb.h"

/* Exits with the same overhead share a class. */
enum exit_class {
    CLASS_INSTRUCTION,
    CLASS_SOFTWARE,    /* INT n and #UD intercepts */
    CLASS_INTERRUPT,   /* a host interrupt */
    CLASS_WINDOW,      /* VINTR */
    CLASS_MEMORY,      /* nested page fault */
    CLASS_MEMORY_SOFT, /* nested page fault while an INT n was delivered, which is then executed again */
    CLASS_STEP,        /* #DB */
    CLASS_COUNT
};

/* E and X; all in TSC cycles. Signed: a class may cost less than the readings around it. */
struct svm_costs {
    int64_t entry[2]; /* plain, with an event */
    int64_t cold;     /* what an entry takes more that flushes the TLB and reads the whole VMCB */
    int64_t exit[CLASS_COUNT];
    uint64_t spread;
    bool event_repeats; /* an injected interrupt is delivered again when a timer of the machine expires before
                           the next exit (QEMU 7.2) */
    bool shadow_lost;   /* this CPU ignores the VMCB's interrupt shadow (QEMU 7.2) */
};
extern struct svm_costs svm_costs;

struct svm_features {
    bool next_rip, flush_by_asid, clean_bits, decode_assists;
    bool predictor_barrier; /* IBPB */
    uint32_t asids;
};
extern struct svm_features svm_features;

/* The clean bits of a VMCB in which nothing was changed: all but the intercepts, which share theirs with the
 * TSC offset. */
extern uint32_t svm_all_clean;

#define XSAVE_AREA_SIZE 4096

struct vcpu_backend {
    struct svm_switch entry;
    struct vcpu *vcpu;
    struct vmcb *vmcb;
    int64_t entry_cost; /* E of this entry */
    uint64_t entry_rip; /* where the guest went on at this entry */
    uint32_t dirty;     /* VMCB parts changed since the last entry (clean bits) */
    bool inject;        /* this entry delivers an event */
    bool armed;         /* this entry arms the timer */
    bool window;        /* the VMCB asks for an interrupt window */
    uint64_t debug_registers[4];
    uint64_t xcr0, tsc_aux;
    void *extended_state; /* XSAVE or FXSAVE image */
};

#define SVM_ALL_DIRTY UINT32_MAX

/* Parts of the VMCB were changed. */
static inline void svm_dirty(struct vcpu *vcpu, uint32_t parts)
{
    vcpu->backend->dirty |= parts;
    vcpu->attention = true;
}

/* For calibration: one entry and exit without any policy. The guest's TSC is the cycles since T0. */
void svm_bare_run(struct vcpu *vcpu, uint32_t arm_count);

enum exit_class svm_exit_class(const struct vmcb *vmcb);

/* Measures svm_costs; false with a logged reason when the runs make no sense. */
bool svm_calibrate(void);

/* Lowers a class that a run undercut: total is T1 - T0. */
void svm_lower_cost(enum exit_class class, bool inject, uint64_t total);

#endif
