/* A source of NMIs for test builds: see README.md here. */
#include "hv/exits.h"
#include "hv/vm.h"

#define MAGIC 0x494D4E21u

static struct deadline sources[VMS_MAX];

static void fire(void *opaque, uint64_t when)
{
    (void)when;
    vm_raise_nmi(opaque);
}

enum handled handle_hypercall(struct vm *vm)
{
    struct deadline *source = &sources[vm->id];

    if ((uint32_t)*vm->vcpu.gpr[REG_RAX] != MAGIC)
        return HANDLED_SKIP;
    if (!source->fire)
        deadline_init(source, &vm->clock.deadlines, fire, vm, "nmi");
    deadline_set(source, vm->clock.now + (uint32_t)*vm->vcpu.gpr[REG_RBX]);
    return HANDLED_SKIP;
}
