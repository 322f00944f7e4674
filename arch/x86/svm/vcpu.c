/*
 * The vCPU of SVM: creation, the run, the change of hands. Contract: api/vcpu.h. Source: AMD64 APM vol. 2 "Secure Virtual Machine".
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/paging.h"
#include "arch/x86/svm/backend.h"
#include "arch/x86/svm/svm.h"
#include "lib/string.h"

#ifdef VERGE_COUNT
struct hot_counts hot_counts;
#endif

#define RFLAGS_RESERVED BIT64(1)
#define DR6_RESET 0xFFFF0FF0u
#define DR7_RESET 0x400u
#define PAT_RESET 0x0007040600070406u
#define XCR0_X87 BIT64(0)
#define MXCSR_RESET 0x1F80u
#define FCW_RESET 0x37Fu
/* How late a slice may end, so that its end need not be armed anew at each entry. Cycles. */
#define HOST_LIMIT_SLACK 20000u
/* Beyond this a distance bounds nothing (and must not overflow). */
#define DISTANCE_FAR (UINT64_C(1) << 62)

static const uint32_t intercept_word3 = SVM_INTR | SVM_NMI | SVM_INIT | SVM_CR0_SELECTIVE | SVM_RDPMC | SVM_CPUID | SVM_INVD | SVM_HLT |
                                        SVM_INVLPGA | SVM_IOIO | SVM_MSR | SVM_TASK_SWITCH | SVM_SHUTDOWN;
static const uint32_t intercept_word4 = SVM_VMRUN | SVM_VMMCALL | SVM_VMLOAD | SVM_VMSAVE | SVM_STGI | SVM_CLGI |
                                        SVM_SKINIT | SVM_WBINVD | SVM_MONITOR | SVM_MWAIT | SVM_MWAIT_ARMED |
                                        SVM_XSETBV | SVM_RDPRU;
/* #DB and #AC can loop in microcode and lock up the host; #MC is the host's. */
static const uint32_t intercept_exceptions = BIT(1) | BIT(17) | BIT(18);

static uint64_t recalibrations;

uint64_t vcpu_recalibrations(void)
{
    return recalibrations;
}

void vcpu_create(struct vcpu *vcpu, struct nested *nested)
{
    struct vcpu_backend *backend = phys_alloc_own(sizeof *backend);

    _Static_assert(sizeof *backend <= PAGE_SIZE, "vcpu_backend fits a page");
    vcpu->backend = backend;
    vcpu->gpr = backend->entry.gpr;
    vcpu->nested = nested;
    backend->vmcb = phys_alloc_own(sizeof(struct vmcb));
    backend->extended_state = phys_alloc_own(XSAVE_AREA_SIZE);
    backend->entry.vmcb = backend->vmcb;
    backend->entry.vmcb_pa = virt_to_phys(backend->vmcb);
    backend->entry.host_vmcb_pa = svm_host_vmcb();
    backend->entry.timer_register = host_lapic_initial_count();
    vcpu_reset(vcpu);
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

static void reset_extended_state(uint8_t *area)
{
    const uint16_t fcw = FCW_RESET;
    const uint32_t mxcsr = MXCSR_RESET;

    memset(area, 0, XSAVE_AREA_SIZE);
    memcpy(area, &fcw, sizeof fcw);
    memcpy(area + 24, &mxcsr, sizeof mxcsr);
}

void vcpu_reset(struct vcpu *vcpu)
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
    memset(vcpu->gpr, 0, REG_COUNT * sizeof vcpu->gpr[0]);
    vcpu->rip = 0;
    vcpu->rflags = RFLAGS_RESERVED;
    vcpu->shadow = vcpu->window = false;
    vcpu->event.valid = false;
    memset(backend->debug_registers, 0, sizeof backend->debug_registers);
    backend->xcr0 = XCR0_X87;
    backend->tsc_aux = 0;
    reset_extended_state(backend->extended_state);
    backend->clean = 0;
    backend->window = false;
    backend->new_hands = true;
}

static void save_hands(struct vcpu_backend *backend)
{
    HOT_COUNT(xsave);
    svm_save_extended(backend->extended_state);
    __asm__ volatile("mov %%db0, %0" : "=r"(backend->debug_registers[0]));
    __asm__ volatile("mov %%db1, %0" : "=r"(backend->debug_registers[1]));
    __asm__ volatile("mov %%db2, %0" : "=r"(backend->debug_registers[2]));
    __asm__ volatile("mov %%db3, %0" : "=r"(backend->debug_registers[3]));
    backend->tsc_aux = svm_read_tsc_aux();
}

static void load_hands(struct vcpu_backend *backend)
{
    HOT_COUNT(xsave);
    HOT_COUNT(wrmsr);
    svm_load_extended(backend->extended_state, backend->xcr0);
    __asm__ volatile("mov %0, %%db0" : : "r"(backend->debug_registers[0]));
    __asm__ volatile("mov %0, %%db1" : : "r"(backend->debug_registers[1]));
    __asm__ volatile("mov %0, %%db2" : : "r"(backend->debug_registers[2]));
    __asm__ volatile("mov %0, %%db3" : : "r"(backend->debug_registers[3]));
    svm_write_tsc_aux(backend->tsc_aux);
    backend->new_hands = true;
}

void vcpu_switch(struct vcpu *from, struct vcpu *to)
{
    if (from)
        save_hands(from->backend);
    load_hands(to->backend);
}

/* The timer's count for an entry that must come back sooner than the timer stands armed for. */
static uint32_t new_count(const struct run_limits *limits)
{
    struct oneshot *oneshot = &host_oneshot;
    uint64_t to_host_limit = limits->host_limit - limits->host_now;
    uint64_t run = limits->distance > limits->lead ? limits->distance - limits->lead : 1;

    if ((int64_t)to_host_limit < 0)
        to_host_limit = 0;
    oneshot->aimed = run <= to_host_limit;
    if (oneshot->fires_at != UINT64_MAX && oneshot->chased) {
        run -= run >> 3;
        oneshot->aimed = false;
    }
    oneshot->chased = oneshot->fires_at != UINT64_MAX;
    HOT_COUNT(lapic);
    return oneshot_count(MIN(run, to_host_limit) + oneshot->distance);
}

/* The timer stands armed for no later than these limits need: no monitor work can make it late, for it only brings it nearer. */
static inline bool armed_in_time(const struct run_limits *limits, uint64_t entry_cost)
{
    uint64_t fires_at = host_oneshot.fires_at;

    if (fires_at > limits->host_limit + HOST_LIMIT_SLACK)
        return false;
    return limits->distance > DISTANCE_FAR || fires_at <= limits->host_now + limits->distance + entry_cost;
}

static void prepare_flush(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;

    if (vcpu->nested->flush_owed)
        backend->vmcb->tlb_control = svm_features.flush_by_asid ? TLB_FLUSH_ASID : TLB_FLUSH_ALL;
    vcpu->nested->flush_owed = false;
    backend->new_hands = false;
    backend->clean = 0;
}

static inline void switch_world(struct vcpu *vcpu, uint64_t tsc, int64_t entry_cost, uint32_t arm_count)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct vmcb *vmcb = backend->vmcb;

    if (__builtin_expect(vcpu->nested->flush_owed || backend->new_hands, 0))
        prepare_flush(vcpu);
    backend->entry.tsc_base = tsc - (uint64_t)entry_cost;
    backend->entry.arm_count = arm_count;
    vmcb->rip = vcpu->rip;
    vmcb->rflags = vcpu->rflags;
    vmcb->rax = vcpu->gpr[REG_RAX];
    vmcb->rsp = vcpu->gpr[REG_RSP];
    vmcb->int_state = vcpu->shadow;
    vmcb->clean = backend->clean;
    backend->clean = svm_all_clean;
    svm_enter(&backend->entry);
    vmcb->tlb_control = TLB_FLUSH_NONE;
    vcpu->rip = vmcb->rip;
    vcpu->rflags = vmcb->rflags;
    vcpu->gpr[REG_RAX] = vmcb->rax;
    vcpu->gpr[REG_RSP] = vmcb->rsp;
    vcpu->shadow = vmcb->int_state & 1;
}

void svm_switch_world(struct vcpu *vcpu, uint64_t tsc, int64_t entry_cost, uint32_t arm_count)
{
    switch_world(vcpu, tsc, entry_cost, arm_count);
}

/*
 * The next entry delivers the event. Returns whether that entry comes back before the guest's next instruction: where an interrupt may be delivered
 * again later (QEMU keeps it as the CPU's pending exception, and takes that up when any timer of the machine ends a translation block's budget), an
 * interrupt of our own ends the entry right behind the delivery, which clears it. The guest's time doesn't see it.
 */
static bool set_event(struct vcpu *vcpu)
{
    struct vmcb *vmcb = vcpu->backend->vmcb;
    const struct vcpu_event *event = &vcpu->event;

    vmcb->event_inject = EVENT_VALID | event->vector | (uint64_t)event->type << EVENT_TYPE_SHIFT |
                         (event->has_error ? EVENT_ERROR_VALID | (uint64_t)event->error << 32 : 0);
    vcpu->event.valid = false;
    if (!svm_costs.event_repeats || event->type != EVENT_EXTERNAL)
        return false;
    host_lapic_interrupt_self();
    return true;
}

/* Asks for an exit when the guest can take an interrupt, or no longer. V_IRQ never delivers: VINTR is intercepted. */
static void set_window(struct vcpu_backend *backend, bool wanted)
{
    struct vmcb *vmcb = backend->vmcb;

    if (wanted) {
        vmcb->vintr |= VINTR_IRQ | UINT64_C(15) << VINTR_PRIORITY_SHIFT;
        vmcb->intercept[0] |= SVM_VINTR;
    } else {
        vmcb->vintr &= ~(VINTR_IRQ | UINT64_C(15) << VINTR_PRIORITY_SHIFT);
        vmcb->intercept[0] &= ~SVM_VINTR;
    }
    backend->window = wanted;
    backend->clean &= ~(CLEAN_INTERCEPTS | CLEAN_TPR);
}

/* The window's request, and what an interrupt shadow that the CPU would lose needs. */
static void prepare_window(struct vcpu *vcpu, struct run_limits *limits)
{
    if (vcpu->window && vcpu->shadow && svm_costs.shadow_lost) {
        set_window(vcpu->backend, false); /* one instruction instead, then the shadow is gone */
        limits->distance = 1;
        limits->lead = 0;
    } else {
        set_window(vcpu->backend, vcpu->window);
    }
}

/* Guest cycles of this run; lowers the class when the CPU was quicker than at boot. */
static inline uint64_t account(struct exit *exit, enum exit_class class, bool inject)
{
    int64_t overhead = svm_costs.entry[inject] + svm_costs.exit[class];
    uint64_t total = exit->left - exit->entered;

    if (__builtin_expect((int64_t)total < overhead, 0)) {
        svm_lower_cost(class, inject, total);
        recalibrations++;
        overhead = (int64_t)total;
    }
    exit->overhead = (uint64_t)overhead;
    return total - (uint64_t)overhead;
}

/* `count`: what this entry armed the timer with; 0 when it stood armed before, for whatever moment. */
static void take_host_interrupts(struct exit *exit, uint32_t count)
{
    struct cpu *cpu = this_cpu();

    cpu->timer_fired = false;
    cpu_open_interrupts();
    exit->timer = cpu->timer_fired;
    exit->aimed = exit->timer && count && host_oneshot.aimed;
}

void vcpu_run(struct vcpu *vcpu, struct run_limits *limits, struct exit *exit)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct vmcb *vmcb = backend->vmcb;
    bool inject = vcpu->event.valid;
    int64_t entry_cost = svm_costs.entry[inject];
    uint32_t count = 0;

    bool comes_back = inject && set_event(vcpu);
    if (__builtin_expect(vcpu->window | backend->window, 0))
        prepare_window(vcpu, limits);
    if (!comes_back && !armed_in_time(limits, (uint64_t)entry_cost))
        count = new_count(limits);
    switch_world(vcpu, limits->tsc, entry_cost, count);
    vmcb->event_inject = 0;

    exit->entered = backend->entry.t0;
    exit->left = backend->entry.t1;
    if (count)
        host_oneshot.fires_at = exit->entered + ratio_ceil(&host_oneshot.cycles_per_tick, count + 1u);
    exit->consumed = account(exit, svm_exit_class(vmcb), inject);
    exit->timer = false;
    svm_translate_exit(vcpu, exit);
    if (exit->kind == EXIT_HOST_INTERRUPT)
        take_host_interrupts(exit, count);
}
