/* SVM of this CPU: preflight, enabling and permission maps. */
#ifndef ARCH_X86_SVM_SVM_H
#define ARCH_X86_SVM_SVM_H

#include "lib/base.h"

/* NULL when guests can run; else one line with the reason and the firmware setting to change (preflight.c).
 * EFER.SVME is then set. */
const char *svm_preflight(void);

/* Sets EFER.SVME and the host save area, builds the permission maps. */
bool svm_enable(void);

/* Physical addresses, shared by all guests. */
uint64_t svm_iopm(void);
uint64_t svm_msrpm(void);
uint64_t svm_host_vmcb(void);

#endif
