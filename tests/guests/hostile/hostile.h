/* The hostile guest: operations (ops.asm), one random step (steps.c), the one-shot nasties (nasty.c),
 * mistakes that Verge once made (relapse.c). */
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
/* The same for a mistake that Verge once made. */
bool relapse_run(bool *passed);

uint64_t op_rdmsr(uint32_t msr);
void op_wrmsr(uint32_t msr, uint64_t value);
void op_in(uint32_t port, unsigned width);
void op_out(uint32_t port, unsigned width, uint32_t value);
void op_string_io(uint32_t port, unsigned form, uint32_t count, void *buffer);
void op_cpuid(uint32_t leaf, uint32_t subleaf);
void op_invlpg(uint64_t address);
void op_popf(uint64_t flags);
void op_window(void);
uint64_t op_read_cr0(void), op_read_cr2(void), op_read_cr3(void), op_read_cr4(void), op_read_cr8(void);
uint64_t op_read_dr0(void), op_read_dr3(void), op_read_dr4(void), op_read_dr6(void), op_read_dr7(void);
void op_write_cr0(uint64_t value), op_write_cr2(uint64_t value), op_write_cr3(uint64_t value),
    op_write_cr4(uint64_t value), op_write_cr8(uint64_t value);
void op_write_dr0(uint64_t value), op_write_dr3(uint64_t value), op_write_dr4(uint64_t value),
    op_write_dr6(uint64_t value), op_write_dr7(uint64_t value);

/* Memory forms, and instructions without an operand from outside: tables in ops.asm. */
extern void (*const memory_ops[])(uint64_t address, uint64_t value);
extern void (*const odd_ops[])(void);
extern const uint64_t memory_op_count, odd_op_count;

__attribute__((noreturn)) void end_triple_fault(void);
__attribute__((noreturn)) void end_cli_hlt(void);
__attribute__((noreturn)) void end_masked_hlt(void);
__attribute__((noreturn)) void storm_ud(void);

#endif
