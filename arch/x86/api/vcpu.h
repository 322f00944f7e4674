/*
 * The virtual CPU as the layers above see it; one backend per vendor stands behind it (svm/, vmx/).
 * run() owns both TSC readings of a world switch and reports what the guest consumed between them, less the
 * calibrated overhead, and why it stopped, in a neutral record. arch never calls up: a host interrupt is an
 * exit kind.
 */
#ifndef ARCH_X86_API_VCPU_H
#define ARCH_X86_API_VCPU_H

#include "arch/x86/api/nested.h"
#include "lib/base.h"

/* General registers in the order of their encoding. */
enum {
    REG_RAX,
    REG_RCX,
    REG_RDX,
    REG_RBX,
    REG_RSP,
    REG_RBP,
    REG_RSI,
    REG_RDI,
    REG_R8,
    REG_R15 = 15,
    REG_COUNT
};

enum segment_name {
    SEGMENT_ES,
    SEGMENT_CS,
    SEGMENT_SS,
    SEGMENT_DS,
    SEGMENT_FS,
    SEGMENT_GS,
    SEGMENT_LDTR,
    SEGMENT_TR,
    SEGMENT_COUNT
};

/* A segment with its hidden part. */
struct vcpu_segment {
    uint64_t base;
    uint32_t limit; /* in bytes */
    uint16_t selector;
    uint16_t attributes; /* bits 0-3 type, 4 S, 5-6 DPL, 7 P, 8 AVL, 9 L, 10 D/B, 11 G */
};

#define SEGMENT_ATTRIBUTE_L  BIT(9)
#define SEGMENT_ATTRIBUTE_DB BIT(10)

struct vcpu_table {
    uint64_t base;
    uint32_t limit;
};

/* Control state other than the general registers. */
struct vcpu_control {
    uint64_t cr0, cr2, cr3, cr4, efer;
    uint64_t dr6, dr7;
    struct vcpu_segment segments[SEGMENT_COUNT];
    struct vcpu_table gdtr, idtr;
};

enum event_type { EVENT_EXTERNAL = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3, EVENT_SOFTWARE = 4 };

/* An event that the next entry delivers. */
struct vcpu_event {
    bool valid;
    bool has_error;
    uint8_t vector;
    uint8_t type; /* enum event_type */
    uint32_t error;
};

/*
 * The instruction at one RIP, remembered, so that a CPU that doesn't give the length of an exiting
 * instruction needs no decoder for a loop. It holds while the guest is in 64-bit code under the same CR3, and
 * the entries of its page tables that lead there and the instruction's bytes are what they were: nothing else
 * says where the bytes at RIP come from. Filled by the layer above, which can read guest memory.
 */
#define INSTRUCTION_MEMO_LEVELS 4
struct instruction_memo {
    uint64_t rip; /* INSTRUCTION_MEMO_NONE: nothing is remembered */
    uint64_t cr3;
    const uint64_t *entry[INSTRUCTION_MEMO_LEVELS]; /* in host memory; unused ones repeat the first */
    uint64_t value[INSTRUCTION_MEMO_LEVELS];
    const uint8_t *host; /* the instruction's first byte; seven more can be read behind it */
    uint64_t bytes;      /* all eight of them */
    unsigned length;
};
#define INSTRUCTION_MEMO_NONE BIT64(62) /* not canonical: never a RIP */

enum exit_kind {
    EXIT_HOST_INTERRUPT, /* the timer or another host interrupt; already taken */
    EXIT_HOST_NMI,
    EXIT_WINDOW,     /* the guest can take an external interrupt now */
    EXIT_NMI_WINDOW, /* it can take an NMI now, or after one more instruction (the IRET of an NMI's handler)
                      */
    EXIT_PORT,       /* IN or OUT: port */
    EXIT_STRING_IO,  /* INS or OUTS: port */
    EXIT_CPUID,
    EXIT_HLT,
    EXIT_RDMSR, /* index in ECX */
    EXIT_WRMSR,
    EXIT_MEMORY,    /* a guest-physical address that is not mapped: memory */
    EXIT_CR_WRITE,  /* of CR0, CR4 or CR8: cr */
    EXIT_EXCEPTION, /* intercepted: to be handed back to the guest */
    EXIT_XSETBV,
    EXIT_FLUSH,     /* INVD, WBINVD: nothing to do but to complete it */
    EXIT_UNDEFINED, /* an instruction that this guest's CPU hasn't: #UD */
    EXIT_FORBIDDEN, /* one that it may not use now: #GP(0) */
    EXIT_TASK_SWITCH,
    EXIT_SHUTDOWN, /* triple fault */
    EXIT_HYPERCALL,
    EXIT_INVALID, /* the CPU refused the guest's state: vcpu_entry_fault() says why */
    EXIT_KINDS
};

const char *exit_kind_name(enum exit_kind kind);

struct exit_port {
    uint16_t port;
    uint8_t width; /* bytes */
    bool in;
};
_Static_assert(offsetof(struct exit_port, in) == offsetof(struct exit_port, width) + 1, "side by side");

struct exit {
    enum exit_kind kind;
    bool timer;        /* EXIT_HOST_INTERRUPT: the one-shot was among them */
    bool aimed;        /* and it was set at this very entry to land on the deadline; valid when timer is */
    unsigned length;   /* of the instruction, where it is known; 0: decode */
    uint64_t entered;  /* T0, host TSC */
    uint64_t left;     /* T1, host TSC */
    uint64_t consumed; /* guest cycles: (T1 - T0) less the overhead */
    uint64_t overhead; /* E + X as subtracted */
    union {
        struct exit_port port;
        uint8_t cr;
        struct {
            uint64_t gpa;
            bool write, fetch;
            bool walk; /* the CPU's own access to the guest's page tables */
        } memory;
        struct {
            uint8_t vector;
            bool has_error;
            uint32_t error;
        } exception;
    };
};

struct vcpu {
    /* The registers, where the world switch keeps them. */
    uint64_t *gpr[REG_COUNT]; /* RSP and RFLAGS are changed only where attention is set too */
    uint64_t *rip, *rflags;
    uint64_t *shadow; /* VCPU_SHADOW: the next instruction can't be interrupted (STI, MOV SS); 0 ends it */
    bool attention;   /* before the next entry there is more to do than to enter: set with the next two */
    bool unchecked;   /* vcpu_check_at_entry() */
    bool window;      /* wanted: an exit as soon as the guest can take an external interrupt */
    bool nmi_window;  /* wanted: an exit as soon as the guest can take an NMI */
    struct vcpu_event event;          /* delivered by the next entry */
    struct exit exit;                 /* what the last run ended with */
    uint64_t host_limit, host_latest; /* vcpu_limit() */
    uint64_t
        lead; /* cycles before a deadline at which the timer is aimed, at most 1/VCPU_LEAD_SHARE of the way */
    const char *fault; /* why the entry was refused by Verge itself; NULL: it was not */
    struct nested *nested;
    struct vcpu_backend *backend;
    struct instruction_memo memo;
};

#define VCPU_SHADOW     UINT64_C(3)
#define VCPU_LEAD_SHARE 8 /* the same as landing_lead() has (hv/landing.h) */

/* Runs are to be back by this host TSC; up to VCPU_HOST_SLACK cycles later will do, so that the timer need
 * not be armed anew for each entry. */
#define VCPU_HOST_SLACK 20000u
static inline void vcpu_limit(struct vcpu *vcpu, uint64_t host_limit)
{
    vcpu->host_limit = host_limit;
    vcpu->host_latest = host_limit + VCPU_HOST_SLACK;
}

/* The next entry delivers this event. */
static inline void vcpu_inject(struct vcpu *vcpu, struct vcpu_event event)
{
    event.valid = true;
    vcpu->event = event;
    vcpu->attention = true;
}

/* Asks for EXIT_WINDOW, or no longer. */
static inline void vcpu_want_window(struct vcpu *vcpu, bool wanted)
{
    vcpu->window = wanted;
    vcpu->attention = true;
}

/* Asks for an exit, of any kind, as soon as the guest can take an NMI; or no longer. */
static inline void vcpu_want_nmi_window(struct vcpu *vcpu, bool wanted)
{
    vcpu->nmi_window = wanted;
    vcpu->attention = true;
}

/*
 * The guest can't take an NMI now: it is in an interrupt shadow, or in the handler of an NMI until that one's
 * IRET has been executed. An IRET that faults counts as executed, on all CPUs (Intel's rule: SDM vol. 3
 * "Handling Multiple NMIs").
 */
bool vcpu_nmi_blocked(const struct vcpu *vcpu);

/* A new vCPU over an address space, all zero, with this VM's permissions. Allocates. */
void vcpu_create(struct vcpu *vcpu, struct nested *nested);

/* Back to the state of creation; nested tables stay. */
void vcpu_reset(struct vcpu *vcpu);

/* The CPU changes hands: extended state, XCR0, debug registers and TSC_AUX of `from` (may be NULL) are saved,
 * those of `to` loaded. */
void vcpu_switch(struct vcpu *from, struct vcpu *to);

/*
 * Around runs: host interrupts and NMIs end a guest's run, and wait while the monitor works, so that no
 * single entry has to see to it. Interrupts are off before and after.
 */
void vcpu_hold_host(void);
void vcpu_release_host(void);

/*
 * Runs the guest until an exit; vcpu->exit tells how it ended. The guest's first RDTSC reads `tsc`. distance:
 * guest cycles to the next deadline. vcpu->event is delivered by the entry; if its delivery was cut off, it
 * is valid again afterwards, to be delivered unchanged. Before: vcpu->exit.left is a host TSC reading, as
 * late as there is one. Between vcpu_hold_host() and vcpu_release_host().
 *
 * No register outlives a run, so there is none for the world switch to save but the guest's.
 */
#ifdef VERGE_HOST
void vcpu_run(struct vcpu *vcpu, uint64_t tsc, uint64_t distance); /* a host test supplies the CPU */
#else
static inline void vcpu_run(struct vcpu *vcpu, uint64_t tsc, uint64_t distance)
{
    __asm__ volatile("call *vcpu_enter_of_backend"
                     : "+D"(vcpu), "+S"(tsc), "+d"(distance)
                     :
                     : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc",
                       "memory");
}
#endif

/* The backend's part of vcpu_run(), for nobody else: ends with all registers but RSP and RBP changed. */
extern void (*vcpu_enter_of_backend)(struct vcpu *vcpu, uint64_t tsc, uint64_t distance);

/* The backend's own code of the last exit, for logs; 0 where Verge itself refused the entry. */
uint64_t vcpu_exit_code(const struct vcpu *vcpu);

/* After EXIT_INVALID: which part of the guest's state the CPU refused, as a sentence without its full stop.
 */
const char *vcpu_entry_fault(const struct vcpu *vcpu);

/* RSP in gpr is read from the CPU only at exits whose handlers may need it: not for EXIT_PORT, EXIT_CPUID,
 * EXIT_HLT, EXIT_RDMSR and EXIT_WRMSR. Who shows or saves the registers calls this first. */
void vcpu_gather(const struct vcpu *vcpu);

/*
 * Somebody else than the guest (a loader, a debugger) has set registers, or an event to deliver: the next
 * entry looks at the whole state first, and an illegal one ends the run with EXIT_INVALID. Part of
 * vcpu_set_control().
 */
void vcpu_check_at_entry(struct vcpu *vcpu);

void vcpu_get_control(const struct vcpu *vcpu, struct vcpu_control *control);
void vcpu_set_control(struct vcpu *vcpu, const struct vcpu_control *control);
void vcpu_get_segment(const struct vcpu *vcpu, enum segment_name name, struct vcpu_segment *segment);

/* Parts of the control state that the hot path needs alone. */
uint64_t vcpu_cr0(const struct vcpu *vcpu);
uint64_t vcpu_cr3(const struct vcpu *vcpu);
uint64_t vcpu_cr4(const struct vcpu *vcpu);
uint64_t vcpu_efer(const struct vcpu *vcpu);
uint64_t vcpu_dr6(const struct vcpu *vcpu);
uint64_t vcpu_cs_base(const struct vcpu *vcpu);
bool vcpu_in_64bit_code(const struct vcpu *vcpu);
bool vcpu_in_32bit_code(const struct vcpu *vcpu);
unsigned vcpu_cpl(const struct vcpu *vcpu);

/*
 * What MOV CR0 and MOV CR4 do, with the checks of the CPU (and EFER.LMA as paging goes on and off). False:
 * #GP(0), nothing changed. `allowed`: the CR4 bits that this guest's CPU has.
 */
bool vcpu_set_cr0(struct vcpu *vcpu, uint64_t value);
bool vcpu_set_cr4(struct vcpu *vcpu, uint64_t value, uint64_t allowed);
void vcpu_set_cr2(struct vcpu *vcpu, uint64_t value);
void vcpu_set_dr6(struct vcpu *vcpu, uint64_t value);

/* MSRs that live in the vCPU. Reading: into EDX:EAX as RDMSR does; VCPU_DONE always, one that doesn't live
 * here reads 0. */
#define VCPU_DONE 1
unsigned vcpu_read_msr(struct vcpu *vcpu, uint32_t index);
/* False: not one of them, or a value that gives #GP. */
bool vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);
bool vcpu_set_xcr0(struct vcpu *vcpu, uint64_t value);

/* The four entries of PAE paging outside long mode that the CPU keeps since CR3 was loaded. False: this CPU
 * keeps none, a walk reads them from memory (AMD under nested paging). */
bool vcpu_kept_pdpte(const struct vcpu *vcpu, unsigned index, uint64_t *entry);

uint64_t vcpu_xcr0(const struct vcpu *vcpu);

/* CPUID of the physical CPU. */
void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* Result of the calibration, for the boot line and the landing policy. Cycles. */
struct switch_costs {
    uint64_t entry, entry_inject; /* E */
    uint64_t exit_instruction;    /* X of the plain class */
    uint64_t instruction;         /* what one NOP takes, at least 1: the grain of an exit's moment */
    uint64_t spread;              /* largest difference seen between equal runs */
    uint64_t timer_ticks_per_second;
};
const struct switch_costs *vcpu_switch_costs(void);

/* Runs that yielded less than E + X: the class was lowered. */
uint64_t vcpu_recalibrations(void);

#endif
