/* Host exceptions and interrupts. */
#ifndef ARCH_X86_TRAP_H
#define ARCH_X86_TRAP_H

#include "lib/base.h"

struct trap_frame {
    uint64_t rax, rcx, rdx, rbx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

#define VECTOR_DB  1
#define VECTOR_NMI 2
#define VECTOR_DF  8
#define VECTOR_MC  18
/* No exception: an IRQ 7 that was withdrawn, at the 8259's base of BIOSes. UEFI's and IRQ 15's are above 31.
 */
#define VECTOR_SPURIOUS_8259 15
#define VECTOR_TIMER                                                                                         \
    0xE0 /* these three above the local APIC's task priority: what else a device or firmware sends waits */
#define VECTOR_SELF     0xE1
#define VECTOR_WAKE     0xE2 /* from another CPU: ends a wait */
#define VECTOR_SPURIOUS 0xFF

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

/* Loads this CPU's GDT, TSS and IDT. */
void trap_init(void);

/* Where the TSS stands, for a host state that is written out. */
uint64_t trap_tss_base(void);

void trap_dispatch(struct trap_frame *frame);

#endif
