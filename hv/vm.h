/*
 * A virtual machine as the run loop sees it: one vCPU, its clock, its memory and buses, and what it may do.
 * The wiring of devices is guest/'s; it reaches this layer only through the operations below. Only the CPU
 * that owns a VM touches it, but for `output` and `input`, which the console shares.
 */
#ifndef HV_VM_H
#define HV_VM_H

#include "arch/x86/api/cpu.h"
#include "arch/x86/api/vcpu.h"
#include "hv/bus.h"
#include "hv/charge.h"
#include "hv/clock.h"
#include "hv/fetch.h"
#include "hv/input.h"
#include "hv/landing.h"
#include "hv/marks.h"
#include "hv/memory.h"
#include "hv/output.h"

struct vm;

enum vm_state {
    VM_RUNNABLE,
    VM_HALTED, /* in HLT, waiting for an interrupt */
    VM_KEPT,   /* crashed under oncrash=keep: not run any more, but not ended: the keys show it */
    VM_ENDED,
};

/* Codes beyond a guest's own 0 to 119 (README.md, "In CI"). */
enum { VERDICT_LARGEST = 119, VERDICT_DEAD_HALT = 121, VERDICT_RESET = 122, VERDICT_CRASH = 126 };

/* What an exit handler says is to be done with the instruction that exited. Only the run loop moves RIP. */
enum handled {
    HANDLED_RESUME, /* go on at RIP: nothing to complete, or an exception is pending */
    HANDLED_SKIP,   /* complete it: go on behind it */
    HANDLED_HALT,   /* complete it and halt */
};

/* What guest/ supplies. All run on the owning CPU with the guest outside. */
struct vm_ops {
    uint8_t (*interrupt_ack)(struct vm *vm);
    /* Can an external interrupt ever come, as the guest has set its interrupt controller? */
    bool (*can_interrupt)(struct vm *vm);
    /* NMIs are kept from the CPU, as the guest has set it (bit 7 of port 70h). */
    bool (*nmi_masked)(struct vm *vm);
    /* Carry out the instruction of this name on the vCPU's registers; charged already. */
    enum handled (*cpuid)(struct vm *vm);
    enum handled (*rdmsr)(struct vm *vm);
    enum handled (*wrmsr)(struct vm *vm);
    /* Power-on: clears RAM, resets devices, loads the image, sets the vCPU. False with a logged reason. */
    bool (*reset)(struct vm *vm);
    /* Bytes from outside for the serial line; returns how many were taken. */
    size_t (*receive)(struct vm *vm, const uint8_t *data, size_t length);
    /* The text screen into `buffer`; returns its length. */
    size_t (*screen)(struct vm *vm, char *buffer, size_t size);
};

/* What moved the guest clock beside the guest itself (docs/time.md). Guest cycles. */
struct time_sources {
    uint64_t charged; /* for instructions that the monitor carried out */
    uint64_t snapped; /* to close the gap that the timer's landing left */
    uint64_t idle;    /* while halted */
};

struct vm_policy {
    bool idle_skip;
    bool halt_ok; /* HLT with nothing to end it is a power-off */
    bool restart_on_reset;
    bool reset_on_crash;
    bool keep_on_crash;
    bool machine_reset;   /* a guest's reset resets the machine */
    uint64_t resets_left; /* restarts until a reset stops the guest; UINT64_MAX: no limit */
};

/* What others asked of this VM while a handler ran; acted upon after it. */
struct vm_requests {
    bool reset;
    bool exit;
    bool close; /* vm_end(): the closing lines */
    unsigned code;
    char why[64];
};

struct vm {
    struct vcpu vcpu; /* first: the run loop comes from the one to the other */
    struct guest_clock clock;
    uint64_t tsc_bias; /* what the guest's writes to its TSC added */
    bool interrupt;    /* level of the interrupt controller's INT: vm_set_interrupt() */
    bool nmi;          /* latched: vm_raise_nmi() */
    bool attention; /* before and after each run there is more to do than usual: an interrupt or an NMI waits,
                       or perturb= */
    char name[16];
    unsigned id;
    unsigned cpu; /* the physical CPU that runs it */
    enum vm_state state;
    struct nested nested;
    struct guest_memory memory;
    struct bus ports, mmio;
    struct fetch_cache fetch;
    struct landing landing;
    struct charges charges;
    uint64_t exit_charges[EXIT_KINDS]; /* what the run loop charges for an exit before it calls the handler */
    uint64_t cr4_allowed;              /* the CR4 bits that the guest's CPU has */
    uint64_t xcr0_allowed;             /* likewise of XCR0; 0: it has no XSAVE */
    uint8_t phys_bits;                 /* of a guest-physical address, as CPUID tells the guest */
    bool amd;                          /* the guest sees an AMD CPU: some reserved bits differ */
    struct vm_policy policy;
    struct vm_requests requests;
    struct input input;
    struct output output;
    struct marks marks;
    uint64_t slice_end; /* host TSC; 0: after this exit, for a request, a halt, an end, or a full output */
    struct time_sources sources;
    uint64_t ledger_cycles;   /* the guest's account in the ledger: host cycles that it consumed since boot */
    uint64_t consumed_before; /* consumed in earlier lives, before resets */
    uint64_t exits[EXIT_KINDS];
    uint64_t restarts;
    uint64_t halt_host;     /* idle=wait: host TSC from which the halt is counted */
    uint64_t halt_guest;    /* and the guest clock there */
    unsigned code;          /* the verdict, once VM_ENDED, */
    const char *end_reason; /* and why, or "" */
    char reset_reason[64];  /* of the last one */
    const struct vm_ops *ops;
    void *machine; /* guest/'s part */
};

#define VMS_MAX 32

/* All VMs, in the order of the plan. */
extern struct vm *vms[VMS_MAX];
extern unsigned vm_count;

/* It is this CPU's. */
static inline bool vm_is_here(const struct vm *vm)
{
    return vm->cpu == this_cpu()->id;
}

/* On any CPU. */
static inline bool vm_has_ended(const struct vm *vm)
{
    return __atomic_load_n(&vm->state, __ATOMIC_ACQUIRE) == VM_ENDED;
}

/* Fills the parts that belong to this layer. */
void vm_init(struct vm *vm, const char *name, unsigned id, uint64_t hz, const struct vm_ops *ops,
             void *machine);

/* Power-on or reset: clock to 0, queues empty, then ops->reset. */
bool vm_reset(struct vm *vm);

void vm_set_interrupt(struct vm *vm, bool level);

/* An edge at the CPU's NMI input: delivered as soon as the guest can take it. One waits; further edges until
 * its delivery are one with it, as on hardware (SDM vol. 3 "Handling Multiple NMIs"). */
void vm_raise_nmi(struct vm *vm);
void vm_nmi_delivered(struct vm *vm);

static inline bool vm_nmi_waits(struct vm *vm)
{
    return vm->nmi && !vm->ops->nmi_masked(vm);
}

/* Moves the clock and books the reason in one of vm->sources. */
static inline void vm_advance(struct vm *vm, uint64_t cycles, uint64_t *source)
{
    *source += cycles;
    guest_clock_advance(&vm->clock, vm->clock.now + cycles);
}

static inline void vm_charge(struct vm *vm, enum charge charge)
{
    vm_advance(vm, vm->charges.cycles[charge], &vm->sources.charged);
}

/* What the guest itself made of its clock. */
static inline uint64_t vm_consumed(const struct vm *vm)
{
    return vm->clock.now - vm->sources.charged - vm->sources.snapped - vm->sources.idle;
}

/* For device callbacks inside handlers. */
void vm_request_exit(struct vm *vm, unsigned code);
void vm_request_reset(struct vm *vm, const char *why);

/* Ends a guest: it is not run any more. `why` lasts as long as the VM. The closing lines come behind the
 * slice (vm_act_on_requests()): they may have to wait for the console. */
void vm_end(struct vm *vm, unsigned code, const char *why);

/* A guest that can't go on: ends it, resets it or keeps it for inspection, as oncrash= says. */
void vm_crash(struct vm *vm, const char *why);

/* The guest's account in the ledger equals its clock less charges, snaps and idle. */
bool vm_time_exact(const struct vm *vm);

/* Behind a slice: carries out what handlers asked for, and writes an ended VM's closing lines. */
void vm_act_on_requests(struct vm *vm);

#endif
