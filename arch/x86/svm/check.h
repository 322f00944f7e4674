/*
 * Why VMRUN refuses a guest's state, in words. SVM says no more than that it does (VMEXIT_INVALID); here are
 * its checks once more. Pure. Source: AMD64 APM vol. 2, "Canonicalization and Consistency Checks".
 */
#ifndef ARCH_X86_SVM_CHECK_H
#define ARCH_X86_SVM_CHECK_H

#include "arch/x86/svm/vmcb.h"

/* One sentence without its full stop; NULL when all checks pass. cr4_bits: those that this CPU has;
 * physical_bits: of its addresses. */
const char *svm_guest_fault(const struct vmcb *vmcb, uint64_t cr4_bits, unsigned physical_bits);

#endif
