/*
 * The local APIC that Verge itself drives: its one-shot timer only. xAPIC mode. Sources: AMD64 APM vol. 2
 * "Advanced Programmable Interrupt Controller (APIC)"; Intel SDM vol. 3 "APIC Timer".
 */
#ifndef ARCH_X86_HOST_LAPIC_H
#define ARCH_X86_HOST_LAPIC_H

#include "lib/base.h"

/* Masks the 8259 pair, then enables the local APIC with all local vectors masked but the timer's. False when
 * there is none. */
bool host_lapic_init(void);

void host_lapic_init_here(void);
uint32_t host_lapic_id(void);
bool host_lapic_reaches(uint32_t apic_id);
void host_lapic_send_init(uint32_t apic_id);
void host_lapic_send_startup(uint32_t apic_id, uint8_t page);
void host_lapic_send_nmi(uint32_t apic_id);
void host_lapic_send_interrupt(uint32_t apic_id, uint8_t vector);

void host_lapic_eoi(void);

/* How the timer is armed, which the world switch does itself, right before T0 (arming.inc): by a count in
 * memory, by a count in an MSR, by a moment. And the register in memory. */
enum lapic_way { LAPIC_BY_MEMORY, LAPIC_BY_MSR, LAPIC_BY_DEADLINE };
volatile uint32_t *host_lapic_initial_count(void);
uint32_t host_lapic_current_count(void);

/* Whether the timer has fired since it was armed, or was stopped. */
bool host_lapic_expired(void);

/* TSC-deadline mode: whether this CPU has it; on for good. The timer then counts the TSC's own cycles. */
bool host_lapic_has_deadlines(void);
void host_lapic_start_deadlines(void);

/* An interrupt to this CPU itself, pending at once; taking it does nothing. */
void host_lapic_interrupt_self(void);

/* Makes the timer periodic with this count, for timer=periodic. */
void host_lapic_start_periodic(uint32_t count);

/* Starts the one-shot, in either mode; 0 stops it. */
void host_lapic_arm(uint32_t count);

#endif
