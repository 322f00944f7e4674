/*
 * The vCPU of SVM: creation, reset, the change of hands, and what leads up to an entry. Contract: api/vcpu.h.
 * What follows an exit is in exit.c. Source: AMD64 APM vol. 2 "Secure Virtual Machine".
 *
 * An entry at which nothing is to be done but to enter takes svm_vcpu_enter() alone; `attention` and a timer
 * that would fire too late send it through enter_prepared().
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/paging.h"
#include "arch/x86/speculation.h"
#include "arch/x86/svm/backend.h"
#include "arch/x86/svm/svm.h"
#include "arch/x86/trap.h"
#include "lib/string.h"

#define RFLAGS_RESERVED BIT64(1)
#define DR6_RESET       0xFFFF0FF0u
#define DR7_RESET       0x400u
#define PAT_RESET       0x0007040600070406u
#define VINTR_WINDOW    (VINTR_IRQ | UINT64_C(15) << VINTR_PRIORITY_SHIFT)

static const uint32_t intercept_word3 = SVM_INTR | SVM_NMI | SVM_INIT | SVM_CR0_SELECTIVE | SVM_RDPMC |
                                        SVM_CPUID | SVM_INVD | SVM_HLT | SVM_INVLPGA | SVM_IOIO | SVM_MSR |
                                        SVM_TASK_SWITCH | SVM_SHUTDOWN;
static const uint32_t intercept_word4 = SVM_VMRUN | SVM_VMMCALL | SVM_VMLOAD | SVM_VMSAVE | SVM_STGI |
                                        SVM_CLGI | SVM_SKINIT | SVM_WBINVD | SVM_MONITOR | SVM_MWAIT |
                                        SVM_MWAIT_ARMED | SVM_XSETBV | SVM_RDPRU;
/* #DB and #AC can loop in microcode and lock up the host; #MC is the host's. */
static const uint32_t intercept_exceptions = BIT(1) | BIT(17) | BIT(18);

/* ---- creation and reset ---- */

static void place_registers(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;

    for (unsigned i = 0; i < REG_COUNT; i++)
        vcpu->gpr[i] = &backend->entry.gpr[i];
    vcpu->gpr[REG_RAX] = &backend->vmcb->rax;
    vcpu->gpr[REG_RSP] = &backend->vmcb->rsp;
    vcpu->rip = &backend->vmcb->rip;
    vcpu->rflags = &backend->vmcb->rflags;
    vcpu->shadow = &backend->vmcb->int_state;
}

void svm_vcpu_create(struct vcpu *vcpu, struct nested *nested)
{
    struct vcpu_backend *backend = phys_alloc_own(sizeof *backend);

    _Static_assert(sizeof *backend <= PAGE_SIZE, "vcpu_backend fits a page");
    vcpu->backend = backend;
    vcpu->nested = nested;
    backend->vcpu = vcpu;
    nested->attention = &vcpu->attention;
    backend->vmcb = phys_alloc_own(sizeof(struct vmcb));
    hands_create(&backend->hands);
    backend->entry.vmcb = backend->vmcb;
    backend->entry.vmcb_pa = virt_to_phys(backend->vmcb);
    backend->entry.host_vmcb_pa = svm_host_vmcb();
    backend->entry.timer_register = host_lapic_initial_count();
    place_registers(vcpu);
    svm_vcpu_reset(vcpu);
}

static void reset_control_area(struct vmcb *vmcb, const struct nested *nested)
{
    vmcb->intercept_cr = BIT(16 + 4) | BIT(16 + 8);
    vmcb->intercept_exceptions = intercept_exceptions;
    vmcb->intercept[0] = intercept_word3;
    vmcb->intercept[1] = intercept_word4;
    vmcb->iopm_base = svm_iopm();
    vmcb->msrpm_base = svm_msrpm();
    vmcb->asid = nested->tag;
    vmcb->vintr = VINTR_MASKING | VINTR_IGNORE_TPR;
    vmcb->nested_enable = 1;
    vmcb->nested_cr3 = nested->root;
}

static PER_CPU struct vcpu *holder; /* whose state the CPU's own registers hold */

void svm_vcpu_reset(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct vmcb *vmcb = backend->vmcb;

    memset(vmcb, 0, sizeof *vmcb);
    reset_control_area(vmcb, vcpu->nested);
    vmcb->efer = EFER_SVME;
    vmcb->cr0 = CR0_ET;
    vmcb->dr6 = DR6_RESET;
    vmcb->dr7 = DR7_RESET;
    vmcb->g_pat = PAT_RESET;
    memset(backend->entry.gpr, 0, sizeof backend->entry.gpr);
    *vcpu->rflags = RFLAGS_RESERVED;
    vcpu->window = vcpu->nmi_window = false;
    vcpu->event = (struct vcpu_event){0};
    vcpu->memo.rip = INSTRUCTION_MEMO_NONE;
    hands_reset(&backend->hands);
    if (holder == vcpu)
        hands_load(&backend->hands); /* or the CPU would still hold the former life's */
    backend->window = backend->inject = false;
    backend->nmi = NMI_NONE;
    svm_dirty(vcpu, SVM_ALL_DIRTY);
}

/* ---- the change of hands ---- */

void svm_vcpu_switch(struct vcpu *from, struct vcpu *to)
{
    if (from) {
        hands_save(&from->backend->hands);
        hands_forget_branches();
    }
    hands_load(&to->backend->hands);
    write_cr2(to->backend->vmcb->cr2); /* VMRUN of Bochs 2.7 doesn't load it */
    if (to->nested->shared_tag)
        nested_owe_flush(to->nested);
    holder = to;
    svm_dirty(to, SVM_ALL_DIRTY);
}

/* ---- what an entry needs beside entering ---- */

/*
 * SVM itself knows nothing of a guest's NMIs being blocked: from the delivery on, the guest's next IRET is
 * intercepted, and is then executed (svm/exit.c). A guest whose NMI waits for that has one instruction's time
 * for it.
 */
static void begin_nmi(struct vcpu_backend *backend)
{
    backend->nmi = NMI_HANDLER;
    backend->vmcb->intercept[0] |= SVM_IRET;
}

/* What is delivered where IRET is the next instruction: that comes later, unless it is the IRET's own fault,
 * with which it counts as executed. */
static void place_nmi_stage(struct vcpu_backend *backend, const struct vcpu_event *event)
{
    bool before = event->type == EVENT_EXTERNAL || event->vector == VECTOR_DB;

    if (event->type == EVENT_NMI || (backend->nmi == NMI_IRET && before))
        begin_nmi(backend);
    else if (backend->nmi == NMI_IRET)
        backend->nmi = NMI_NONE;
}

bool svm_vcpu_in_nmi(const struct vcpu *vcpu)
{
    return vcpu->backend->nmi != NMI_NONE;
}

/* An NMI waits for the end of a shadow, or for an IRET that has come: for one instruction. */
static bool nmi_needs_a_step(const struct vcpu *vcpu)
{
    return vcpu->nmi_window && vcpu->backend->nmi != NMI_HANDLER;
}

/*
 * The entry delivers vcpu->event, or nothing. Returns whether it comes back before the guest's next
 * instruction, by an interrupt of our own, which the guest's time doesn't see: where another NMI waits; and
 * where an interrupt may be delivered again later (QEMU keeps it as the CPU's pending exception, and takes
 * that up when any timer of the machine ends a translation block's budget), which that exit clears.
 */
static bool place_event(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct vcpu_event event = vcpu->event;

    backend->inject = event.valid;
    backend->entry_cost = figures.entry[event.valid];
    backend->vmcb->event_inject = 0;
    if (!event.valid)
        return false;
    place_nmi_stage(backend, &event);
    backend->vmcb->event_inject = EVENT_VALID | event.vector | (uint64_t)event.type << EVENT_TYPE_SHIFT |
                                  (event.has_error ? EVENT_ERROR_VALID | (uint64_t)event.error << 32 : 0);
    vcpu->event.valid = false;
    bool repeats = figures.event_repeats && event.type == EVENT_EXTERNAL;
    if (!repeats && !nmi_needs_a_step(vcpu))
        return false;
    host_lapic_interrupt_self();
    return true;
}

/* Asks for an exit when the guest can take an interrupt, or no longer. V_IRQ never delivers: VINTR is
 * intercepted. */
static void place_window(struct vcpu *vcpu, bool wanted)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct vmcb *vmcb = backend->vmcb;

    if (wanted == backend->window)
        return;
    vmcb->vintr = wanted ? vmcb->vintr | VINTR_WINDOW : vmcb->vintr & ~VINTR_WINDOW;
    vmcb->intercept[0] = wanted ? vmcb->intercept[0] | SVM_VINTR : vmcb->intercept[0] & ~SVM_VINTR;
    backend->window = wanted;
    backend->dirty |= CLEAN_TPR; /* and the intercepts, never clean */
}

/* A flush that is owed, or none. */
static bool place_flush(struct vcpu *vcpu)
{
    bool owed = vcpu->nested->flush_owed;

    vcpu->backend->vmcb->tlb_control = !owed                        ? TLB_FLUSH_NONE
                                       : svm_features.flush_by_asid ? TLB_FLUSH_ASID
                                                                    : TLB_FLUSH_ALL;
    vcpu->nested->flush_owed = false;
    return owed;
}

/*
 * Places in the VMCB what this entry needs beside entering. It is taken away again before the next one, so
 * attention stays on until nothing was placed. Returns what place_event() does; may narrow the distance.
 */
static bool attend(struct vcpu *vcpu, uint64_t *distance)
{
    struct vcpu_backend *backend = vcpu->backend;
    bool instead = vcpu->window && *vcpu->shadow & 1 &&
                   figures.shadow_lost; /* one instruction, then the shadow is gone */
    bool comes_back = place_event(vcpu);
    bool flush = place_flush(vcpu);

    if (flush || backend->dirty == SVM_ALL_DIRTY)
        backend->entry_cost += figures.cold;
    place_window(vcpu, vcpu->window && !instead);
    if (instead || nmi_needs_a_step(vcpu))
        *distance = 1;
    backend->vmcb->clean = svm_all_clean & ~backend->dirty;
    vcpu->attention = backend->inject || flush || backend->dirty;
    backend->dirty = 0;
    return comes_back;
}

/* ---- entering ---- */

/* This CPU's entries: one that may arm the timer, by the way to do that; and one that does not. */
static PER_CPU struct {
    void (*arming)(struct svm_switch *state);
    void (*plain)(struct svm_switch *state);
} enter_by;

void svm_vcpu_arm_by(enum lapic_way way)
{
    static void (*const entries[])(struct svm_switch * state) = {[LAPIC_BY_MEMORY] = svm_enter,
                                                                 [LAPIC_BY_MSR] = svm_enter_x2apic,
                                                                 [LAPIC_BY_DEADLINE] = svm_enter_deadline};

    enter_by.arming = entries[way];
    enter_by.plain = svm_enter;
}

void svm_vcpu_use_guards(void)
{
    enter_by.arming = enter_by.plain = svm_enter_guarded;
}

/* With GIF clear nothing interrupts the monitor; IF set makes interrupts exit a guest, for which VMRUN sets
 * GIF (APM vol. 2 "Global Interrupt Flag"). */
void svm_vcpu_hold_host(void)
{
    __asm__ volatile("clgi; sti" : : : "memory");
}

void svm_vcpu_release_host(void)
{
    __asm__ volatile("cli; stgi" : : : "memory");
}

static inline void place_rest(struct vcpu_backend *backend, uint64_t tsc)
{
    backend->entry.tsc_base = tsc - (uint64_t)backend->entry_cost;
    backend->entry_rip = backend->vmcb->rip;
    CHECK(!backend->vcpu->nested->flush_owed);
}

/* The VMCB holds them all. */
void svm_vcpu_gather(const struct vcpu *vcpu)
{
    (void)vcpu;
}

static __attribute__((noinline)) void enter_prepared(struct vcpu *vcpu, uint64_t tsc, uint64_t distance)
{
    bool comes_back = vcpu->attention && attend(vcpu, &distance);

    if (entry_refused(vcpu))
        return;
    vcpu->backend->after = (figures.shadow_lost && *vcpu->shadow & VCPU_SHADOW ? AFTER_SHADOW : 0) |
                           (vcpu->backend->nmi == NMI_IRET ? AFTER_IRET : 0);
    if (!comes_back && !oneshot_in_time(vcpu, vcpu->backend->entry_cost, distance)) {
        vcpu->backend->after |= AFTER_ARMED;
        vcpu->backend->entry.arm_count = oneshot_aim(vcpu, distance);
    }
    place_rest(vcpu->backend, tsc);
    enter_by.arming(&vcpu->backend->entry);
}

void svm_vcpu_enter(struct vcpu *vcpu, uint64_t tsc, uint64_t distance)
{
    if (__builtin_expect(vcpu->attention || !oneshot_in_time(vcpu, vcpu->backend->entry_cost, distance), 0)) {
        enter_prepared(vcpu, tsc, distance);
        return;
    }
    place_rest(vcpu->backend, tsc);
    enter_by.plain(&vcpu->backend->entry);
}

/* ---- for calibration ---- */

void svm_bare_set(struct vcpu *vcpu, const struct bare_setting *setting)
{
    struct vmcb *vmcb = vcpu->backend->vmcb;

    vmcb->intercept_exceptions |= setting->exceptions;
    if (setting->window) {
        vmcb->vintr |= VINTR_WINDOW;
        vmcb->intercept[0] |= SVM_VINTR;
    }
}

uint64_t svm_bare_run(struct vcpu *vcpu, const struct bare_setting *setting)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct svm_switch *state = &backend->entry;

    *vcpu->shadow = setting->shadow;
    backend->vmcb->event_inject = setting->inject ? EVENT_VALID | setting->vector : 0;
    if (setting->cold) {
        backend->dirty = SVM_ALL_DIRTY;
        nested_owe_flush(vcpu->nested);
    }
    backend->vmcb->clean = svm_all_clean & ~backend->dirty;
    backend->dirty = 0;
    backend->entry_cost = 0;
    place_flush(vcpu);
    state->tsc_base = 0;
    state->arm_count = setting->arm_count;
    backend->after = setting->arm_count ? AFTER_ARMED : 0;
    svm_vcpu_hold_host();
    __asm__ volatile("call *%1"
                     : "+D"(state)
                     : "a"(enter_by.arming)
                     : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc",
                       "memory");
    svm_vcpu_release_host();
    backend->vmcb->event_inject = 0;
    return backend->entry.t1 - backend->entry.t0;
}
