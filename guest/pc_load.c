/* Power-on of the PC: clears its memory, loads the image, sets the vCPU. Runs at boot and at each reset. */
#include "arch/x86/api/per_cpu.h"
#include "arch/x86/api/phys.h"
#include "boot/boot_info.h"
#include "guest/module_string.h"
#include "guest/pc_internal.h"
#include "lib/crc32.h"
#include "lib/fmt.h"
#include "lib/log.h"
#include "lib/string.h"

extern const uint8_t clock_guest_start[], clock_guest_end[];

#define ATTRIBUTES_FROM_DESCRIPTOR(a) ((uint16_t)(((a)&0xFF) | ((a) >> 4 & 0xF00)))
#define TR_BUSY_32                    0x8B
#define LDTR_PRESENT                  0x82
#define SEGMENT_RESET_LIMIT           0xFFFF

static struct vcpu_segment to_vcpu_segment(const struct load_segment *from)
{
    return (struct vcpu_segment){from->base, from->limit, from->selector,
                                 ATTRIBUTES_FROM_DESCRIPTOR(from->attributes)};
}

static void set_cpu(struct vcpu *vcpu, const struct load_cpu *cpu)
{
    struct vcpu_control control;

    vcpu_get_control(vcpu, &control);
    control.cr0 = cpu->cr0;
    control.cr3 = cpu->cr3;
    control.cr4 = cpu->cr4;
    control.efer = cpu->efer;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        control.segments[i] = to_vcpu_segment(&cpu->data);
    control.segments[SEGMENT_CS] = to_vcpu_segment(&cpu->cs);
    control.segments[SEGMENT_TR] = to_vcpu_segment(&cpu->tr);
    control.segments[SEGMENT_LDTR] = (struct vcpu_segment){0, SEGMENT_RESET_LIMIT, 0, LDTR_PRESENT};
    control.gdtr = (struct vcpu_table){cpu->gdt_base, cpu->gdt_limit};
    control.idtr = (struct vcpu_table){0, 0};
    vcpu_set_control(vcpu, &control);
    *vcpu->rip = cpu->rip;
    *vcpu->rflags = cpu->rflags | 2;
    *vcpu->gpr[REG_RSP] = cpu->rsp;
    *vcpu->gpr[REG_RAX] = cpu->rax;
    *vcpu->gpr[REG_RBX] = cpu->rbx;
    *vcpu->gpr[REG_RSI] = cpu->rsi;
}

/* A module's bytes, after a check that they are still those of the boot. */
static bool module_bytes(const struct pc *pc, unsigned index, const uint8_t **data, uint64_t *size)
{
    const struct boot_module *module = &pc->boot->modules[index];

    *data = phys_to_virt(module->base);
    *size = module->size;
    if (crc32(0, *data, *size) == module->crc32)
        return true;
    log_error("%s: module %u changed since boot (checksum)", pc->vm.name, index);
    return false;
}

/* The name of a module, for the log and for Multiboot's command line. */
static const char *name_of(const char *string)
{
    static PER_CPU char name[128];
    size_t length;
    const char *start = module_name(string, &length);

    fmt_snprintf(name, sizeof name, "%.*s", (int)MIN(length, sizeof name - 1), start);
    return load_base_name(name);
}

static bool fill_request(const struct pc *pc, struct load_request *request, struct load_module *modules)
{
    const struct guest_plan *plan = pc->plan;

    *request = (struct load_request){.command_line = plan->command_line, .modules = modules};
    if (plan->kernel == PLAN_BUILTIN) {
        request->name = "clock guest";
        request->image = clock_guest_start;
        request->image_size = (uint64_t)(clock_guest_end - clock_guest_start);
        return true;
    }
    request->name = name_of(pc->boot->modules[plan->kernel].string);
    if (!module_bytes(pc, (unsigned)plan->kernel, &request->image, &request->image_size))
        return false;
    for (unsigned i = 0; i < plan->initrd_count; i++) {
        struct load_module *module = &modules[request->module_count++];

        if (!module_bytes(pc, plan->initrds[i].module, &module->data, &module->size))
            return false;
        module->text = plan->initrds[i].string;
    }
    return true;
}

static void choose_halt_verdict(struct pc *pc, enum load_protocol protocol)
{
    enum guest_onhalt onhalt = (enum guest_onhalt)pc->plan->settings.onhalt;

    pc->vm.policy.halt_ok = onhalt == GUEST_ONHALT_AUTO ? protocol == LOAD_LINUX : onhalt == GUEST_ONHALT_OK;
}

static void clear_ram(struct guest_memory *memory)
{
    for (unsigned i = 0; i < memory->slot_count; i++)
        if (memory->slots[i].kind == MEMORY_RAM)
            memset(memory->slots[i].host, 0, memory->slots[i].length);
}

bool pc_load(struct pc *pc, bool first)
{
    static PER_CPU struct load_result result; /* large */
    struct load_module modules[PLAN_INITRDS];
    struct load_request request;

    if (!first)
        clear_ram(&pc->vm.memory);
    if (!fill_request(pc, &request, modules))
        return false;
    if (!load_image(&pc->vm.memory, &request, &result)) {
        log_error("%s: %s: %s", pc->vm.name, load_base_name(request.name), result.error_text);
        return false;
    }
    set_cpu(&pc->vm.vcpu, &result.cpu);
    choose_halt_verdict(pc, result.protocol);
    if (first)
        log_info("%s: %s, %llu MB, clock=guest idle=%s", pc->vm.name, result.description,
                 (unsigned long long)pc->plan->settings.mem_bytes >> 20,
                 pc->vm.policy.idle_skip ? "skip" : "wait");
    return true;
}
