/* The PC as a VM: creation, reset, and what the run loop asks of it. Contract: pc.h and hv/vm.h (struct
 * vm_ops). */
#include "guest/pc.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/phys.h"
#include "guest/pc_internal.h"
#include "hv/exits.h"
#include "lib/log.h"
#include "lib/string.h"

#define CMOS_USER_FIRST 0x38 /* behind what firmware and operating systems share */

static uint8_t interrupt_ack(struct vm *vm)
{
    return i8259_ack(&pc_of(vm)->pic);
}

static bool can_interrupt(struct vm *vm)
{
    return i8259_can_interrupt(&pc_of(vm)->pic);
}

static bool nmi_masked(struct vm *vm)
{
    return mc146818_nmi_masked(&pc_of(vm)->rtc);
}

static enum handled give_cpuid(uint64_t *const *gpr, const uint32_t *out)
{
    *gpr[REG_RAX] = out[CPUID_EAX];
    *gpr[REG_RBX] = out[CPUID_EBX];
    *gpr[REG_RCX] = out[CPUID_ECX];
    *gpr[REG_RDX] = out[CPUID_EDX];
    return HANDLED_SKIP;
}

static __attribute__((noinline)) enum handled do_live_cpuid(struct vm *vm)
{
    uint64_t *const *gpr = vm->vcpu.gpr;
    uint32_t out[4];

    cpuid_lookup(&pc_of(vm)->cpuid, (uint32_t)*gpr[REG_RAX], (uint32_t)*gpr[REG_RCX], vcpu_cr4(&vm->vcpu),
                 vcpu_xcr0(&vm->vcpu), out);
    return give_cpuid(gpr, out);
}

static enum handled do_cpuid(struct vm *vm)
{
    const uint32_t *out = cpuid_constant(&pc_of(vm)->cpuid, (uint32_t)*vm->vcpu.gpr[REG_RAX]);

    return __builtin_expect(out != NULL, 1) ? give_cpuid(vm->vcpu.gpr, out) : do_live_cpuid(vm);
}

static enum handled refuse(struct vm *vm)
{
    vm_raise(vm, VECTOR_GP, true, 0);
    return HANDLED_RESUME;
}

static __attribute__((noinline)) enum handled do_other_rdmsr(struct vm *vm, uint32_t index)
{
    const struct pc *pc = pc_of(vm);
    uint64_t value;

    switch (msr_policy_read(&pc->msr_policy, &pc->msr_slots, index, &value)) {
    case MSR_DONE:
        break;
    case MSR_ON_VCPU:
        vcpu_read_msr(&vm->vcpu, index);
        return HANDLED_SKIP;
    case MSR_ON_TSC:
        value = vm->clock.now + vm->tsc_bias;
        break;
    default:
        return refuse(vm);
    }
    *vm->vcpu.gpr[REG_RAX] = (uint32_t)value;
    *vm->vcpu.gpr[REG_RDX] = value >> 32;
    return HANDLED_SKIP;
}

static enum handled do_rdmsr(struct vm *vm)
{
    uint32_t index = (uint32_t)*vm->vcpu.gpr[REG_RCX];

    _Static_assert(HANDLED_SKIP == VCPU_DONE, "what vcpu_read_msr() returns is the verdict");
    if (__builtin_expect(msr_policy_in_vcpu(&pc_of(vm)->msr_policy, index), 1))
        return (enum handled)vcpu_read_msr(&vm->vcpu, index);
    return do_other_rdmsr(vm, index);
}

static enum handled do_wrmsr(struct vm *vm)
{
    struct pc *pc = pc_of(vm);
    uint32_t index = (uint32_t)*vm->vcpu.gpr[REG_RCX];
    uint64_t value = *vm->vcpu.gpr[REG_RDX] << 32 | (uint32_t)*vm->vcpu.gpr[REG_RAX];

    switch (msr_policy_write(&pc->msr_policy, &pc->msr_slots, index, value)) {
    case MSR_DONE:
        return HANDLED_SKIP;
    case MSR_ON_VCPU:
        return vcpu_set_msr(&vm->vcpu, index, value) ? HANDLED_SKIP : refuse(vm);
    case MSR_ON_TSC:
        vm->tsc_bias = value - vm->clock.now;
        return HANDLED_SKIP;
    default:
        return refuse(vm);
    }
}

static void reset_devices(struct pc *pc)
{
    for (unsigned i = 0; i < pc->device_count; i++)
        pc->devices[i]->reset(pc->devices[i]->opaque);
    pc_set_cmos(pc);
    msr_slots_reset(&pc->msr_slots);
}

/* A guest's reset. The RTC's battery keeps its RAM, as in any PC; what firmware writes there is written
 * again. */
static bool reset(struct vm *vm)
{
    struct pc *pc = pc_of(vm);
    struct mc146818_state before = pc->rtc.state;

    reset_devices(pc);
    for (unsigned i = CMOS_USER_FIRST; i < MC146818_BYTES; i++)
        mc146818_set_cmos(&pc->rtc, i, before.cmos[i]);
    return pc_load(pc, false);
}

static size_t receive(struct vm *vm, const uint8_t *data, size_t length)
{
    struct pc *pc = pc_of(vm);

    return pc->plan->settings.input == GUEST_INPUT_KEYBOARD ? i8042_receive_key(&pc->i8042, data, length)
                                                            : uart16550_receive(&pc->com1, data, length);
}

static size_t screen(struct vm *vm, char *buffer, size_t size)
{
    return vga_text_screen(&pc_of(vm)->vga, buffer, size);
}

static const struct vm_ops pc_ops = {
    .interrupt_ack = interrupt_ack,
    .can_interrupt = can_interrupt,
    .nmi_masked = nmi_masked,
    .cpuid = do_cpuid,
    .rdmsr = do_rdmsr,
    .wrmsr = do_wrmsr,
    .reset = reset,
    .receive = receive,
    .screen = screen,
};

/* One piece of at most `wanted` bytes, from a 2 MB boundary, 1 GB where that helps; 0 when none of 2 MB is
 * free. */
static uint64_t take_piece(uint64_t wanted, uint64_t *size)
{
    uint64_t address = 0;

    for (*size = wanted; *size; *size = ALIGN_DOWN(*size / 2, (uint64_t)PAGE_SIZE_2M)) {
        if (*size >= PAGE_SIZE_1G)
            address = phys_alloc(*size, PAGE_SIZE_1G, true);
        if (!address)
            address = phys_alloc(*size, PAGE_SIZE_2M, true);
        if (address)
            return address;
    }
    return 0;
}

/* Gives the guest its RAM, in as few pieces as the host's memory allows, and maps it. */
static bool give_memory(struct pc *pc)
{
    struct vm *vm = &pc->vm;
    uint64_t left = pc->plan->settings.mem_bytes;

    while (left) {
        /* Asked first: what won't suffice is not cleared for nothing. */
        bool enough = left <= phys_free() && nested_tables_most(left) <= phys_free() - left;
        uint64_t size = 0, address = enough ? take_piece(left, &size) : 0;

        if (!address || !guest_mem_add_ram(&vm->memory, phys_to_virt(address), size)) {
            log_error("%s: %llu MB of memory wanted, %llu MB found, the largest free piece is %llu MB: set a "
                      "smaller mem=",
                      vm->name, (unsigned long long)pc->plan->settings.mem_bytes >> 20,
                      (unsigned long long)(vm->memory.ram_bytes + phys_free()) >> 20,
                      (unsigned long long)phys_largest_free() >> 20);
            return false;
        }
        left -= size;
    }
    nested_init(&vm->nested, vm->id + 1);
    for (unsigned i = 0; i < vm->memory.range_count; i++) {
        const struct memory_range *range = &vm->memory.ranges[i];

        nested_map(&vm->nested, range->start, virt_to_phys(range->host), range->end - range->start, true);
    }
    return true;
}

static void set_policy(struct vm *vm, const struct guest_settings *settings)
{
    vm->policy = (struct vm_policy){
        .idle_skip = settings->idle == GUEST_IDLE_SKIP,
        .restart_on_reset = settings->onreset == GUEST_ONRESET_RESTART,
        .machine_reset = settings->onreset == GUEST_ONRESET_MACHINE,
        .reset_on_crash = settings->oncrash == GUEST_ONCRASH_RESET,
        .keep_on_crash = settings->oncrash == GUEST_ONCRASH_KEEP,
        .resets_left = settings->resets ? settings->resets : UINT64_MAX,
    };
}

/* How much RAM such a guest-physical address reaches, beside the hole. */
static uint64_t addressable(unsigned phys_bits)
{
    return BIT64(phys_bits) - (MEMORY_HOLE_END - MEMORY_HOLE_START);
}

/* The CPU that the guest sees, and what it may use; not more than the host has. */
static bool set_cpu(struct pc *pc)
{
    struct vm *vm = &pc->vm;
    unsigned level = pc->plan->settings.cpu.level;
    char what[CPUID_LACK_SIZE];

    if (level && cpuid_level_lacks(host_cpuid, level, what)) {
        log_error("%s: cpu=v%u: this CPU lacks %s: set cpu=host, or a lower level", vm->name, level, what);
        return false;
    }
    cpuid_policy_build(&pc->cpuid,
                       &(struct cpuid_options){.source = host_cpuid, .level = level, .tsc_hz = vm->clock.hz});
    msr_policy_build(&pc->msr_policy, &pc->cpuid);
    vm->cr4_allowed = pc->cpuid.cr4_mask;
    vm->xcr0_allowed = pc->cpuid.xcr0_mask;
    vm->phys_bits = pc->cpuid.phys_bits;
    vm->amd = pc->cpuid.vendor == CPU_AMD;
    if (!level || pc->plan->settings.mem_bytes <= addressable(vm->phys_bits))
        return true;
    log_error("%s: cpu=v%u: its %u bits of physical address are for %llu MB: set a smaller mem=, or cpu=host",
              vm->name, level, vm->phys_bits, (unsigned long long)addressable(vm->phys_bits) >> 20);
    return false;
}

bool pc_create(const struct plan *plan, unsigned index, const struct boot_info *boot)
{
    const struct guest_plan *guest = &plan->guests[index];
    const struct switch_costs *costs = vcpu_switch_costs();
    struct pc *pc = phys_alloc_own(sizeof *pc);
    struct vm *vm = &pc->vm;

    pc->plan = guest;
    pc->boot = boot;
    vm_init(vm, guest->name, index, host_tsc_hz(), &pc_ops, pc);
    vm->cpu = this_cpu()->id;
    set_policy(vm, &guest->settings);
    exits_set_charges(vm, guest->settings.charge_cycles);
    landing_init(&vm->landing, costs->spread, costs->instruction, plan->hv.exact == HV_EXACT_ON);
    if (!set_cpu(pc) || !give_memory(pc))
        return false;
    vcpu_create(&vm->vcpu, &vm->nested);
    pc_wire(pc);
    fetch_forget(&vm->fetch);
    reset_devices(pc);
    if (!pc_load(pc, true))
        return false;
    vms[vm_count++] = vm;
    return true;
}
