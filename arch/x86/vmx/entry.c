/*
 * What leads up to an entry of VT-x: events, windows, flushes, the timers, and entering. Contract:
 * api/vcpu.h. What follows an exit is in exit.c. Source: Intel SDM vol. 3, "VM Entries", "VMX-Preemption
 * Timer".
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/host/oneshot.h"
#include "arch/x86/vmx/backend.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/log.h"

#define RFLAGS_TF     BIT64(8)
#define RFLAGS_IF     BIT64(9)
#define INVEPT_SINGLE 1u
#define INVEPT_ALL    2u
/* A run of more cycles is worth another exit on its way. */
#define HALF_THE_WAY 1000u

/* ---- what an entry needs beside entering ---- */

/* The entry delivers vcpu->event, or nothing. */
static void place_event(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct vcpu_event event = vcpu->event;

    backend->inject = event.valid;
    backend->entry_cost = figures.entry[event.valid];
    if (!event.valid)
        return;
    vmx_write(VMCS_ENTRY_EVENT, EVENT_VALID | event.vector | (uint32_t)event.type << EVENT_TYPE_SHIFT |
                                    (event.has_error ? EVENT_ERROR_VALID : 0));
    if (event.has_error)
        vmx_write(VMCS_ENTRY_EVENT_ERROR, event.error);
    vcpu->event.valid = false;
}

/* Asks for exits when the guest can take an interrupt (CPU_INTERRUPT_WINDOW) or an NMI, or no longer. */
static void place_windows(struct vcpu_backend *backend, uint32_t wanted)
{
    uint32_t controls = (backend->cpu_controls & ~(CPU_INTERRUPT_WINDOW | CPU_NMI_WINDOW)) | wanted;

    if (controls == backend->cpu_controls)
        return;
    backend->cpu_controls = controls;
    vmx_write(VMCS_CPU_CONTROLS, controls);
}

/*
 * CPUs are free to let an NMI window open in the shadow of STI, and to refuse an NMI there (SDM vol. 3
 * "NMI-Window Exiting", "Checks on Guest Non-Register State"): an NMI waits for an interrupt window there, or
 * for one instruction, where that one is CLI.
 */
static bool nmi_behind_sti(const struct vcpu *vcpu)
{
    return vcpu->nmi_window && vcpu->backend->shadow & SHADOW_STI;
}

static uint32_t windows_wanted(const struct vcpu *vcpu)
{
    bool behind_sti = nmi_behind_sti(vcpu);
    bool interrupt = vcpu->window || behind_sti, nmi = vcpu->nmi_window && !behind_sti;

    return (interrupt ? CPU_INTERRUPT_WINDOW : 0) | (nmi ? CPU_NMI_WINDOW : 0);
}

static void invept(uint64_t root)
{
    struct {
        uint64_t pointer, zero;
    } descriptor = {root, 0};
    uint64_t type = vmx_features.invept_single ? INVEPT_SINGLE : INVEPT_ALL;

    __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

static void invvpid(uint64_t vpid)
{
    struct {
        uint64_t vpid, address;
    } descriptor = {vpid, 0};

    __asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"(UINT64_C(1)) : "cc", "memory");
}

/* A flush that is owed, or none: of what was derived from the nested tables, and from the guest's own. */
static bool place_flush(struct vcpu *vcpu)
{
    if (!vcpu->nested->flush_owed)
        return false;
    invept(vmx_read(VMCS_EPT_POINTER));
    if (vmx_features.vpid)
        invvpid(vcpu->nested->tag);
    vcpu->nested->flush_owed = false;
    return true;
}

/* Attention stays on for one more entry where this one costs something else than a plain one. */
static __attribute__((noinline)) void attend(struct vcpu *vcpu)
{
    struct vcpu_backend *backend = vcpu->backend;

    place_event(vcpu);
    bool cold = place_flush(vcpu) || backend->cold;
    if (cold)
        backend->entry_cost += figures.cold;
    backend->cold = false;
    place_windows(backend, windows_wanted(vcpu));
    vcpu->attention = backend->inject || cold;
}

/* ---- the preemption timer ---- */

/*
 * The preemption timer ends this run: under timer=preempt every one, as the backstop those that a host
 * interrupt could not end, which begin with the guest's interrupts off.
 */
static inline bool preempts(const struct vcpu_backend *backend)
{
    return !(backend->rflags & preemption_timer.spared);
}

/* What it was last set for is not beyond what this run needs: it may end the run early, never late. */
static inline bool preemption_in_time(const struct vcpu_backend *backend, const struct vcpu *vcpu,
                                      uint64_t distance)
{
    int64_t to_host_limit = (int64_t)(vcpu->host_limit - vcpu->exit.left);

    return backend->held_run + vcpu->lead <= distance && (int64_t)backend->held_run <= to_host_limit;
}

static void set_preemption_timer(struct vcpu_backend *backend, uint64_t run)
{
    if (run == backend->held_run)
        return;
    backend->held_run = run;
    vmx_write(VMCS_PREEMPTION_TIMER, run == VMX_TIMER_RESTS ? UINT32_MAX : preemption_count(run));
}

/*
 * It counts from each entry anew. A guest that keeps exiting would have it set at each entry for a little
 * less than at the last: behind such an exit it is set for half the way.
 */
static void place_preemption_timer(struct vcpu_backend *backend, const struct vcpu *vcpu, uint64_t distance)
{
    uint64_t to_host_limit = oneshot_to_host_limit(vcpu);
    uint64_t run = distance - MIN(vcpu->lead, distance / VCPU_LEAD_SHARE);

    backend->aimed = run <= to_host_limit;
    backend->armed = true;
    run = MIN(run, to_host_limit);
    if (vcpu->exit.length && run > HALF_THE_WAY) {
        run /= 2;
        backend->aimed = false;
    }
    set_preemption_timer(backend, run);
}

/* ---- entering ---- */

#ifdef COUNT_VMCS_ACCESSES
#define COUNTED 1000u
unsigned vmx_accesses;

/* Reports, once for each kind of exit, how many VMREADs and VMWRITEs lie between that exit and the next
 * entry. */
static void count_accesses(enum exit_kind kind)
{
    static unsigned seen[EXIT_KINDS], least[EXIT_KINDS], most[EXIT_KINDS];
    unsigned accesses = vmx_accesses + 1; /* and the TSC offset */

    vmx_accesses = 0;
    least[kind] = seen[kind] ? MIN(least[kind], accesses) : accesses;
    most[kind] = MAX(most[kind], accesses);
    if (++seen[kind] == COUNTED)
        log_info("VMCS accesses: %s least=%u most=%u", exit_kind_name(kind), least[kind], most[kind]);
}
#else
static inline void count_accesses(enum exit_kind kind)
{
    (void)kind;
}
#endif

/* This CPU's entries that may arm the timer, by the way to do that. */
static PER_CPU struct arming_entries {
    void (*launch)(struct vmx_switch *state);
    void (*resume)(struct vmx_switch *state);
} enter_arming;

/* One that does not, for a VMCS that has been entered before. */
static PER_CPU void (*resume_unarmed)(struct vmx_switch *state);

void vmx_vcpu_arm_by(enum lapic_way way)
{
    static const struct arming_entries entries[] = {
        [LAPIC_BY_MEMORY] = {vmx_launch, vmx_resume},
        [LAPIC_BY_MSR] = {vmx_launch_x2apic, vmx_resume_x2apic},
        [LAPIC_BY_DEADLINE] = {vmx_launch_deadline, vmx_resume_deadline}};

    enter_arming = entries[way];
    resume_unarmed = vmx_resume_unarmed;
}

/* arm_count is 0 between two armings, so that the guarded entry serves as the unarmed one, too. */
void vmx_vcpu_use_guards(void)
{
    enter_arming.launch = vmx_launch_guarded;
    enter_arming.resume = resume_unarmed = vmx_resume_guarded;
}

/* The last entry by the monitor's word, not the CPU's: a VMLAUNCH that failed is followed by a reset or
 * nothing. */
static void (*launch_or_resume(struct vcpu_backend *backend))(struct vmx_switch *)
{
    bool launched = backend->launched;

    backend->launched = true;
    return launched ? enter_arming.resume : enter_arming.launch;
}

/* Whoever looked at another vCPU between two slices has made its VMCS the current one. */
void vmx_vcpu_hold_host(void)
{
    vmx_select_holder();
}

/* Interrupts are off in the monitor as they are. */
void vmx_vcpu_release_host(void)
{
}

/*
 * The interrupt shadow, and with it the pending single step that a VM entry wants to be told of (SDM vol. 3
 * "Checks on Guest Non-Register State"); without a shadow none is pending: a trap behind an instruction
 * that the monitor carried out is injected. NMIs stay blocked as they were.
 */
static void write_shadow(struct vcpu_backend *backend)
{
    uint64_t kind = backend->rflags & RFLAGS_IF ? SHADOW_STI : SHADOW_MOV_SS;
    bool shadow = backend->shadow & VCPU_SHADOW;

    vmx_write(VMCS_GUEST_SHADOW, (shadow ? kind : 0) | (backend->held_shadow & SHADOW_NMI));
    vmx_write(VMCS_GUEST_PENDING_DEBUG, shadow && backend->rflags & RFLAGS_TF ? PENDING_DEBUG_BS : 0);
}

/* Whoever changes these asks for attention. */
static inline bool registers_changed(const struct vcpu_backend *backend)
{
    return backend->rsp != backend->held_rsp || backend->rflags != backend->held_rflags;
}

static void write_registers(struct vcpu_backend *backend)
{
    if (backend->rsp != backend->held_rsp)
        vmx_write(VMCS_GUEST_RSP, backend->rsp);
    if (backend->rflags != backend->held_rflags)
        vmx_write(VMCS_GUEST_RFLAGS, backend->rflags);
    backend->held_rsp = backend->rsp; /* not read at each exit: what is old must not look new */
    if (backend->shadow != backend->held_shadow ||
        (backend->shadow & VCPU_SHADOW && backend->rflags != backend->held_rflags))
        write_shadow(backend);
}

static inline void write_rip(const struct vcpu_backend *backend)
{
    if (backend->rip != backend->held_rip)
        vmx_write(VMCS_GUEST_RIP, backend->rip);
}

static inline void place_rest(struct vcpu_backend *backend, uint64_t tsc)
{
    backend->entry.tsc_base = tsc - (uint64_t)backend->entry_cost;
    backend->entry_rip = backend->rip;
    CHECK(!backend->vcpu->nested->flush_owed && vmx_selected == backend->vcpu);
    count_accesses(backend->vcpu->exit.kind);
}

static __attribute__((noinline)) void enter_prepared(struct vcpu *vcpu, uint64_t tsc, uint64_t distance)
{
    struct vcpu_backend *backend = vcpu->backend;

    if (vcpu->attention)
        attend(vcpu);
    if (nmi_behind_sti(vcpu))
        distance = 1;
    write_registers(backend);
    write_rip(backend);
    if (entry_refused(vcpu))
        return;
    backend->shadow = backend->held_shadow = 0; /* the next exit says what has become of it */
    if (preempts(backend)) {
        if (!preemption_in_time(backend, vcpu, distance) || !vcpu->exit.length)
            place_preemption_timer(backend, vcpu, distance);
    } else {
        set_preemption_timer(backend, VMX_TIMER_RESTS);
        if (!oneshot_in_time(vcpu, backend->entry_cost, distance)) {
            backend->armed = true;
            backend->entry.arm_count = oneshot_aim(vcpu, distance);
        }
    }
    place_rest(backend, tsc);
    launch_or_resume(backend)(&backend->entry);
}

static inline bool timer_in_time(const struct vcpu_backend *backend, const struct vcpu *vcpu,
                                 uint64_t distance)
{
    if (preempts(backend))
        return preemption_in_time(backend, vcpu, distance);
    return backend->held_run == VMX_TIMER_RESTS && oneshot_in_time(vcpu, backend->entry_cost, distance);
}

/* Behind an exit that handed over an instruction nothing is to be done, mostly, but to enter. */
void vmx_vcpu_enter(struct vcpu *vcpu, uint64_t tsc, uint64_t distance)
{
    struct vcpu_backend *backend = vcpu->backend;

    if (__builtin_expect(vcpu->attention || !timer_in_time(backend, vcpu, distance), 0)) {
        enter_prepared(vcpu, tsc, distance);
        return;
    }
    CHECK(!registers_changed(backend) && !backend->shadow && !backend->held_shadow);
    write_rip(backend);
    place_rest(backend, tsc);
    resume_unarmed(&backend->entry); /* a first entry asks for attention */
}

/* ---- for calibration ---- */

void vmx_bare_set(struct vcpu *vcpu, const struct bare_setting *setting)
{
    vmx_select(vcpu);
    vmx_write(VMCS_EXCEPTIONS, VMX_EXCEPTIONS | setting->exceptions);
    place_windows(vcpu->backend, setting->window ? CPU_INTERRUPT_WINDOW : 0);
}

uint64_t vmx_bare_run(struct vcpu *vcpu, const struct bare_setting *setting)
{
    struct vcpu_backend *backend = vcpu->backend;
    struct vmx_switch *state = &backend->entry;

    vmx_select(vcpu);
    if (setting->cold)
        nested_owe_flush(vcpu->nested);
    if (preemption_timer.spared != PREEMPTION_UNUSED)
        vmx_write(VMCS_PREEMPTION_TIMER, setting->preemption_count ? setting->preemption_count : UINT32_MAX);
    place_flush(vcpu);
    backend->shadow = setting->shadow;
    backend->held_rsp = ~backend->rsp; /* the guest's own pushes aren't read */
    write_registers(backend);
    write_rip(backend);
    write_shadow(backend);
    backend->shadow = 0;
    vmx_write(VMCS_ENTRY_EVENT, setting->inject ? EVENT_VALID | setting->vector : 0);
    backend->entry_cost = 0;
    state->tsc_base = 0;
    state->arm_count = setting->arm_count;
    backend->armed = setting->arm_count;
    __asm__ volatile("call *%1"
                     : "+D"(state)
                     : "a"(launch_or_resume(backend))
                     : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc",
                       "memory");
    return backend->entry.t1 - backend->entry.t0;
}
