/* Illegal guest states by number, for test builds: see README.md here. */
#include "hv/exits.h"
#include "hv/vm.h"
#include "lib/log.h"

#define MAGIC 0x53504F49u

enum where { CONTROL, RIP, RFLAGS, EVENT };

/* `width` bytes at `offset` of the control state (or what `where` says) get `value`; `xor` flips its bits
 * instead. */
struct spoil {
    const char *name;
    enum where where;
    bool flip;
    size_t offset, width;
    uint64_t value;
};

#define FIELD(name)                                                                                          \
    CONTROL, false, offsetof(struct vcpu_control, name), sizeof(((struct vcpu_control *)0)->name)
#define FLIP(name)                                                                                           \
    CONTROL, true, offsetof(struct vcpu_control, name), sizeof(((struct vcpu_control *)0)->name)
#define SEGMENT(which, member) FIELD(segments[SEGMENT_##which].member)

static const struct spoil spoils[] = {
    {"nothing", FLIP(cr0), 0},
    {"cr0-pg-without-pe", FLIP(cr0), BIT64(0)},
    {"cr0-no-pg", FLIP(cr0), BIT64(31)},
    {"cr0-nw-without-cd", FLIP(cr0), BIT64(29)},
    {"cr0-high", FLIP(cr0), BIT64(32)},
    {"cr3-beyond", FLIP(cr3), BIT64(51)},
    {"cr4-no-pae", FLIP(cr4), BIT64(5)},
    {"cr4-reserved", FLIP(cr4), BIT64(31)},
    {"cr4-high", FLIP(cr4), BIT64(40)},
    {"efer-reserved", FLIP(efer), BIT64(1)},
    {"efer-no-lme", FLIP(efer), BIT64(8)},
    {"efer-no-lma", FLIP(efer), BIT64(10)},
    {"dr7-high", FLIP(dr7), BIT64(32)},
    {"cs-unusable", SEGMENT(CS, attributes), 0},
    {"cs-data", SEGMENT(CS, attributes), 0xC97},
    {"cs-system", SEGMENT(CS, attributes), 0xA8B},
    {"cs-not-present", SEGMENT(CS, attributes), 0xA1B},
    {"cs-long-and-32", SEGMENT(CS, attributes), 0xE9B},
    {"cs-dpl-3", SEGMENT(CS, attributes), 0xAFB},
    {"cs-conforming-dpl-3", SEGMENT(CS, attributes), 0xAFF},
    {"cs-base-high", SEGMENT(CS, base), BIT64(32)},
    {"cs-limit", SEGMENT(CS, limit), 0xFFFFE},
    {"ss-code", SEGMENT(SS, attributes), 0xC9B},
    {"ss-base-high", SEGMENT(SS, base), BIT64(33)},
    {"ds-not-accessed", SEGMENT(DS, attributes), 0xC92},
    {"es-execute-only", SEGMENT(ES, attributes), 0xC99},
    {"fs-not-canonical", SEGMENT(FS, base), BIT64(47)},
    {"gs-not-canonical", SEGMENT(GS, base), BIT64(63)},
    {"tr-unusable", SEGMENT(TR, attributes), 0},
    {"tr-available", SEGMENT(TR, attributes), 0x89},
    {"tr-16-bit", SEGMENT(TR, attributes), 0x83},
    {"tr-of-ldt", SEGMENT(TR, selector), 0x1C},
    {"tr-not-canonical", SEGMENT(TR, base), BIT64(47)},
    {"ldtr-no-ldt", SEGMENT(LDTR, attributes), 0x83},
    {"gdtr-not-canonical", FIELD(gdtr.base), BIT64(47)},
    {"gdtr-limit", FIELD(gdtr.limit), 0x10000},
    {"idtr-not-canonical", FIELD(idtr.base), BIT64(50)},
    {"idtr-limit", FIELD(idtr.limit), 0x12345},
    {"rip-not-canonical", RIP, false, 0, 0, BIT64(47)},
    {"rflags-vm", RFLAGS, true, 0, 0, BIT64(17)},
    {"rflags-reserved", RFLAGS, true, 0, 0, BIT64(15)},
    {"rflags-no-bit-1", RFLAGS, true, 0, 0, BIT64(1)},
    {"event-vector", EVENT, false, 0, 0, 0x320},
    {"event-type", EVENT, false, 0, 0, 0x120},
    {"event-external-masked", EVENT, false, 0, 0, 0x020},
};

static void spoil_control(struct vm *vm, const struct spoil *spoil)
{
    struct vcpu_control control;
    uint64_t value = 0;

    vcpu_get_control(&vm->vcpu, &control);
    __builtin_memcpy(&value, (uint8_t *)&control + spoil->offset, spoil->width);
    value = spoil->flip ? value ^ spoil->value : spoil->value;
    __builtin_memcpy((uint8_t *)&control + spoil->offset, &value, spoil->width);
    vcpu_set_control(&vm->vcpu, &control);
}

enum handled handle_hypercall(struct vm *vm)
{
    uint64_t number = *vm->vcpu.gpr[3];

    if ((uint32_t)*vm->vcpu.gpr[REG_RAX] != MAGIC || number >= ARRAY_SIZE(spoils))
        return HANDLED_SKIP;
    const struct spoil *spoil = &spoils[number];
    log_info("%s: spoil %u: %s", vm->name, (unsigned)number, spoil->name);
    vm_complete_instruction(vm, 3);
    switch (spoil->where) {
    case CONTROL:
        spoil_control(vm, spoil);
        break;
    case RIP:
        *vm->vcpu.rip = spoil->value;
        break;
    case RFLAGS:
        *vm->vcpu.rflags ^= spoil->value;
        break;
    case EVENT:
        *vm->vcpu.rflags &= ~BIT64(9);
        vcpu_inject(&vm->vcpu, (struct vcpu_event){.vector = (uint8_t)spoil->value,
                                                   .type = (uint8_t)(spoil->value >> 8)});
        break;
    }
    vcpu_check_at_entry(&vm->vcpu);
    return HANDLED_RESUME;
}
