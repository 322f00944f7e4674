/*
 * The two machines of test_decode_exec.c: Unicorn, and the executor over a register file and a memory of its
 * own. Included by that test only.
 */
#ifndef TESTS_UNIT_EXEC_MACHINE_H
#define TESTS_UNIT_EXEC_MACHINE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>
#include "arch/x86/decode/insn_exec.h"
#include "lib/base.h"

#define MEMORY_SIZE  0x800000u /* all of the guest's memory, at linear address 0 */
#define CODE_BASE    0x600000u /* instructions live from here up, each at an address of its own */
#define CODE_BASE_16 0x1000u   /* real mode reaches only the first megabyte */
#define DATA_LIMIT   0x500000u
#define MAX_WRITES   64

static uint64_t random_state;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545F4914F6CDD1D);
}

static unsigned below(unsigned limit)
{
    return (unsigned)((random_number() >> 33) % limit);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- the two machines --------------------------------------------------------------------------------- */

struct writes {
    unsigned count;
    uint64_t address[MAX_WRITES];
    unsigned size[MAX_WRITES];
};

struct ports {
    uint32_t counter; /* an IN returns it, and each access moves it on */
    uint32_t sum;     /* of what was put out, by port and position */
};

struct machine {
    enum insn_mode mode;
    uc_engine *uc;
    uint8_t *their_memory;
    uint8_t *our_memory;
    struct writes their_writes;
    struct writes our_writes;
    struct ports their_ports;
    struct ports our_ports;
    uint32_t code;
};

static void note_write(struct writes *writes, uint64_t address, unsigned size)
{
    assert_true(writes->count < MAX_WRITES);
    writes->address[writes->count] = address;
    writes->size[writes->count++] = size;
}

static bool our_access(void *opaque, enum insn_access access, uint64_t linear, unsigned size, uint64_t *value,
                       struct insn_fault *fault)
{
    struct machine *machine = opaque;

    if (linear >= DATA_LIMIT - size || (machine->mode == INSN_MODE_16 && linear < CODE_BASE_16 + 0x1000)) {
        *fault = (struct insn_fault){.vector = INSN_VECTOR_PF, .has_error_code = true, .cr2 = linear};
        return false;
    }
    if (access == INSN_READ || access == INSN_READ_MODIFY) {
        *value = 0;
        memcpy(value, machine->our_memory + linear, size);
    } else if (access == INSN_WRITE) {
        memcpy(machine->our_memory + linear, value, size);
        note_write(&machine->our_writes, linear, size);
    }
    return true;
}

static uint32_t port_in(struct ports *ports, uint16_t port, unsigned size)
{
    uint32_t value = (ports->counter += 0x9E3779B9) ^ port;

    return size == 4 ? value : value & ((1u << 8 * size) - 1);
}

static void port_out(struct ports *ports, uint16_t port, unsigned size, uint32_t value)
{
    ports->sum = ports->sum * 31 + port + size + value;
}

static void our_port(void *opaque, bool is_in, uint16_t port, unsigned size, uint32_t *value)
{
    struct machine *machine = opaque;

    if (is_in)
        *value = port_in(&machine->our_ports, port, size);
    else
        port_out(&machine->our_ports, port, size, *value);
}

static void their_write(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value,
                        void *opaque)
{
    struct machine *machine = opaque;

    (void)uc;
    (void)type;
    (void)value;
    note_write(&machine->their_writes, address, (unsigned)size);
}

static uint32_t their_in(uc_engine *uc, uint32_t port, int size, void *opaque)
{
    struct machine *machine = opaque;

    (void)uc;
    return port_in(&machine->their_ports, (uint16_t)port, (unsigned)size);
}

static void their_out(uc_engine *uc, uint32_t port, int size, uint32_t value, void *opaque)
{
    struct machine *machine = opaque;

    (void)uc;
    port_out(&machine->their_ports, (uint16_t)port, (unsigned)size, value);
}

static void check(uc_err error)
{
    if (error != UC_ERR_OK)
        printf("Unicorn: %s\n", uc_strerror(error));
    assert_int_equal(error, UC_ERR_OK);
}

static void machine_open(struct machine *machine, enum insn_mode mode)
{
    static const uc_mode uc_modes[] = {UC_MODE_16, UC_MODE_32, UC_MODE_64};
    uc_hook hook;

    memset(machine, 0, sizeof(*machine));
    machine->mode = mode;
    machine->their_memory = aligned_alloc(4096, MEMORY_SIZE);
    machine->our_memory = malloc(MEMORY_SIZE);
    assert_non_null(machine->their_memory);
    assert_non_null(machine->our_memory);
    for (size_t i = 0; i < MEMORY_SIZE; i += 8) {
        uint64_t value =
            i & 0x1000 ? random_number() : 0; /* every other page is zeros: comparisons must hit, too */
        memcpy(machine->their_memory + i, &value, 8);
    }
    memcpy(machine->our_memory, machine->their_memory, MEMORY_SIZE);
    check(uc_open(UC_ARCH_X86, uc_modes[mode], &machine->uc));
    check(uc_mem_map_ptr(machine->uc, 0, MEMORY_SIZE, UC_PROT_ALL, machine->their_memory));
    check(uc_hook_add(machine->uc, &hook, UC_HOOK_MEM_WRITE, (void *)their_write, machine, 1, 0));
    check(uc_hook_add(machine->uc, &hook, UC_HOOK_INSN, (void *)their_in, machine, 1, 0, UC_X86_INS_IN));
    check(uc_hook_add(machine->uc, &hook, UC_HOOK_INSN, (void *)their_out, machine, 1, 0, UC_X86_INS_OUT));
}

static void machine_close(struct machine *machine)
{
    uc_close(machine->uc);
    free(machine->their_memory);
    free(machine->our_memory);
}

/* ---- registers ---------------------------------------------------------------------------------------- */

static const int gpr_64[16] = {UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
                               UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
                               UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
                               UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15};
static const int gpr_32[8] = {UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
                              UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI};
static const int segment_ids[6] = {UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS,
                                   UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS};

static void load_their_registers(struct machine *machine, const struct insn_regs *regs)
{
    uc_engine *uc = machine->uc;

    for (unsigned i = 0; i < (machine->mode == INSN_MODE_64 ? 16u : 8u); i++)
        check(uc_reg_write(uc, machine->mode == INSN_MODE_64 ? gpr_64[i] : gpr_32[i], &regs->gpr[i]));
    check(uc_reg_write(uc, UC_X86_REG_EFLAGS, &regs->rflags));
    if (machine->mode == INSN_MODE_64) {
        check(uc_reg_write(uc, UC_X86_REG_FS_BASE, &regs->segments[INSN_FS].base));
        check(uc_reg_write(uc, UC_X86_REG_GS_BASE, &regs->segments[INSN_GS].base));
    }
    for (unsigned i = 0; machine->mode == INSN_MODE_16 && i < 6; i++) {
        uint64_t selector = regs->segments[i].base >> 4;
        check(uc_reg_write(uc, segment_ids[i], &selector));
    }
}

static void store_their_registers(struct machine *machine, struct insn_regs *regs)
{
    uc_engine *uc = machine->uc;

    for (unsigned i = 0; i < (machine->mode == INSN_MODE_64 ? 16u : 8u); i++) {
        regs->gpr[i] = 0;
        check(uc_reg_read(uc, machine->mode == INSN_MODE_64 ? gpr_64[i] : gpr_32[i], &regs->gpr[i]));
    }
    regs->rflags = 0;
    check(uc_reg_read(uc, UC_X86_REG_EFLAGS, &regs->rflags));
}

#endif
