/* REP INS and OUTS that a page fault or an interrupt cuts in two: where, with which count, and that no byte
 * is lost or doubled. The palette's data port tells bytes apart (ports.c). Source: Intel SDM vol. 1, "String
 * Operations"; vol. 3, "Interrupt 14". */
#include "tests/guests/lib/pit.h"
#include "tests/guests/modes/modes.h"

#define PAGE_2M    0x200000u
#define FIRST      0x40000000u /* two large pages, here over free memory */
#define SECOND     (FIRST + PAGE_2M)
#define PRESENT    0x83u
#define READ_ONLY  0x81u
#define CR0_WP     0x10000u
#define DAC_READ   0x3C7
#define DAC_WRITE  0x3C8
#define DAC_DATA   0x3C9
#define UNCLAIMED  0x2E0
#define LONG_COUNT 3000u

struct string_io {
    uint64_t rcx, rdi, rsi, rdx;
};
typedef void string_function(struct string_io *io);
string_function string_rep_insb, string_rep_insw, string_rep_insd, string_rep_outsb, string_std_rep_insb;
extern uint64_t page_directories[4 * 512];

static struct trap_frame seen;
static uint64_t seen_count, seen_cr2, irq_count;

static void map(uint32_t page, uint64_t entry)
{
    page_directories[page >> 21] = entry;
    uint64_t cr3;
    __asm__ volatile("mov %%cr3, %0\n\tmov %0, %%cr3" : "=r"(cr3) : : "memory");
}

static bool on_trap(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_IRQ0) {
        seen = *frame;
        irq_count++;
        return false;
    }
    if (frame->vector != 14)
        return false;
    seen = *frame;
    seen_count++;
    __asm__ volatile("mov %%cr2, %0" : "=r"(seen_cr2));
    map(FIRST, BUFFER_BASE | PRESENT);
    map(SECOND, (BUFFER_BASE + PAGE_2M) | PRESENT);
    return true; /* and again */
}

static uint8_t pattern(unsigned i)
{
    return (uint8_t)((i * 5 + 3) & 0x3F);
}

static void fill_palette(unsigned count)
{
    out8(DAC_WRITE, 0);
    for (unsigned i = 0; i < count; i++)
        out8(DAC_DATA, pattern(i));
    out8(DAC_READ, 0);
}

static void expect(const char *name, const struct string_io *io, uint64_t left, uint64_t error, uint64_t cr2)
{
    same(name, seen_count, 1);
    same(name, seen.rcx, left);
    same(name, seen.error, error);
    same(name, seen_cr2, cr2);
    same(name, io->rcx, 0);
    seen_count = 0;
}

static const volatile uint8_t *linear(uint64_t at)
{
    return (const volatile uint8_t *)(uintptr_t)at; // NOLINT: an address that was chosen
}

static void check_in(void)
{
    struct string_io io = {12, SECOND - 5, 0, DAC_DATA};
    fill_palette(12);
    map(SECOND, 0);
    string_rep_insb(&io);
    expect("REP INSB into an absent page", &io, 7, 2, SECOND);
    same("REP INSB into an absent page: RDI then", seen.rdi, SECOND);
    for (unsigned i = 0; i < 12; i++)
        same("REP INSB into an absent page: bytes", *linear(SECOND - 5 + i), pattern(i));

    io = (struct string_io){12, SECOND + 5, 0, DAC_DATA};
    fill_palette(12);
    map(FIRST, 0);
    string_std_rep_insb(&io);
    expect("REP INSB, DF, into an absent page", &io, 6, 2, SECOND - 1);
    for (unsigned i = 0; i < 12; i++)
        same("REP INSB, DF, into an absent page: bytes", *linear(SECOND + 5 - i), pattern(i));

    io = (struct string_io){4, SECOND - 5, 0, UNCLAIMED};
    map(SECOND, 0);
    string_rep_insw(&io);
    expect("REP INSW, a word over the edge", &io, 2, 2, SECOND);
    io = (struct string_io){3, SECOND - 6, 0, UNCLAIMED};
    map(SECOND, 0);
    string_rep_insd(&io);
    expect("REP INSD, a double word over the edge", &io, 2, 2, SECOND);

    uint64_t cr0;
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 | CR0_WP));
    io = (struct string_io){3, SECOND + 8, 0, UNCLAIMED};
    map(SECOND, (BUFFER_BASE + PAGE_2M) | READ_ONLY);
    string_rep_insb(&io);
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
    expect("REP INSB into a read-only page", &io, 3, 3, SECOND + 8);
}

static void check_out(void)
{
    struct string_io io = {12, 0, SECOND - 5, DAC_DATA};
    unsigned wrong = 0;
    for (unsigned i = 0; i < 12; i++)
        *(volatile uint8_t *)(uintptr_t)(BUFFER_BASE + PAGE_2M - 5 + i) = pattern(i); // NOLINT
    out8(DAC_WRITE, 0);
    map(SECOND, 0);
    string_rep_outsb(&io);
    expect("REP OUTSB from an absent page", &io, 7, 0, SECOND);
    out8(DAC_READ, 0);
    for (unsigned i = 0; i < 12; i++)
        if (in8(DAC_DATA) != pattern(i))
            wrong++;
    same("REP OUTSB from an absent page: bytes", wrong, 0);
}

/* The interrupt comes between two iterations; RIP stands on the instruction. */
static void check_interrupted(void)
{
    struct string_io io = {LONG_COUNT, BUFFER_BASE, 0, UNCLAIMED};
    __builtin_memset((void *)buffer_start(), 0, LONG_COUNT + 1);
    pit_control(0, 0);
    pic_start();
    pic_unmask(0);
    pit_count(0, word_number("bare", 0) ? 2 : 600);
    irq_count = 0;
    interrupts_on();
    string_rep_insb(&io);
    for (volatile unsigned i = 0; i < 10000 && !irq_count; i++) {
    }
    interrupts_off();
    pic_mask_all();
    const volatile uint8_t *bytes = linear(BUFFER_BASE);
    uint64_t done = 0;
    while (bytes[done] == 0xFF)
        done++;
    same("REP INSB, interrupted: bytes", done, LONG_COUNT);
    same("REP INSB, interrupted: RCX", io.rcx, 0);
    same("REP INSB, interrupted: RDI", io.rdi, BUFFER_BASE + LONG_COUNT);
    same("REP INSB, interrupted: interrupts", irq_count, 1);
    if (!word_number("bare", 0)) /* QEMU takes it behind its block of iterations */
        check(seen.rcx > 0 && seen.rcx < LONG_COUNT && seen.rdi == io.rdi - seen.rcx,
              "REP INSB, interrupted: in the middle", seen.rcx, LONG_COUNT / 2);
}

void check_restart(void)
{
    trap_hook = on_trap;
    map(FIRST, BUFFER_BASE | PRESENT);
    map(SECOND, (BUFFER_BASE + PAGE_2M) | PRESENT);
    check_in();
    check_out();
    check_interrupted();
    trap_hook = NULL;
    map(FIRST, FIRST | PRESENT);
    map(SECOND, SECOND | PRESENT);
}
