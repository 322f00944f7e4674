/*
 * The local APIC that Verge itself drives: its one-shot timer, and interrupts to other CPUs. xAPIC mode,
 * registers in memory, or x2APIC mode, registers that are MSRs. Sources: AMD64 APM vol. 2 "Advanced
 * Programmable Interrupt Controller (APIC)", "x2APIC"; Intel SDM vol. 3 "APIC Timer", "Extended XAPIC
 * (x2APIC)", "Issuing Interprocessor Interrupts".
 */
#ifndef ARCH_X86_HOST_LAPIC_H
#define ARCH_X86_HOST_LAPIC_H

#include "arch/x86/api/cpu.h"
#include "lib/base.h"

/*
 * On the boot CPU: masks the 8259 pair, chooses the mode for all CPUs, then enables the local APIC with all
 * local vectors masked but the timer's. False when there is none. A CPU that firmware has locked in x2APIC
 * mode stays there whatever the wish, with a logged line.
 */
bool host_lapic_init(enum cpu_apic wish);

/* On a further CPU: the same mode and state, TSC-deadline mode included. Touches nothing of the machine, maps
 * nothing, waits for nothing. */
void host_lapic_init_here(void);

/* Which mode that is. */
bool host_lapic_in_x2apic(void);

/* This CPU's APIC ID: 8 bits in xAPIC mode, 32 in x2APIC mode. */
uint32_t host_lapic_id(void);

/* Whether that CPU can be sent anything in this mode. */
bool host_lapic_reaches(uint32_t apic_id);

/*
 * To that CPU alone, which host_lapic_reaches(). What was stored before is seen by whoever is interrupted.
 * Returns once it is under way, not taken; in xAPIC mode waits, with a bound, for the last one to be on its
 * way. Not from an interrupt's handler: the two halves of an xAPIC's command are one CPU's.
 */
void host_lapic_send_init(uint32_t apic_id);
/* It starts at `page` * 4 KB in real mode. */
void host_lapic_send_startup(uint32_t apic_id, uint8_t page);
void host_lapic_send_nmi(uint32_t apic_id);
void host_lapic_send_interrupt(uint32_t apic_id, uint8_t vector);

/* An interrupt to this CPU itself, pending at once; taking it does nothing. Like the next one a pointer, so
 * that neither mode pays for the other. */
extern void (*host_lapic_interrupt_self)(void);

extern void (*host_lapic_eoi)(void);

/* How the timer is armed, which the world switch does itself, right before T0 (arming.inc): by a count in
 * memory, by a count in an MSR, by a moment. And the register in memory; NULL in x2APIC mode. */
enum lapic_way { LAPIC_BY_MEMORY, LAPIC_BY_MSR, LAPIC_BY_DEADLINE };
enum lapic_way host_lapic_way(void);
volatile uint32_t *host_lapic_initial_count(void);
uint32_t host_lapic_current_count(void);

/* Whether the timer has fired since it was armed, or was stopped. */
bool host_lapic_expired(void);

/* TSC-deadline mode: whether this CPU has it; on for good. The timer then counts the TSC's own cycles. */
bool host_lapic_has_deadlines(void);
void host_lapic_start_deadlines(void);

/* Makes the timer periodic with this count, for timer=periodic. */
void host_lapic_start_periodic(uint32_t count);

/* Starts the one-shot, by count or deadline; 0 stops it. */
void host_lapic_arm(uint32_t count);

#endif
