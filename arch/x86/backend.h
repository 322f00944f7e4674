/*
 * What a vendor's backend (svm/, vmx/) provides to the rest of arch/x86, and what the backends share: exit
 * classes, the figures of a world switch, and the calibration's bare runs. Nobody outside arch/x86 includes
 * it.
 */
#ifndef ARCH_X86_BACKEND_H
#define ARCH_X86_BACKEND_H

#include "arch/x86/api/vcpu.h"
#include "arch/x86/host/lapic.h"

/* Exits with the same overhead share a class. */
enum exit_class {
    CLASS_INSTRUCTION,
    CLASS_SOFTWARE,    /* INT n and #UD intercepts */
    CLASS_INTERRUPT,   /* a host interrupt */
    CLASS_WINDOW,      /* the guest can take an interrupt */
    CLASS_MEMORY,      /* nested page fault */
    CLASS_MEMORY_SOFT, /* nested page fault while an INT n was delivered, which is then executed again */
    CLASS_STEP,        /* #DB */
    CLASS_PREEMPTION,  /* the preemption timer */
    CLASS_COUNT
};

/* E and X, measured at boot (calibrate.c); all in TSC cycles. Signed: a class may cost less than the readings
 * around it. */
struct switch_figures {
    int64_t entry[2]; /* plain, with an event */
    int64_t cold;     /* what an entry takes more that flushes the TLB and finds no vCPU state in the CPU */
    int64_t exit[CLASS_COUNT];
    int64_t no_op; /* one NOP of a guest */
    uint64_t spread;
    bool event_repeats; /* an injected interrupt is delivered again when a timer of the machine expires before
                           the next exit (QEMU 7.2) */
    bool shadow_lost;   /* this CPU ignores the interrupt shadow that an entry asks for (QEMU 7.2) */
};
extern struct switch_figures figures;

/* Which runs VT-x's preemption timer ends: none, those that begin with the guest's interrupts off, or all
 * (timer=preempt: the one-shot is not used). A run that begins with one of these RFLAGS bits set is not its.
 */
enum preemption_use {
    PREEMPTION_UNUSED = 1 << 1,   /* always set */
    PREEMPTION_BACKSTOP = 1 << 9, /* IF */
    PREEMPTION_ALWAYS = 0
};

/* Loaded at each entry, it counts down while the guest runs and ends the run at 0. */
struct preemption_timer {
    bool present;      /* this CPU has one that works */
    uint64_t spared;   /* enum preemption_use */
    unsigned shift;    /* it counts the TSC's bit `shift` */
    uint64_t distance; /* cycles that a run falls short of what it was set for: A */
};
extern struct preemption_timer preemption_timer;

/* The count for an expiry `cycles` after the guest's first instruction, at least 1. */
static inline uint32_t preemption_count(uint64_t cycles)
{
    uint64_t ticks = (cycles + preemption_timer.distance) >> preemption_timer.shift;

    if (__builtin_expect(ticks - 1 >= UINT32_MAX, 0))
        return ticks ? UINT32_MAX : 1;
    return (uint32_t)ticks;
}

/* Measures them; false with a logged reason when the runs make no sense. Interrupts are off. */
bool calibrate(void);

/*
 * The guest's share of a run between T0 and T1, into exit->consumed and ->overhead; lowers the class when the
 * CPU was quicker than at boot and the run tells so (`telling`).
 */
void figures_account(struct exit *exit, enum exit_class class, int64_t entry_cost, bool inject, bool telling);

/*
 * Looks, once after vcpu_check_at_entry(), at the state that an entry would load: a CPU refuses an illegal
 * one with no more than that (QEMU 7.2 overwrites it, Bochs 2.7 misses some and ends on others). True:
 * refused, and the record of a run that wasn't says so.
 */
bool entry_refused(struct vcpu *vcpu);

/* What a bare run of the calibration asks for beside its registers. */
struct bare_setting {
    uint16_t sp;
    uint64_t rflags;
    bool window;         /* asks for an exit as soon as the guest can take an interrupt */
    bool inject;         /* delivers the external interrupt `vector` */
    bool shadow;         /* begins in an interrupt shadow */
    bool cold;           /* the TLB is flushed, the CPU's copy of the vCPU's state is not valid */
    uint32_t exceptions; /* further ones to intercept */
    uint8_t vector;
    uint32_t rounds;           /* CX at the start of each run; 0: far more than any timer is set for */
    uint32_t arm_count;        /* oneshot_count(); 0: not armed */
    uint32_t preemption_count; /* for the preemption timer; 0: not used */
};

/* The bits of nested tables' entries beside the address, W (bit 1) and the large-page bit (7). */
struct nested_format {
    uint64_t table, leaf;
    unsigned largest; /* level of the largest leaf: 1 for 4 KB, 2 for 2 MB, 3 for 1 GB */
};

/* Where a guest-physical address stands in the monitor's memory, to the end of its 4 KB page, though
 * nested_unmap() may have removed it; NULL: nowhere. */
void *nested_pointer(const struct nested *nested, uint64_t gpa);

/* The contracts stand in api/vcpu.h and api/nested.h. */
struct backend {
    const char *name;

    /* NULL when guests can run; else one line with the reason and the firmware setting to change. */
    const char *(*preflight)(void);
    /* Switches the CPU's virtualisation on. False with a logged reason. */
    bool (*enable)(void);

    void (*create)(struct vcpu *vcpu, struct nested *nested);
    void (*reset)(struct vcpu *vcpu);
    void (*switch_hands)(struct vcpu *from, struct vcpu *to);
    /* How entries arm the local APIC's timer. */
    void (*arm_by)(enum lapic_way way);
    /* Entries and exits do what guard_flags says (speculation.h), the way to arm among it. After arm_by(). */
    void (*use_guards)(void);
    void (*hold_host)(void);
    void (*release_host)(void);
    void (*enter)(struct vcpu *vcpu, uint64_t tsc, uint64_t distance);
    uint64_t (*exit_code)(const struct vcpu *vcpu);
    /* What is wrong with a state, by the CPU's own rules; NULL: nothing. And why the last entry failed, where
     * the CPU says more than that; NULL: it says no more. */
    const char *(*find_fault)(const struct vcpu *vcpu);
    const char *(*entry_fault)(const struct vcpu *vcpu);
    void (*gather)(const struct vcpu *vcpu);
    /* In the handler of an NMI; the shadow is the caller's. */
    bool (*in_nmi)(const struct vcpu *vcpu);

    void (*get_control)(const struct vcpu *vcpu, struct vcpu_control *control);
    void (*set_control)(struct vcpu *vcpu, const struct vcpu_control *control);
    void (*get_segment)(const struct vcpu *vcpu, enum segment_name name, struct vcpu_segment *segment);
    uint64_t (*cr0)(const struct vcpu *vcpu);
    uint64_t (*cr3)(const struct vcpu *vcpu);
    uint64_t (*cr4)(const struct vcpu *vcpu);
    uint64_t (*efer)(const struct vcpu *vcpu);
    uint64_t (*dr6)(const struct vcpu *vcpu);
    uint64_t (*cs_base)(const struct vcpu *vcpu);
    bool (*in_64bit_code)(const struct vcpu *vcpu);
    bool (*in_32bit_code)(const struct vcpu *vcpu);
    unsigned (*cpl)(const struct vcpu *vcpu);
    bool (*set_cr0)(struct vcpu *vcpu, uint64_t value);
    bool (*set_cr4)(struct vcpu *vcpu, uint64_t value, uint64_t allowed);
    void (*set_cr2)(struct vcpu *vcpu, uint64_t value);
    void (*set_dr6)(struct vcpu *vcpu, uint64_t value);
    unsigned (*read_msr)(struct vcpu *vcpu, uint32_t index);
    bool (*set_msr)(struct vcpu *vcpu, uint32_t index, uint64_t value);
    bool (*set_xcr0)(struct vcpu *vcpu, uint64_t value);
    uint64_t (*xcr0)(const struct vcpu *vcpu);
    bool (*kept_pdpte)(const struct vcpu *vcpu, unsigned index, uint64_t *entry); /* NULL: keeps none */

    /* Tags for address spaces, 0 not counted; and the format of nested tables (nested.c). */
    uint32_t (*tags)(void);
    struct nested_format *nested_format;

    /* For calibration: the setting is written on a vCPU in real mode; then the same run again and again,
     * without any policy. The guest's TSC is the cycles since T0. Returns T1 - T0. */
    void (*bare_set)(struct vcpu *vcpu, const struct bare_setting *setting);
    uint64_t (*bare_run)(struct vcpu *vcpu, const struct bare_setting *setting);
};

extern const struct backend svm_backend, vmx_backend;

/* This CPU's; valid after cpu_preflight(). In ordinary memory, so that a call through it is one instruction.
 */
extern struct backend cpu_backend;
void backend_choose(const struct backend *chosen);

#endif
