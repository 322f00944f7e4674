/* The guest-visible trace of test builds; the contract is in hv/guest_trace.h. */
#include "hv/guest_trace.h"
#include "arch/x86/api/debug_port.h"
#include "hv/exits.h"
#include "lib/fmt.h"

#define LINE       256u
#define PAGE_SIZE  4096u
#define PAGE_WORDS (PAGE_SIZE / sizeof(uint64_t))
/* The others are what an instruction left, and several leave some undefined. */
#define FLAGS_SHOWN (RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_VM)
#define RFLAGS_DF   BIT64(10)
#define RFLAGS_VM   BIT64(17)
#define FNV_START   UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME   UINT64_C(0x100000001B3)

/* The guest before the event. */
static struct {
    uint64_t guest_cycles, rip, gpr[REG_COUNT];
    uint32_t registers;
} before;

/* FNV-1a, by words instead of bytes. */
static uint64_t checksum(uint64_t sum, const uint64_t *words, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        sum = (sum ^ words[i]) * FNV_PRIME;
    return sum;
}

void guest_trace_take(const struct vm *vm)
{
    vcpu_gather(&vm->vcpu);
    for (unsigned i = 0; i < REG_COUNT; i++)
        before.gpr[i] = *vm->vcpu.gpr[i];
    const uint64_t rest[] = {*vm->vcpu.rip, *vm->vcpu.rflags & FLAGS_SHOWN};
    uint64_t sum = checksum(checksum(FNV_START, before.gpr, REG_COUNT), rest, ARRAY_SIZE(rest));

    before.guest_cycles = vm->clock.now;
    before.rip = *vm->vcpu.rip;
    before.registers = (uint32_t)(sum >> 32 ^ sum);
}

void guest_trace_put(const struct vm *vm, const char *event, unsigned count, const uint64_t *arguments)
{
    char line[LINE];
    size_t length = fmt_snprintf(line, sizeof line, "~%u %llu %llx %x %s", vm->id,
                                 (unsigned long long)before.guest_cycles, (unsigned long long)before.rip,
                                 before.registers, event);

    for (unsigned i = 0; i < count; i++)
        length +=
            fmt_snprintf(line + length, sizeof line - length, " %llx", (unsigned long long)arguments[i]);
    line[length++] = '\n';
    host_debug_write(line, length);
}

/* The low half of a register before the event, and now. */
static uint64_t had(unsigned reg)
{
    return (uint32_t)before.gpr[reg];
}

static uint64_t has(const struct vm *vm, unsigned reg)
{
    return (uint32_t)*vm->vcpu.gpr[reg];
}

static void put_port(const struct vm *vm)
{
    const struct exit *exit = &vm->vcpu.exit;
    uint64_t mask = exit->port.width < 4 ? BIT64(8 * exit->port.width) - 1 : UINT32_MAX;
    uint64_t value = (exit->port.in ? has(vm, REG_RAX) : had(REG_RAX)) & mask;

    guest_trace_access(vm, exit->port.in ? "in" : "out", exit->port.port, exit->port.width, value);
}

static void put_cpuid(const struct vm *vm)
{
    const uint64_t arguments[] = {had(REG_RAX),     had(REG_RCX),     has(vm, REG_RAX),
                                  has(vm, REG_RBX), has(vm, REG_RCX), has(vm, REG_RDX)};

    guest_trace_put(vm, "cpuid", ARRAY_SIZE(arguments), arguments);
}

static void put_msr(const struct vm *vm, const char *event)
{
    const uint64_t arguments[] = {had(REG_RCX), has(vm, REG_RDX) << 32 | has(vm, REG_RAX)};

    guest_trace_put(vm, event, ARRAY_SIZE(arguments), arguments);
}

/* What reaches the guest otherwise, by guest_trace_access() and guest_trace_raise(), or not at all. */
static bool is_silent(enum exit_kind kind)
{
    return kind == EXIT_HOST_INTERRUPT || kind == EXIT_HOST_NMI || kind == EXIT_WINDOW ||
           kind == EXIT_NMI_WINDOW || kind == EXIT_MEMORY || kind == EXIT_STRING_IO || kind == EXIT_EXCEPTION;
}

void guest_trace_put_exit(const struct vm *vm)
{
    switch (vm->vcpu.exit.kind) {
    case EXIT_PORT:
        put_port(vm);
        break;
    case EXIT_CPUID:
        put_cpuid(vm);
        break;
    case EXIT_RDMSR:
        put_msr(vm, "rdmsr");
        break;
    case EXIT_WRMSR:
        put_msr(vm, "wrmsr");
        break;
    case EXIT_CR_WRITE:
        guest_trace_put(vm, "cr", 4,
                        (const uint64_t[]){vm->vcpu.exit.cr, vcpu_cr0(&vm->vcpu), vcpu_cr4(&vm->vcpu),
                                           vcpu_efer(&vm->vcpu)});
        break;
    default:
        if (!is_silent(vm->vcpu.exit.kind))
            guest_trace_put(vm, exit_kind_name(vm->vcpu.exit.kind), 0, NULL);
    }
}

/* The checksum of each page of RAM that isn't all zero. */
static void put_pages(const struct vm *vm, const struct memory_range *range)
{
    for (uint64_t at = range->start; at < range->end; at += PAGE_SIZE) {
        const uint64_t *page = (const uint64_t *)(const void *)(range->host + (at - range->start));
        uint64_t any = 0;

        for (unsigned i = 0; i < PAGE_WORDS; i++)
            any |= page[i];
        if (any)
            guest_trace_put(vm, "page", 2, (const uint64_t[]){at, checksum(FNV_START, page, PAGE_WORDS)});
    }
}

void guest_trace_put_end(const struct vm *vm)
{
    guest_trace_take(vm);
    for (unsigned i = 0; i < vm->memory.range_count; i++)
        if (vm->memory.ranges[i].kind == MEMORY_RAM)
            put_pages(vm, &vm->memory.ranges[i]);
    guest_trace_put(vm, vm->state == VM_ENDED ? "end" : "reset", 1, (const uint64_t[]){vm->code});
}
