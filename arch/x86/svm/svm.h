/* SVM of this CPU: enabling, permission maps, and the state that changes hands with the CPU. */
#ifndef ARCH_X86_SVM_SVM_H
#define ARCH_X86_SVM_SVM_H

#include "lib/base.h"

/* NULL when guests can run; else one line with the reason and the firmware setting to change. */
const char *svm_preflight(void);

/* Sets EFER.SVME and the host save area, builds the permission maps. */
void svm_enable(void);

/* Physical addresses, shared by all guests. */
uint64_t svm_iopm(void);
uint64_t svm_msrpm(void);
uint64_t svm_host_vmcb(void);

/* x87, SSE and, with XSAVE, all state of the host's XCR0. */
void svm_save_extended(void *area);
void svm_load_extended(const void *area, uint64_t guest_xcr0);
uint64_t svm_host_xcr0(void); /* 0: no XSAVE */

/* What branch predictors learnt from one guest does not steer the next one (APM vol. 2 "IBPB"). */
void svm_forget_branches(void);

uint64_t svm_read_tsc_aux(void);
void svm_write_tsc_aux(uint64_t value);

#endif
