/*
 * Which of the host's CPUID bits a guest sees: everything that isn't named here is hidden. The rows stand in
 * the order of the leaves; test_cpuid counts that each row names as many features as it passes. Sources: APM
 * vol. 3, appendix E; SDM vol. 2, "CPUID". Who applies it: cpuid.c.
 */
#include "guest/cpuid.h"

#define ANY    CPUID_ANY_SUBLEAF
#define ALL    UINT32_MAX
#define B(bit) BIT(bit)

#define DATA(leaf, subleaf)                                                                                  \
    {leaf, subleaf, CPUID_EAX, ALL, 0, NULL}, {leaf, subleaf, CPUID_EBX, ALL, 0, NULL},                      \
        {leaf, subleaf, CPUID_ECX, ALL, 0, NULL},                                                            \
    {                                                                                                        \
        leaf, subleaf, CPUID_EDX, ALL, 0, NULL                                                               \
    }

/* What AMD repeats in 80000001h EDX: bits 0 to 8, 12 to 17, 23 and 24, as in leaf 1. */
#define LEAF1_EDX_SHARED                                                                                     \
    (B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(12) | B(13) | B(14) | B(15) | B(16) |  \
     B(17) | B(23) | B(24))

const struct cpuid_rule cpuid_rules[] = {
    DATA(0x0, ANY), /* the vendor's name; EAX is set anew */

    /* Family, model, stepping. */
    {0x1, ANY, CPUID_EAX, ALL, 0, NULL},
    /* Brand index and CLFLUSH size; one logical CPU, APIC ID 0. */
    {0x1, ANY, CPUID_EBX, 0x0000FFFF, 0x00010000, NULL},
    /* Hidden: DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA, x2APIC,
       TSC-deadline, RDRAND. OSXSAVE follows CR4. */
    {0x1, ANY, CPUID_ECX,
     B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) | B(26) | B(28) |
         B(29),
     B(31), "SSE3 PCLMULQDQ SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C"},
    /* Hidden: APIC (9), PSN, DS, ACPI, SS, HTT, TM, PBE. MCE and MCA stand for no banks at all (MCG_CAP is
       0). */
    {0x1, ANY, CPUID_EDX, LEAF1_EDX_SHARED | B(11) | B(19) | B(25) | B(26), 0,
     "FPU VME DE PSE TSC MSR PAE MCE CX8 SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2"},

    DATA(0x2, ANY), /* Intel: cache and TLB descriptors */
    DATA(0x4, ANY), /* Intel: caches; EAX is cleared of the CPUs that share one */

    /* Hidden: TSC_ADJUST, SGX, HLE, RTM, RDT-M, MPX, RDT-A, RDSEED, PT. */
    {0x7, 0, CPUID_EBX,
     B(0) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(16) | B(17) | B(19) | B(20) | B(21) |
         B(23) | B(24) | B(26) | B(27) | B(28) | B(29) | B(30) | B(31),
     0,
     "FSGSBASE BMI1 AVX2 FDP_EXCPTN_ONLY SMEP BMI2 ERMS INVPCID ZERO_FCS_FDS AVX512F AVX512DQ ADX SMAP "
     "AVX512_IFMA CLFLUSHOPT CLWB "
     "AVX512PF AVX512ER AVX512CD SHA AVX512BW AVX512VL"},
    /* Hidden: PKU, OSPKE, WAITPKG, CET_SS, TME, LA57, MAWAU, KL, bus-lock detection, ENQCMD, SGX_LC, PKS. */
    {0x7, 0, CPUID_ECX,
     B(0) | B(1) | B(2) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(22) | B(25) | B(27) | B(28),
     0,
     "PREFETCHWT1 AVX512_VBMI UMIP AVX512_VBMI2 GFNI VAES VPCLMULQDQ AVX512_VNNI AVX512_BITALG "
     "AVX512_VPOPCNTDQ RDPID CLDEMOTE "
     "MOVDIRI MOVDIR64B"},
    /* Hidden: UINTR, SRBDS_CTRL, RTM aborts, HYBRID, TSXLDTRK, PCONFIG, ARCH_LBR, CET_IBT, AMX, L1D_FLUSH,
       ARCH_CAPABILITIES, CORE_CAPABILITIES. */
    {0x7, 0, CPUID_EDX, B(2) | B(3) | B(4) | B(8) | B(10) | B(14) | B(23) | B(26) | B(27) | B(31), 0,
     "AVX512_4VNNIW AVX512_4FMAPS FSRM AVX512_VP2INTERSECT MD_CLEAR SERIALIZE AVX512_FP16 IBRS_IBPB STIBP "
     "SSBD"},
    {0x7, 1, CPUID_EAX, B(0) | B(1) | B(2) | B(4) | B(5) | B(10) | B(11) | B(12) | B(23), 0,
     "SHA512 SM3 SM4 AVX_VNNI AVX512_BF16 FZRM FSRS FSRC AVX_IFMA"},
    {0x7, 1, CPUID_EDX, B(4) | B(5) | B(10), 0, "AVX_VNNI_INT8 AVX_NE_CONVERT AVX_VNNI_INT16"},

    /* Leaf 0Dh: cpuid.c, from XCR0. Hidden in subleaf 1: XSAVES, XFD. */
    {0xD, 1, CPUID_EAX, B(0) | B(1) | B(2), 0, "XSAVEOPT XSAVEC XGETBV1"},

    DATA(0x80000000, ANY),
    {0x80000001, ANY, CPUID_EAX, ALL, 0, NULL},
    /* Hidden: CmpLegacy, SVM, ExtApicSpace, AltMovCr8, OSVW, IBS, SKINIT, WDT, LWP, TCE, NodeId, the
       counters, MONITORX, breakpoint masks. */
    {0x80000001, ANY, CPUID_ECX, B(0) | B(5) | B(6) | B(7) | B(8) | B(11) | B(16) | B(21) | B(22), 0,
     "LAHF LZCNT SSE4A MISALIGNSSE PREFETCHW XOP FMA4 TBM TOPOEXT"},
    /* Hidden: APIC (9), MP. */
    {0x80000001, ANY, CPUID_EDX,
     LEAF1_EDX_SHARED | B(11) | B(20) | B(22) | B(25) | B(26) | B(27) | B(29) | B(30) | B(31), 0,
     "FPU VME DE PSE TSC MSR PAE MCE CX8 SYSCALL MTRR PGE MCA CMOV PAT PSE36 NX MMXEXT MMX FXSR FFXSR "
     "PAGE1GB RDTSCP LM 3DNOWEXT 3DNOW"},
    DATA(0x80000002, ANY), /* the CPU's name */
    DATA(0x80000003, ANY),
    DATA(0x80000004, ANY),
    DATA(0x80000005, ANY), /* L1 and its TLBs */
    DATA(0x80000006, ANY), /* L2, L3 */
    /* Hidden: frequency and power control, APERF/MPERF, RAPL. A guest's TSC is invariant whatever the host's
       does. */
    {0x80000007, ANY, CPUID_EDX, 0, B(8), NULL},
    /* Physical and linear address sizes. */
    {0x80000008, ANY, CPUID_EAX, 0x0000FFFF, 0, NULL},
    /* Hidden: IRPERF, INVLPGB, RDPRU, MBE, MCOMMIT, INT_WBINVD, VIRT_SSBD, CPPC. */
    {0x80000008, ANY, CPUID_EBX,
     B(0) | B(2) | B(9) | B(12) | B(14) | B(15) | B(16) | B(17) | B(18) | B(19) | B(20) | B(24) | B(26) |
         B(28) | B(29) | B(30),
     0,
     "CLZERO XSAVEERPTR WBNOINVD IBPB IBRS STIBP IBRS_ALWAYS STIBP_ALWAYS IBRS_PREFERRED IBRS_SAME_MODE "
     "LMSLE_UNSUPPORTED SSBD "
     "SSBD_NOT_REQUIRED PSFD BTC_NO IBPB_RET"},
    DATA(0x80000019, ANY), /* TLBs of 1 GB pages */
    {0x8000001A, ANY, CPUID_EAX, B(0) | B(1) | B(2), 0, "FP128 MOVU FP256"},
    DATA(0x8000001D, ANY), /* AMD: caches; EAX is cleared of the CPUs that share one */
    /* Hidden: SmmPgCfgLock, prefetch control, AutomaticIBRS. */
    {0x80000021, ANY, CPUID_EAX, B(0) | B(2) | B(6) | B(27) | B(28) | B(29), 0,
     "NO_NESTED_DATA_BP LFENCE_SERIALIZING NULL_SELECTOR_CLEARS_BASE SBPB IBPB_BRTYPE SRSO_NO"},
};

const unsigned cpuid_rule_count = ARRAY_SIZE(cpuid_rules);
