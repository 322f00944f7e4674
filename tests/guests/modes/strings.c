/* INS and OUTS with prefixes, directions and counts; the rest of a register behind IN, CPUID, RDMSR and
 * memory forms; patched code. */
#include "tests/guests/lib/rtc.h"
#include "tests/guests/modes/modes.h"

#define CMOS_INDEX       0x50u
#define CMOS_DATA        0x71u
#define UNCLAIMED_PORT   0x2E0u
#define UNCLAIMED_MEMORY 0xFEDFF000u
#define FS_BASE          0xC0000100u

struct string_io {
    uint64_t rcx, rdi, rsi, rdx;
};
typedef void string_function(struct string_io *io);
string_function string_insb, string_rep_insb, string_rep_insw, string_rep_insd, string_rep_outsb,
    string_a32_rep_insb, string_fs_rep_outsb, string_std_rep_insb;

static uint8_t bytes[8192] __attribute__((aligned(4096)));

static uint64_t address(const void *at)
{
    return (uint64_t)(uintptr_t)at;
}

/* Runs an INS at bytes[at] and checks how many bytes changed, from which on, and the registers. */
static void run_in(const char *name, string_function *run, uint64_t rcx, uint64_t port, unsigned at,
                   uint64_t high, int64_t moved, unsigned first, unsigned changed, uint8_t value)
{
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = 0x11;
    struct string_io io = {rcx, address(bytes + at) | high, 0, port};
    run(&io);
    unsigned wrong = 0;
    for (unsigned i = 0; i < sizeof bytes; i++)
        if (bytes[i] != (i >= first && i < first + changed ? value : 0x11))
            wrong++;
    check(!wrong, name, wrong, 0);
    uint64_t wanted = address(bytes + at) + (uint64_t)moved;
    check(io.rdi == wanted, name, io.rdi, wanted);
    uint64_t left = run == string_insb ? rcx : 0;
    check(io.rcx == left, name, io.rcx, left);
}

static void run_out(const char *name, string_function *run, uint64_t rcx, uint64_t rsi, uint64_t moved,
                    uint8_t wanted)
{
    struct string_io io = {rcx, 0, rsi, CMOS_DATA};
    rtc_write(CMOS_INDEX, 0x77);
    out8(0x70, CMOS_INDEX);
    run(&io);
    check(io.rsi == rsi + moved && io.rcx == 0, name, io.rsi, rsi + moved);
    uint8_t is = rtc_read(CMOS_INDEX);
    check(is == wanted, name, is, wanted);
}

void check_strings(void)
{
    rtc_write(CMOS_INDEX, 0xA5);
    out8(0x70, CMOS_INDEX);
    run_in("INSB", string_insb, 7, CMOS_DATA, 100, 0, 1, 100, 1, 0xA5);
    run_in("REP INSB", string_rep_insb, 5, CMOS_DATA, 100, 0, 5, 100, 5, 0xA5);
    run_in("REP INSB, count 0", string_rep_insb, 0, CMOS_DATA, 100, 0, 0, 0, 0, 0xA5);
    run_in("REP INSB, DF", string_std_rep_insb, 3, CMOS_DATA, 100, 0, -3, 98, 3, 0xA5);
    run_in("REP INSB over a page", string_rep_insb, 20, CMOS_DATA, 4090, 0, 20, 4090, 20, 0xA5);
    run_in("a32 REP INSB", string_a32_rep_insb, 0x500000002u, CMOS_DATA, 100, 0x700000000u, 2, 100, 2, 0xA5);
    run_in("REP INSW", string_rep_insw, 3, UNCLAIMED_PORT, 4093, 0, 6, 4093, 6, 0xFF);
    run_in("REP INSD", string_rep_insd, 3, UNCLAIMED_PORT, 4093, 0, 12, 4093, 12, 0xFF);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    run_out("REP OUTSB", string_rep_outsb, 9, address(bytes + 30), 9, 38);
    run_out("REP OUTSB, count 0", string_rep_outsb, 0, address(bytes + 30), 0, 0x77);
    uint64_t base = address(bytes) - 0x1000;
    __asm__ volatile("wrmsr" : : "c"(FS_BASE), "a"((uint32_t)base), "d"((uint32_t)(base >> 32)));
    run_out("FS: REP OUTSB", string_fs_rep_outsb, 4, 0x1000 + 200, 4, 203);
    __asm__ volatile("wrmsr" : : "c"(FS_BASE), "a"(0), "d"(0));
}

uint64_t register_in8(uint64_t rax), register_in16(uint64_t rax), register_in32(uint64_t rax),
    register_cpuid(uint64_t rax), register_rdmsr(uint64_t rax);
typedef uint64_t memory_function(uint64_t at, uint64_t rax);
memory_function memory_mov8, memory_mov32, memory_movzx, memory_movsx, memory_xchg, memory_add, memory_push;

void check_registers(void)
{
    uint64_t rax = 0x1122334455667788u, u = unclaimed_memory(), is;
    is = register_in8(rax), check(is == 0x11223344556677FFu, "IN AL", is, 0x11223344556677FFu);
    is = register_in16(rax), check(is == 0x112233445566FFFFu, "IN AX", is, 0x112233445566FFFFu);
    is = register_in32(rax), check(is == 0xFFFFFFFFu, "IN EAX", is, 0xFFFFFFFFu);
    is = register_cpuid(rax), check(is == 0, "CPUID, upper halves", is, 0);
    is = register_rdmsr(rax), check(is == 0, "RDMSR, upper halves", is, 0);
    const struct {
        const char *name;
        memory_function *run;
        uint64_t wanted;
    } forms[] = {
        {"MOV AL, m8", memory_mov8, (rax & ~0xFFull) | (u & 0xFF)},
        {"MOV EAX, m32", memory_mov32, u & 0xFFFFFFFF},
        {"MOVZX RAX, m16", memory_movzx, u & 0xFFFF},
        {"MOVSX RAX, m8", memory_movsx, u},
        {"XCHG EAX, m32", memory_xchg, u & 0xFFFFFFFF},
        {"ADD RAX, m64", memory_add, rax + u},
        {"PUSH m64", memory_push, u},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        is = forms[i].run(UNCLAIMED_MEMORY, rax);
        check(is == forms[i].wanted, forms[i].name, is, forms[i].wanted);
    }
}

uint32_t smc_patch(uint32_t value), smc_target(void);

void check_patching(void)
{
    uint64_t wrong_near = 0, wrong_far = 0;
    for (uint32_t i = 1; i <= 50; i++) {
        if (smc_patch(i * 77) != i * 77)
            wrong_near++;
        volatile uint8_t *code = (volatile uint8_t *)(uintptr_t)smc_target;
        for (unsigned b = 0; b < 4; b++)
            code[1 + b] = (uint8_t)(i * 99 >> 8 * b);
        if (smc_target() != i * 99)
            wrong_far++;
    }
    check(!wrong_near, "code that patches the instruction behind it", wrong_near, 0);
    check(!wrong_far, "code patched before a call", wrong_far, 0);
}
