/*
 * The VMCB and its constants. Source: AMD64 APM vol. 2, appendix B "Layout of VMCB" and appendix C "SVM
 * Intercept Exit Codes".
 */
#ifndef ARCH_X86_SVM_VMCB_H
#define ARCH_X86_SVM_VMCB_H

#include "lib/base.h"

struct vmcb_segment {
    uint16_t selector;
    uint16_t attributes; /* descriptor bits 40-47 and 52-55, in 12 bits */
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    /* control area */
    uint32_t intercept_cr; /* 0-15 reads, 16-31 writes */
    uint32_t intercept_dr;
    uint32_t intercept_exceptions;
    uint32_t intercept[2]; /* words 3 and 4 */
    uint32_t intercept5;
    uint8_t reserved0[0x3C - 0x18];
    uint16_t pause_threshold, pause_count;
    uint64_t iopm_base, msrpm_base;
    uint64_t tsc_offset;
    uint32_t asid;
    uint32_t tlb_control;
    uint64_t vintr;
    uint64_t int_state; /* bit 0: interrupt shadow */
    uint64_t exit_code, exit_info1, exit_info2;
    uint64_t exit_int_info;
    uint64_t nested_enable;
    uint64_t avic_bar, ghcb;
    uint64_t event_inject;
    uint64_t nested_cr3;
    uint64_t virtual_ext;
    uint32_t clean, reserved1;
    uint64_t next_rip;
    uint8_t fetched_count;
    uint8_t fetched[15];
    uint8_t reserved2[0x400 - 0xE0];
    /* state save area */
    struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved3[0x4CB - 0x4A0];
    uint8_t cpl;
    uint32_t reserved4;
    uint64_t efer;
    uint8_t reserved5[0x548 - 0x4D8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved6[0x5D8 - 0x580];
    uint64_t rsp, s_cet, ssp, isst, rax;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved7[0x668 - 0x648];
    uint64_t g_pat, debugctl, br_from, br_to, last_excp_from, last_excp_to;
    uint8_t reserved8[0x6E0 - 0x698];
    uint64_t spec_ctrl;
    uint8_t reserved9[0x1000 - 0x6E8];
} __attribute__((packed, aligned(4096)));

#define VMCB_AT(field, offset) _Static_assert(offsetof(struct vmcb, field) == (offset), #field)
VMCB_AT(iopm_base, 0x40);
VMCB_AT(tsc_offset, 0x50);
VMCB_AT(asid, 0x58);
VMCB_AT(vintr, 0x60);
VMCB_AT(exit_code, 0x70);
VMCB_AT(exit_int_info, 0x88);
VMCB_AT(nested_enable, 0x90);
VMCB_AT(event_inject, 0xA8);
VMCB_AT(nested_cr3, 0xB0);
VMCB_AT(clean, 0xC0);
VMCB_AT(next_rip, 0xC8);
VMCB_AT(fetched, 0xD1);
VMCB_AT(es, 0x400);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4CB);
VMCB_AT(efer, 0x4D0);
VMCB_AT(cr4, 0x548);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5D8);
VMCB_AT(rax, 0x5F8);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);
VMCB_AT(spec_ctrl, 0x6E0);
_Static_assert(sizeof(struct vmcb) == 4096, "VMCB size");

/* intercept[0]: word 3 */
#define SVM_INTR          BIT(0)
#define SVM_NMI           BIT(1)
#define SVM_SMI           BIT(2)
#define SVM_INIT          BIT(3)
#define SVM_VINTR         BIT(4)
#define SVM_CR0_SELECTIVE BIT(5) /* writes that change more than TS and MP */
#define SVM_RDPMC         BIT(15)
#define SVM_CPUID         BIT(18)
#define SVM_IRET          BIT(20)
#define SVM_SOFTINT       BIT(21)
#define SVM_INVD          BIT(22)
#define SVM_HLT           BIT(24)
#define SVM_INVLPGA       BIT(26)
#define SVM_IOIO          BIT(27)
#define SVM_MSR           BIT(28)
#define SVM_TASK_SWITCH   BIT(29)
#define SVM_FERR_FREEZE   BIT(30)
#define SVM_SHUTDOWN      BIT(31)
/* intercept[1]: word 4 */
#define SVM_VMRUN       BIT(0)
#define SVM_VMMCALL     BIT(1)
#define SVM_VMLOAD      BIT(2)
#define SVM_VMSAVE      BIT(3)
#define SVM_STGI        BIT(4)
#define SVM_CLGI        BIT(5)
#define SVM_SKINIT      BIT(6)
#define SVM_WBINVD      BIT(9)
#define SVM_MONITOR     BIT(10)
#define SVM_MWAIT       BIT(11)
#define SVM_MWAIT_ARMED BIT(12)
#define SVM_XSETBV      BIT(13)
#define SVM_RDPRU       BIT(14)

/* exit codes */
#define VMEXIT_CR_READ       0x00
#define VMEXIT_CR_WRITE      0x10
#define VMEXIT_EXCEPTION     0x40
#define VMEXIT_INTR          0x60
#define VMEXIT_NMI           0x61
#define VMEXIT_SMI           0x62
#define VMEXIT_INIT          0x63
#define VMEXIT_VINTR         0x64
#define VMEXIT_CR0_SELECTIVE 0x65
#define VMEXIT_RDPMC         0x6F
#define VMEXIT_CPUID         0x72
#define VMEXIT_IRET          0x74
#define VMEXIT_SOFTINT       0x75
#define VMEXIT_INVD          0x76
#define VMEXIT_HLT           0x78
#define VMEXIT_INVLPGA       0x7A
#define VMEXIT_IOIO          0x7B
#define VMEXIT_MSR           0x7C
#define VMEXIT_TASK_SWITCH   0x7D
#define VMEXIT_SHUTDOWN      0x7F
#define VMEXIT_VMRUN         0x80
#define VMEXIT_VMMCALL       0x81
#define VMEXIT_VMLOAD        0x82
#define VMEXIT_VMSAVE        0x83
#define VMEXIT_STGI          0x84
#define VMEXIT_CLGI          0x85
#define VMEXIT_SKINIT        0x86
#define VMEXIT_WBINVD        0x89
#define VMEXIT_MONITOR       0x8A
#define VMEXIT_MWAIT         0x8B
#define VMEXIT_MWAIT_ARMED   0x8C
#define VMEXIT_XSETBV        0x8D
#define VMEXIT_RDPRU         0x8E
#define VMEXIT_NPF           0x400

/* vintr */
#define VINTR_IRQ            BIT64(8)
#define VINTR_IGNORE_TPR     BIT64(20)
#define VINTR_MASKING        BIT64(24)
#define VINTR_PRIORITY_SHIFT 16

/* event_inject and exit_int_info */
#define EVENT_VALID       BIT64(31)
#define EVENT_ERROR_VALID BIT64(11)
#define EVENT_TYPE_SHIFT  8

#define TLB_FLUSH_NONE 0
#define TLB_FLUSH_ALL  1
#define TLB_FLUSH_ASID 3

/* clean bits: 1 = unchanged since the last VMRUN */
#define CLEAN_INTERCEPTS BIT(0) /* and TSC offset */
#define CLEAN_IOPM       BIT(1)
#define CLEAN_ASID       BIT(2)
#define CLEAN_TPR        BIT(3)
#define CLEAN_NP         BIT(4)
#define CLEAN_CR         BIT(5)
#define CLEAN_DR         BIT(6)
#define CLEAN_DT         BIT(7)
#define CLEAN_SEG        BIT(8)
#define CLEAN_CR2        BIT(9)
#define CLEAN_LBR        BIT(10)

#endif
