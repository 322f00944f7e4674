/* clang-format never settles on the macro lists here. */
/* clang-format off */
/* The hostile guest: operations (ops.asm), one random step (steps.c), the one-shot nasties (nasty.c). */
#ifndef GUEST_HOSTILE_H
#define GUEST_HOSTILE_H

#include "tests/guests/lib/guest.h"

struct hostile {
    uint64_t random; /* generator state */
    bool bare;       /* on bare QEMU: keep off what would really break the machine */
    bool verbose;
    bool deadly; /* operations that may reset or crash the guest are allowed */
    bool exits;  /* and those that end it for good: port f4h, a HLT with interrupts off */
    uint64_t exceptions[32], interrupts, debug_traps, ops[16];
};

/* One random operation. */
void hostile_step(struct hostile *h);
/* True when the command line named a nasty and it came back; *passed says how. */
bool nasty_run(bool *passed);

uint64_t op_rdmsr(uint32_t msr);
void op_wrmsr(uint32_t msr, uint64_t value);
void op_in(uint32_t port, unsigned width);
void op_out(uint32_t port, unsigned width, uint32_t value);
void op_string_io(uint32_t port, unsigned form, uint32_t count, void *buffer);
void op_cpuid(uint32_t leaf, uint32_t subleaf);
void op_invlpg(uint64_t address);
void op_popf(uint64_t flags);
void op_window(void);
#define REGISTER_OPS(name)                                                                                   \
    uint64_t op_read_##name(void);                                                                           \
    void op_write_##name(uint64_t value);
REGISTER_OPS(cr0)
REGISTER_OPS(cr2)
REGISTER_OPS(cr3)
REGISTER_OPS(cr4)
REGISTER_OPS(cr8) REGISTER_OPS(dr0) REGISTER_OPS(dr3) REGISTER_OPS(dr4) REGISTER_OPS(dr6) REGISTER_OPS(dr7)
    __attribute__((noreturn)) void end_triple_fault(void);
__attribute__((noreturn)) void end_cli_hlt(void);
__attribute__((noreturn)) void end_masked_hlt(void);
__attribute__((noreturn)) void storm_ud(void);

#endif
