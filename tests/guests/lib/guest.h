/*
 * What every test guest stands on: printing, command-line words, interrupts, verdict. A guest supplies
 * guest_run().
 */
#ifndef GUEST_H
#define GUEST_H

#include "tests/guests/lib/io.h"
#include "tests/guests/lib/math.h"
#include <stdbool.h>
#include <stddef.h>

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* The guest's own main, called with interrupts off, IDT and 8259 set, all lines masked. Returns true for
 * PASS. */
bool guest_run(void);

/* ---- output: COM1, polled. %s %c %u %d %x with l, width and 0; %% ---- */
void uart_start(void);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same into memory, for who prints later; returns the length. */
size_t format_text(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- verdict: `RESULT PASS|FAIL` and the code to port f4h: 0 or 1 ---- */
__attribute__((noreturn)) void guest_exit(uint8_t code);
__attribute__((noreturn)) void guest_fail(const char *why);

/* ---- words: the command line's `key=value` and bare words ---- */
bool word_bare(const char *name);
const char *word_text(const char *key); /* up to the next blank; NULL when absent; ends with a blank or NUL */
bool word_is(const char *key, const char *value);
uint64_t word_number(const char *key, uint64_t otherwise); /* decimal or 0x; otherwise also when malformed */
uint64_t word_thousandths(const char *key, uint64_t otherwise); /* "18.2" is 18200 */

/* ---- interrupts ---- */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};
#define VECTOR_IRQ0 0x20
#define VECTOR_IRQ8 0x28
void idt_start(void);
void idt_set(unsigned vector, void *entry);
void idt_present(unsigned vector, bool present);
void idt_stack(unsigned vector, unsigned ist); /* 0: the current stack */
extern void *const trap_stubs[256];            /* the entries of the untimed kind */
/* Called for every trap that is not timed; NULL: the default (fixup, count, or a fatal report). Returns true
 * when it dealt with it. */
extern bool (*trap_hook)(struct trap_frame *frame);
extern volatile uint64_t trap_fixup;  /* where to go on after an exception; 0: an exception is fatal */
extern volatile uint64_t trap_count;  /* exceptions taken through the fixup */
extern volatile uint64_t trap_vector; /* the last one */
extern volatile uint64_t stray_irqs;  /* interrupts that nobody asked for */

void pic_start(void); /* 8259 pair at 20h and 28h, edge triggered, all masked, nothing remembered */
void pic_unmask(unsigned irq);
void pic_mask_all(void);

extern volatile uint64_t *irq0_next, *irq0_end, *irq8_next, *irq8_end;
extern volatile uint64_t irq0_tsc, irq0_count, irq8_tsc, irq8_count, irq8_flags;
/* Empties the record of IRQ 0 (or 8) and gives it room. */
void irq0_record(uint64_t *buffer, uint64_t count);
void irq8_record(uint64_t *buffer, uint64_t count);

/* ---- memory and rate ---- */
#define BUFFER_BASE 0x800000u /* free memory from 8 MB on */
uint64_t buffer_words(void);  /* 64-bit words between BUFFER_BASE and the end of memory below 4 GB */
static inline uint64_t *buffer_start(void)
{
    return (uint64_t *)BUFFER_BASE; // NOLINT: a fixed physical address
}
/* TSC cycles per second: the word f=, else CPUID 40000010h, else 1,000,000,000. */
uint64_t tsc_hz(void);
/* What one port access costs in TSC cycles (OUT to port 80h, less the same code without it). */
uint64_t port_charge(void);

#endif
