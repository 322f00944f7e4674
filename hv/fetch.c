/* Guest instruction bytes; the contract is in fetch.h. */
#include "hv/fetch.h"
#include "arch/x86/decode/insn.h"
#include "hv/translate.h"
#include "hv/vm.h"
#include "lib/string.h"

#define PAGE    4096u
#define NOTHING UINT64_MAX

void fetch_forget(struct fetch_cache *cache)
{
    cache->page = NOTHING;
}

uint64_t fetch_linear(const struct vm *vm, unsigned offset)
{
    uint64_t linear = *vm->vcpu.rip + vcpu_cs_base(&vm->vcpu) + offset;

    return vcpu_in_64bit_code(&vm->vcpu) ? linear : (uint32_t)linear;
}

static bool cached(const struct vm *vm, uint64_t page)
{
    const struct fetch_cache *cache = &vm->fetch;

    if (cache->page != page || cache->cr3 != vcpu_cr3(&vm->vcpu) || !vcpu_in_64bit_code(&vm->vcpu))
        return false;
    for (unsigned i = 0; i < cache->levels; i++)
        if (*cache->entry[i] != cache->value[i])
            return false;
    return true;
}

/* The host address of the byte at `linear`, NULL when it isn't in RAM or not executable. */
static const uint8_t *locate(struct vm *vm, uint64_t linear)
{
    struct fetch_cache *cache = &vm->fetch;
    uint64_t page = ALIGN_DOWN(linear, (uint64_t)PAGE);
    struct walk_result result;

    if (cached(vm, page))
        return cache->host + (linear - page);
    cache->page = NOTHING;
    if (translate_fetch(vm, page, &result) != WALK_OK)
        return NULL;
    const uint8_t *host = guest_mem_map(&vm->memory, result.gpa, PAGE);
    if (!host)
        return NULL;
    if (cache->levels <= FETCH_LEVELS && vcpu_in_64bit_code(&vm->vcpu)) {
        cache->page = page;
        cache->cr3 = vcpu_cr3(&vm->vcpu);
        cache->host = host;
        for (unsigned i = 0; i < cache->levels; i++)
            cache->value[i] = *cache->entry[i];
    }
    return host + (linear - page);
}

unsigned fetch_instruction(struct vm *vm, uint8_t bytes[15])
{
    uint64_t linear = fetch_linear(vm, 0);
    unsigned first = (unsigned)MIN(PAGE - (linear & (PAGE - 1)), UINT64_C(15));
    const uint8_t *host = locate(vm, linear);

    if (!host)
        return 0;
    memcpy(bytes, host, first);
    if (first == 15)
        return 15;
    host = locate(vm, linear + first);
    if (!host)
        return first;
    memcpy(bytes + first, host, 15 - first);
    return 15;
}

static enum insn_mode mode_of(const struct vm *vm)
{
    if (vcpu_in_64bit_code(&vm->vcpu))
        return INSN_MODE_64;
    return vcpu_in_32bit_code(&vm->vcpu) ? INSN_MODE_32 : INSN_MODE_16;
}

/* Has the vCPU remember the instruction at `linear`, if what led there is known. */
static void remember(struct vm *vm, uint64_t linear, unsigned length)
{
    const struct fetch_cache *cache = &vm->fetch;
    struct instruction_memo *memo = &vm->vcpu.memo;
    uint64_t offset = linear - cache->page;

    memo->rip = INSTRUCTION_MEMO_NONE;
    if (cache->page == NOTHING || offset > PAGE - sizeof memo->bytes || length > sizeof memo->bytes)
        return;
    memo->cr3 = cache->cr3;
    for (unsigned i = 0; i < INSTRUCTION_MEMO_LEVELS; i++) {
        unsigned level = i < cache->levels ? i : 0;

        memo->entry[i] = cache->entry[level];
        memo->value[i] = cache->value[level];
    }
    memo->host = cache->host + offset;
    memcpy(&memo->bytes, memo->host, sizeof memo->bytes);
    memo->length = length;
    memo->rip = *vm->vcpu.rip;
}

unsigned fetch_instruction_length(struct vm *vm)
{
    uint8_t bytes[15];
    unsigned count = fetch_instruction(vm, bytes);
    unsigned length = count ? insn_next_length(bytes, count, mode_of(vm)) : 0;

    if (length)
        remember(vm, fetch_linear(vm, 0), length);
    return length;
}

bool fetch_cr_operand(struct vm *vm, uint64_t *value)
{
    const uint64_t machine_status = 0xF; /* what LMSW writes of CR0: PE (which it can't clear), MP, EM, TS */
    struct insn insn;
    uint8_t bytes[15];
    unsigned count = fetch_instruction(vm, bytes);

    if (!count || insn_decode(bytes, count, mode_of(vm), &insn) != INSN_OK || insn.map != INSN_MAP_0F ||
        insn.has_memory)
        return false;
    uint64_t operand = *vm->vcpu.gpr[insn.rm & 15];
    if (insn.opcode == 0x22) {
        *value = vcpu_in_64bit_code(&vm->vcpu) ? operand : (uint32_t)operand;
        return true;
    }
    if (insn.opcode == 0x01 && (insn.reg & 7) == 6) {
        uint64_t cr0 = vcpu_cr0(&vm->vcpu);

        *value = (cr0 & ~machine_status) | (operand & machine_status) | (cr0 & 1);
        return true;
    }
    return false;
}
