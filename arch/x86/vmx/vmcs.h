/*
 * The VMCS of Intel VT-x: field encodings, controls, exit reasons. Source: Intel SDM vol. 3, "Virtual Machine
 * Control Structures", appendix B "Field Encoding in VMCS", appendix A "VMX Capability Reporting Facility",
 * appendix C "VMX Basic Exit Reasons".
 */
#ifndef ARCH_X86_VMX_VMCS_H
#define ARCH_X86_VMX_VMCS_H

#include "lib/base.h"

enum vmcs_field {
    VMCS_VPID = 0x0000,
    VMCS_GUEST_ES = 0x0800, /* the others follow in the order of enum segment_name, 2 apart */
    VMCS_HOST_ES = 0x0C00,
    VMCS_HOST_CS = 0x0C02,
    VMCS_HOST_SS = 0x0C04,
    VMCS_HOST_DS = 0x0C06,
    VMCS_HOST_FS = 0x0C08,
    VMCS_HOST_GS = 0x0C0A,
    VMCS_HOST_TR = 0x0C0C,
    VMCS_MSR_BITMAP = 0x2004,
    VMCS_TSC_OFFSET = 0x2010,
    VMCS_VIRTUAL_APIC = 0x2012,
    VMCS_EPT_POINTER = 0x201A,
    VMCS_ENCLS_BITMAP = 0x202E,
    VMCS_GUEST_PHYSICAL = 0x2400,
    VMCS_LINK_POINTER = 0x2800,
    VMCS_GUEST_DEBUGCTL = 0x2802,
    VMCS_GUEST_PAT = 0x2804,
    VMCS_GUEST_EFER = 0x2806,
    VMCS_GUEST_PDPTE0 = 0x280A,
    VMCS_HOST_PAT = 0x2C00,
    VMCS_HOST_EFER = 0x2C02,
    VMCS_PIN_CONTROLS = 0x4000,
    VMCS_CPU_CONTROLS = 0x4002,
    VMCS_EXCEPTIONS = 0x4004,
    VMCS_PF_ERROR_MASK = 0x4006,
    VMCS_PF_ERROR_MATCH = 0x4008,
    VMCS_CR3_TARGETS = 0x400A,
    VMCS_EXIT_CONTROLS = 0x400C,
    VMCS_EXIT_MSR_STORES = 0x400E,
    VMCS_EXIT_MSR_LOADS = 0x4010,
    VMCS_ENTRY_CONTROLS = 0x4012,
    VMCS_ENTRY_MSR_LOADS = 0x4014,
    VMCS_ENTRY_EVENT = 0x4016,
    VMCS_ENTRY_EVENT_ERROR = 0x4018,
    VMCS_ENTRY_LENGTH = 0x401A,
    VMCS_TPR_THRESHOLD = 0x401C,
    VMCS_CPU_CONTROLS2 = 0x401E,
    VMCS_NOTIFY_WINDOW = 0x4024,
    VMCS_INSTRUCTION_ERROR = 0x4400,
    VMCS_EXIT_REASON = 0x4402,
    VMCS_EXIT_EVENT = 0x4404,
    VMCS_EXIT_EVENT_ERROR = 0x4406,
    VMCS_IDT_VECTORING = 0x4408,
    VMCS_IDT_VECTORING_ERROR = 0x440A,
    VMCS_EXIT_LENGTH = 0x440C,
    VMCS_GUEST_ES_LIMIT = 0x4800,
    VMCS_GUEST_GDTR_LIMIT = 0x4810,
    VMCS_GUEST_IDTR_LIMIT = 0x4812,
    VMCS_GUEST_ES_RIGHTS = 0x4814,
    VMCS_GUEST_SHADOW = 0x4824, /* "interruptibility state" */
    VMCS_GUEST_ACTIVITY = 0x4826,
    VMCS_GUEST_SYSENTER_CS = 0x482A,
    VMCS_PREEMPTION_TIMER = 0x482E,
    VMCS_HOST_SYSENTER_CS = 0x4C00,
    VMCS_CR0_MASK = 0x6000,
    VMCS_CR4_MASK = 0x6002,
    VMCS_CR0_SHADOW = 0x6004,
    VMCS_CR4_SHADOW = 0x6006,
    VMCS_QUALIFICATION = 0x6400,
    VMCS_GUEST_CR0 = 0x6800,
    VMCS_GUEST_CR3 = 0x6802,
    VMCS_GUEST_CR4 = 0x6804,
    VMCS_GUEST_ES_BASE = 0x6806,
    VMCS_GUEST_FS_BASE = 0x680E,
    VMCS_GUEST_GS_BASE = 0x6810,
    VMCS_GUEST_GDTR_BASE = 0x6816,
    VMCS_GUEST_IDTR_BASE = 0x6818,
    VMCS_GUEST_DR7 = 0x681A,
    VMCS_GUEST_RSP = 0x681C,
    VMCS_GUEST_RIP = 0x681E,
    VMCS_GUEST_RFLAGS = 0x6820,
    VMCS_GUEST_PENDING_DEBUG = 0x6822,
    VMCS_GUEST_SYSENTER_ESP = 0x6824,
    VMCS_GUEST_SYSENTER_EIP = 0x6826,
    VMCS_HOST_CR0 = 0x6C00,
    VMCS_HOST_CR3 = 0x6C02,
    VMCS_HOST_CR4 = 0x6C04,
    VMCS_HOST_FS_BASE = 0x6C06,
    VMCS_HOST_GS_BASE = 0x6C08,
    VMCS_HOST_TR_BASE = 0x6C0A,
    VMCS_HOST_GDTR_BASE = 0x6C0C,
    VMCS_HOST_IDTR_BASE = 0x6C0E,
    VMCS_HOST_SYSENTER_ESP = 0x6C10,
    VMCS_HOST_SYSENTER_EIP = 0x6C12,
    VMCS_HOST_RSP = 0x6C14,
    VMCS_HOST_RIP = 0x6C16,
};

/* Pin-based controls. */
#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI                BIT(3)
#define PIN_VIRTUAL_NMIS       BIT(5)
#define PIN_PREEMPTION_TIMER   BIT(6)

/* Primary processor-based controls. */
#define CPU_INTERRUPT_WINDOW BIT(2)
#define CPU_TSC_OFFSET       BIT(3)
#define CPU_HLT              BIT(7)
#define CPU_MWAIT            BIT(10)
#define CPU_RDPMC            BIT(11)
#define CPU_RDTSC            BIT(12)
#define CPU_CR3_LOAD         BIT(15)
#define CPU_CR3_STORE        BIT(16)
#define CPU_CR8_LOAD         BIT(19)
#define CPU_TPR_SHADOW       BIT(21)
#define CPU_NMI_WINDOW       BIT(22)
#define CPU_ALL_IO           BIT(24)
#define CPU_MSR_BITMAP       BIT(28)
#define CPU_MONITOR          BIT(29)
#define CPU_SECONDARY        BIT(31)

/* Secondary. */
#define CPU2_EPT                BIT(1)
#define CPU2_RDTSCP             BIT(3)
#define CPU2_VPID               BIT(5)
#define CPU2_WBINVD             BIT(6)
#define CPU2_UNRESTRICTED_GUEST BIT(7)
#define CPU2_RDRAND             BIT(11)
#define CPU2_INVPCID            BIT(12)
#define CPU2_ENCLS              BIT(15)
#define CPU2_RDSEED             BIT(16)
#define CPU2_PCONFIG            BIT(27)
#define CPU2_NOTIFY_WINDOW      BIT(31)

/* Exit and entry controls. */
#define LEAVE_HOST_64BIT  BIT(9)
#define LEAVE_SAVE_PAT    BIT(18)
#define LEAVE_LOAD_PAT    BIT(19)
#define LEAVE_SAVE_EFER   BIT(20)
#define LEAVE_LOAD_EFER   BIT(21)
#define ENTRY_LOAD_DEBUG  BIT(2)
#define LEAVE_SAVE_DEBUG  BIT(2)
#define ENTRY_GUEST_64BIT BIT(9)
#define ENTRY_LOAD_PAT    BIT(14)
#define ENTRY_LOAD_EFER   BIT(15)

/* Interruption information: vector, type (enum event_type), flags. */
#define EVENT_TYPE_SHIFT  8
#define EVENT_ERROR_VALID BIT(11)
#define EVENT_VALID       BIT(31)

#define SHADOW_STI    BIT(0)
#define SHADOW_MOV_SS BIT(1)
#define SHADOW_NMI    BIT(3)

/* Of the exit's interruption information and of an EPT violation's qualification. */
#define NMI_UNBLOCKED    BIT(12)
#define PENDING_DEBUG_BS BIT64(14)

#define RIGHTS_UNUSABLE BIT(16)

#define PDPTE_RESERVED_LOW UINT64_C(0x1E6)

/* Basic exit reasons. */
enum exit_reason {
    REASON_EXCEPTION = 0,
    REASON_EXTERNAL_INTERRUPT = 1,
    REASON_TRIPLE_FAULT = 2,
    REASON_INIT = 3,
    REASON_INTERRUPT_WINDOW = 7,
    REASON_NMI_WINDOW = 8,
    REASON_TASK_SWITCH = 9,
    REASON_CPUID = 10,
    REASON_GETSEC = 11,
    REASON_HLT = 12,
    REASON_INVD = 13,
    REASON_INVLPG = 14,
    REASON_RDPMC = 15,
    REASON_VMCALL = 18,
    REASON_VMXON = 27,
    REASON_CR_ACCESS = 28,
    REASON_DR_ACCESS = 29,
    REASON_IO = 30,
    REASON_RDMSR = 31,
    REASON_WRMSR = 32,
    REASON_INVALID_STATE = 33,
    REASON_MSR_LOADING = 34,
    REASON_MWAIT = 36,
    REASON_MACHINE_CHECK = 41, /* during an entry */
    REASON_MONITOR = 39,
    REASON_EPT_VIOLATION = 48,
    REASON_EPT_MISCONFIGURATION = 49,
    REASON_INVEPT = 50,
    REASON_PREEMPTION_TIMER = 52,
    REASON_INVVPID = 53,
    REASON_WBINVD = 54,
    REASON_XSETBV = 55,
    REASON_RDRAND = 57,
    REASON_ENCLS = 60,
    REASON_RDSEED = 61,
    REASON_PCONFIG = 65,
    REASON_NOTIFY = 75,
    REASON_SEAMCALL = 76,
    REASON_TDCALL = 77,
    REASONS
};
#define REASON_ENTRY_FAILED BIT(31)

/* Capability MSRs. */
#define MSR_FEATURE_CONTROL 0x3Au
#define FEATURE_LOCK        BIT64(0)
#define FEATURE_VMX_IN_SMX  BIT64(1)
#define FEATURE_VMX         BIT64(2)
#define MSR_VMX_BASIC       0x480u
#define VMX_BASIC_TRUE      BIT64(55)
#define MSR_VMX_PIN         0x481u
#define MSR_VMX_CPU         0x482u
#define MSR_VMX_EXIT        0x483u
#define MSR_VMX_ENTRY       0x484u
#define MSR_VMX_MISC        0x485u
#define MSR_VMX_CR0_FIXED0  0x486u
#define MSR_VMX_CR0_FIXED1  0x487u
#define MSR_VMX_CR4_FIXED0  0x488u
#define MSR_VMX_CR4_FIXED1  0x489u
#define MSR_VMX_CPU2        0x48Bu
#define MSR_VMX_EPT_VPID    0x48Cu
#define MSR_VMX_TRUE_PIN    0x48Du
#define MSR_VMX_TRUE_CPU    0x48Eu
#define MSR_VMX_TRUE_EXIT   0x48Fu
#define MSR_VMX_TRUE_ENTRY  0x490u

#define EPT_WALK_4         BIT64(6)
#define EPT_WRITE_BACK     BIT64(14)
#define EPT_2M             BIT64(16)
#define EPT_1G             BIT64(17)
#define EPT_INVEPT         BIT64(20)
#define EPT_ACCESSED_DIRTY BIT64(21)
#define EPT_INVEPT_SINGLE  BIT64(25)
#define EPT_INVEPT_ALL     BIT64(26)
#define INVVPID            BIT64(32)
#define INVVPID_SINGLE     BIT64(41)

#endif
