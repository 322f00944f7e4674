/* The checks of the modes guest. Each calls check() for every fact; the guest passes when all held. */
#ifndef GUEST_MODES_H
#define GUEST_MODES_H

#include "tests/guests/lib/guest.h"

/* One line per failed check; passed ones are counted. */
void check(bool good, const char *what, uint64_t is, uint64_t wanted);
void same(const char *what, uint64_t is, uint64_t wanted); /* is == wanted */

/*
 * A check that an emulator is known to fail, by the limit's name (README.md): NULL is a plain check. Where
 * the word xfail= lists the name, failing prints `XFAIL name: what` and is no failure, passing prints XPASS.
 */
void check_limited(const char *limit, bool good, const char *what, uint64_t is, uint64_t wanted);
/* For what can't even be tried there: true, with an XFAIL line, where xfail= lists the name. */
bool limited(const char *limit, const char *what);

/* The word alike=1: leave out what QEMU's and Bochs's CPUs do differently, so that traces can be compared. */
bool alike(void);

/* Memory that nobody claims, with or without paging. */
#define MMIO_BASE 0xD0000000u

void check_trip(void);       /* all CPU modes and back */
void check_exceptions(void); /* with and without error code, CR2, double fault */
void check_shadows(void);    /* STI, MOV SS, POPF, HLT with a pending interrupt */
void check_steps(void);      /* TF over instructions that a hypervisor carries out */
void check_strings(void);    /* INS, OUTS: prefixes, direction, count 0 */
void check_rep(void);        /* MOVS, STOS, LODS, CMPS, SCAS with REP */
void check_registers(void);  /* what IN, CPUID, RDMSR and memory forms do to the rest of a register */
void check_patching(void);   /* self-modifying code */
void check_v86(void);        /* virtual-8086 mode */
void check_compat(void);     /* compatibility mode, 32- and 16-bit */
void check_sixteen(void);    /* 16-bit protected mode, with paging too */
void check_real(void);       /* real mode, with 4 GB segments too */
void check_faults(void);     /* error codes and double faults, 32-bit */
void check_ports(void);      /* INS, OUTS: all prefixes, in 64-, 32- and 16-bit code */
void check_restart(void);    /* REP INS and OUTS cut in two */
void check_forms(void);      /* memory that traps, by every instruction form */
void check_ends(void);       /* end=NAME: what must end the guest */
void check_selfmod(void);    /* self-modifying code by all ways; instructions that exit, patched */
void check_nmi(void);        /* INT 2, and that nothing else raises it */
void check_nmi_source(void); /* where NMIs are taken, in an image with a source of them */
void check_segments(void);   /* base, limit, attributes, rings, through exits and mode changes */

/* Interrupts off, and IRQ 0 stands in the 8259's request register. */
void make_irq0_pending(void);

/* What an access that nobody claims reads: all ones, on bare QEMU (bare=1) 0 for memory. */
uint64_t unclaimed_memory(void);

#endif
