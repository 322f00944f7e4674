/* The guest's linear addresses; the contract is in translate.h. */
#include "hv/translate.h"

#define CR4_PAE     BIT64(5)
#define EFER_LMA    BIT64(10)
#define RFLAGS_AC   BIT64(18)
#define PDPT_BYTES  32u
#define NO_KEPT_GPA BIT64(63) /* above all memory */

struct walker {
    struct vm *vm;
    struct fetch_cache *remember; /* NULL: don't */
    uint64_t kept;                /* where the entries were loaded from that the CPU may keep */
};

static uint64_t read_entry(void *opaque, uint64_t gpa, unsigned size)
{
    struct walker *walker = opaque;
    uint64_t value = 0;

    if (gpa - walker->kept < PDPT_BYTES &&
        vcpu_kept_pdpte(&walker->vm->vcpu, (unsigned)(gpa - walker->kept) / 8, &value))
        return value;
    if (!guest_mem_read(&walker->vm->memory, gpa, &value, size))
        return UINT64_MAX;
    if (walker->remember) {
        struct fetch_cache *cache = walker->remember;
        const uint8_t *host = guest_mem_map(&walker->vm->memory, gpa, size);

        if (!host || size != 8 || cache->levels == FETCH_LEVELS) {
            walker->remember = NULL;
            cache->levels = FETCH_LEVELS + 1; /* not to be remembered */
        } else {
            cache->entry[cache->levels++] = (const uint64_t *)(const void *)host;
        }
    }
    return value;
}

static bool update_entry(void *opaque, uint64_t gpa, unsigned size, uint64_t expected, uint64_t desired)
{
    struct walker *walker = opaque;
    uint64_t value = 0;

    if (!guest_mem_read(&walker->vm->memory, gpa, &value, size))
        return true;
    if (value != expected)
        return false;
    guest_mem_write(&walker->vm->memory, gpa, &desired, size);
    return true;
}

static enum walk_status walk(struct walker *walker, uint64_t linear, enum walk_access access,
                             struct walk_result *result)
{
    const struct vcpu *vcpu = &walker->vm->vcpu;
    const struct walk_context context = {
        .cr0 = vcpu_cr0(vcpu),
        .cr3 = vcpu_cr3(vcpu),
        .cr4 = vcpu_cr4(vcpu),
        .efer = vcpu_efer(vcpu),
        .rflags_ac = *vcpu->rflags & RFLAGS_AC,
        .cpl = (uint8_t)vcpu_cpl(vcpu),
        .maxphyaddr = walker->vm->phys_bits,
        .global_bit_reserved = walker->vm->amd,
    };
    const struct walk_memory memory = {read_entry, update_entry, walker};
    bool pae = context.cr4 & CR4_PAE && !(context.efer & EFER_LMA);

    walker->kept = pae ? context.cr3 & 0xFFFFFFE0 : NO_KEPT_GPA;
    return guest_walk(&context, &memory, linear, access, result);
}

enum walk_status translate(struct vm *vm, uint64_t linear, enum walk_access access,
                           struct walk_result *result)
{
    struct walker walker = {.vm = vm};

    return walk(&walker, linear, access, result);
}

enum walk_status translate_fetch(struct vm *vm, uint64_t linear, struct walk_result *result)
{
    struct walker walker = {.vm = vm, .remember = &vm->fetch};

    vm->fetch.levels = 0;
    return walk(&walker, linear, WALK_EXECUTE, result);
}
