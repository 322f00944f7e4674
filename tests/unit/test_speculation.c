/*
 * Which measures against speculative execution a CPU gets (arch/x86/speculation.c): by what CPUs of these
 * kinds enumerate with the microcode of 2018 and later; and what is read and written of a fake machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/speculation.h"
#include "lib/log.h"

#define RTM        BIT(11)
#define MD_CLEAR   BIT(10)
#define IBRS_IBPB  BIT(26)
#define STIBP      BIT(27)
#define L1D_FLUSH  BIT(28)
#define ARCH_CAP   BIT(29)
#define SSBD       BIT(31)
#define RDCL_NO    BIT64(0)
#define IBRS_ALL   BIT64(1)
#define SKIP_L1DFL BIT64(3)
#define MDS_NO     BIT64(5)
#define TAA_NO     BIT64(8)
#define BHI_NO     BIT64(20)
#define PBRSB_NO   BIT64(24)
#define RFDS_CLEAR BIT64(28)
#define BHI_CTRL   BIT(4)
#define ITS_NO     BIT64(62)
#define AUTO_IBRS  BIT(8)
#define VERW_CLEAR BIT(5)
#define SRSO_NO    BIT(29)
#define TSA_SQ_NO  BIT(1)
#define TSA_L1_NO  BIT(2)

static const struct {
    const char *name;
    struct speculation_facts facts;
    const char *measures;
} kinds[] = {
    {"Sandy Bridge before 2018", {.intel = true, .threads = true}, ""},
    {"Sandy Bridge, microcode of 2019",
     {.intel = true, .threads = true, .leaf7_edx = MD_CLEAR | IBRS_IBPB | STIBP | L1D_FLUSH | SSBD},
     "IBRS at each exit, STIBP, IBPB between guests, RSB fill at each exit, L1D flush at each entry"},
    {"Skylake without threads",
     {.intel = true,
      .leaf7_ebx = RTM,
      .leaf7_edx = MD_CLEAR | IBRS_IBPB | STIBP | L1D_FLUSH | ARCH_CAP | SSBD},
     "IBRS at each exit, IBPB between guests, RSB fill at each exit, L1D flush at each entry"},
    {"under a hypervisor that flushes L1 itself",
     {.intel = true,
      .leaf7_edx = MD_CLEAR | IBRS_IBPB | L1D_FLUSH | ARCH_CAP,
      .arch_capabilities = SKIP_L1DFL},
     "IBRS at each exit, IBPB between guests, RSB fill at each exit, VERW at each entry"},
    {"Cascade Lake", /* ARCH_CAPABILITIES ABh */
     {.intel = true,
      .threads = true,
      .leaf7_ebx = RTM,
      .leaf7_edx = MD_CLEAR | IBRS_IBPB | STIBP | L1D_FLUSH | ARCH_CAP | SSBD,
      .arch_capabilities = 0xAB},
     "IBRS, STIBP, IBPB between guests, RSB fill at each exit, VERW at each entry"},
    {"Cascade Lake, TSX off",
     {.intel = true,
      .leaf7_edx = MD_CLEAR | IBRS_IBPB | STIBP | L1D_FLUSH | ARCH_CAP | SSBD,
      .arch_capabilities = 0xAB},
     "IBRS, IBPB between guests, RSB fill at each exit"},
    {"Alder Lake, with E cores",
     {.intel = true,
      .threads = true,
      .leaf7_edx = MD_CLEAR | IBRS_IBPB | STIBP | L1D_FLUSH | ARCH_CAP | SSBD,
      .leaf7_2_edx = BHI_CTRL,
      .arch_capabilities = RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO | TAA_NO | RFDS_CLEAR},
     "IBRS, BHI_DIS_S, STIBP, IBPB between guests, RSB fill at each exit, VERW at each entry"},
    {"one that has it all in hardware",
     {.intel = true,
      .leaf7_edx = MD_CLEAR | IBRS_IBPB | STIBP | L1D_FLUSH | ARCH_CAP | SSBD,
      .leaf7_2_edx = BHI_CTRL,
      .arch_capabilities = RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO | TAA_NO | BHI_NO | PBRSB_NO},
     "IBRS, IBPB between guests"},
    {"Goldmont: MDS_NO and no L1D_FLUSH",
     {.intel = true,
      .leaf7_edx = IBRS_IBPB | STIBP | ARCH_CAP,
      .arch_capabilities = RDCL_NO | SKIP_L1DFL | MDS_NO},
     "IBRS at each exit, IBPB between guests, RSB fill at each exit"},
    {"Bulldozer", {.amd = true}, ""},
    {"Zen", {.amd = true, .threads = true, .amd8_ebx = 0x1007}, "IBPB between guests, RSB fill at each exit"},
    {"Zen 2",
     {.amd = true, .threads = true, .amd8_ebx = 0x018CF757},
     "IBRS at each exit, STIBP, IBPB between guests, RSB fill at each exit"},
    {"Zen 3 without threads",
     {.amd = true, .amd8_ebx = 0x111EF657},
     "IBRS at each exit, IBPB between guests, RSB fill at each exit"},
    {"AMD with IBRS always on",
     {.amd = true, .amd8_ebx = BIT(12) | BIT(14) | BIT(16)},
     "IBRS, IBPB between guests, RSB fill at each exit"},
    {"Zen 4",
     {.amd = true, .threads = true, .amd8_ebx = 0x791EF257, .amd21_eax = AUTO_IBRS},
     "automatic IBRS, STIBP, IBPB between guests"},
    {"Zen 4, which does not say that it needs VERW",
     {.amd = true, .amd8_ebx = 0x791EF257, .amd21_eax = AUTO_IBRS, .family = 0x19},
     "automatic IBRS, IBPB between guests, VERW at each entry"},
    {"Zen 3 as a hypervisor shows it",
     {.amd = true, .amd8_ebx = 0x111EF657, .amd21_eax = VERW_CLEAR, .amd21_ecx = TSA_SQ_NO},
     "IBRS at each exit, IBPB between guests, RSB fill at each exit, VERW at each entry"},
    {"Zen 5",
     {.amd = true,
      .amd8_ebx = 0x791EF257,
      .amd21_eax = AUTO_IBRS | VERW_CLEAR | SRSO_NO,
      .amd21_ecx = TSA_SQ_NO | TSA_L1_NO,
      .family = 0x1A},
     "automatic IBRS, IBPB between guests"},
    {"another maker", {.leaf7_edx = UINT32_MAX, .amd8_ebx = UINT32_MAX}, ""},
};

static void test_kinds(void **state)
{
    char text[192];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct speculation chosen = speculation_choose(&kinds[i].facts);

        speculation_describe(&chosen, text, sizeof text);
        if (strcmp(text, kinds[i].measures) != 0)
            fail_msg("%s: %s", kinds[i].name, text);
        assert_int_equal(chosen.enumerated, kinds[i].measures[0] != 0);
    }
}

/* Intel's with enhanced IBRS and without BHI_CTRL: what more it is free of, its model and stepping. */
#define ENHANCED(free_of, its_model, its_stepping)                                                           \
    {                                                                                                        \
        .intel = true, .leaf7_edx = IBRS_IBPB | ARCH_CAP, .family = 6, .model = (its_model),                 \
        .stepping = (its_stepping), .arch_capabilities = RDCL_NO | IBRS_ALL | MDS_NO | (free_of)             \
    }

static void test_what_is_open(void **state)
{
    const struct {
        struct speculation_facts facts;
        const char *open;
    } cpus[] = {
        {{.intel = true}, ""},
        /* IBRS at each exit keeps a guest's history out */
        {{.intel = true, .leaf7_edx = IBRS_IBPB | L1D_FLUSH | MD_CLEAR}, ""},
        {{.intel = true, .leaf7_edx = IBRS_IBPB}, "L1 cache (L1TF), buffers (MDS, TAA)"},
        {{.intel = true, .leaf7_edx = MD_CLEAR | L1D_FLUSH}, "indirect branches (Spectre v2)"},
        {ENHANCED(0, 0xA5, 0), "branch history (BHI), indirect targets (ITS)"},
        {ENHANCED(BHI_NO, 0xA6, 0), "indirect targets (ITS)"},
        {ENHANCED(ITS_NO, 0xA5, 0), "branch history (BHI)"},
        {ENHANCED(BHI_NO, 0x7E, 0), ""},
        {ENHANCED(BHI_NO, 0x55, 5), ""},
        {ENHANCED(BHI_NO, 0x55, 7), "indirect targets (ITS)"},
        {{.intel = true,
          .leaf7_edx = IBRS_IBPB | ARCH_CAP,
          .leaf7_2_edx = BHI_CTRL,
          .arch_capabilities = RDCL_NO | IBRS_ALL | MDS_NO},
         ""},
        {{.amd = true, .family = 0x10}, ""},
        {{.amd = true, .family = 0x15}, "returns (Retbleed, SRSO)"},
        {{.amd = true, .family = 0x16, .amd8_ebx = BIT(29)}, ""},
        {{.amd = true, .family = 0x17, .amd8_ebx = BIT(12)},
         "indirect branches (Spectre v2), returns (Retbleed, SRSO)"},
        {{.amd = true, .family = 0x17}, "returns (Retbleed, SRSO)"},
        {{.amd = true, .family = 0x18}, "returns (Retbleed, SRSO)"}, /* Hygon's Zen */
        {{.amd = true, .family = 0x19, .amd21_eax = AUTO_IBRS}, "returns (Retbleed, SRSO)"},
        {{.amd = true, .family = 0x19, .amd21_eax = SRSO_NO}, ""},
        {{.amd = true, .family = 0x1A}, ""},
    };
    char text[160];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
        struct speculation chosen = speculation_choose(&cpus[i].facts);

        speculation_describe_open(&chosen, text, sizeof text);
        if (strcmp(text, cpus[i].open) != 0)
            fail_msg("%u: %s", i, text);
    }
}

/* Flushing the L1 cache does what VERW does; IBRS is not both for good and at each exit. */
static void test_nothing_is_done_twice(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1u << 16; i++) {
        struct speculation_facts facts = {.intel = true,
                                          .threads = i & 1,
                                          .leaf7_ebx = i & 2 ? RTM : 0,
                                          .leaf7_edx = (i & 4 ? MD_CLEAR : 0) | (i & 8 ? IBRS_IBPB : 0) |
                                                       (i & 16 ? STIBP : 0) | (i & 32 ? L1D_FLUSH : 0),
                                          .leaf7_2_edx = i & 64 ? BHI_CTRL : 0,
                                          .arch_capabilities =
                                              (i & 128 ? RDCL_NO : 0) | (i & 256 ? IBRS_ALL : 0) |
                                              (i & 512 ? SKIP_L1DFL : 0) | (i & 1024 ? MDS_NO : 0) |
                                              (i & 2048 ? TAA_NO : 0) | (i & 4096 ? BHI_NO : 0) |
                                              (i & 8192 ? PBRSB_NO : 0) | (i & 16384 ? RFDS_CLEAR : 0)};
        struct speculation s = speculation_choose(&facts);

        assert_false(s.guards & GUARD_VERW && s.guards & GUARD_FLUSH);
        assert_false(s.guards & GUARD_IBRS && s.spec_ctrl & (SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS));
        /* only what is enumerated is ever used */
        assert_true(!(s.guards & GUARD_VERW) || facts.leaf7_edx & MD_CLEAR);
        assert_true(!(s.guards & GUARD_FLUSH) || facts.leaf7_edx & L1D_FLUSH);
        assert_true(!(s.guards & GUARD_IBRS || s.spec_ctrl & SPEC_CTRL_IBRS || s.ibpb) ||
                    facts.leaf7_edx & IBRS_IBPB);
        assert_true(!(s.spec_ctrl & SPEC_CTRL_STIBP) || facts.leaf7_edx & STIBP);
    }
}

/* ---- a machine ---- */

static struct {
    bool intel, capabilities_fault, writes_fault;
    uint32_t leaf7_edx, leaf7_2_edx, threads, amd21_eax;
    uint64_t capabilities, spec_ctrl;
    unsigned writes;
} chip;
static char said[512];
static struct cpu cpu;

static void hear(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    (void)level;
    assert_true(strlen(said) + strlen(line) + 2 < sizeof said);
    strcat(said, line);
    strcat(said, "\n");
}

struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result r = {0};

    if (leaf == 0)
        r = (struct cpuid_result){.eax = 0x16, .ebx = chip.intel ? 0x756E6547 : 0x68747541};
    else if (leaf == 7 && subleaf == 0)
        r = (struct cpuid_result){.eax = 2, .edx = chip.leaf7_edx};
    else if (leaf == 7)
        r = (struct cpuid_result){.edx = chip.leaf7_2_edx};
    else if (leaf == 0xB)
        r = (struct cpuid_result){.ebx = chip.threads};
    else if (leaf == 0x80000000)
        r = (struct cpuid_result){.eax = chip.intel ? 0x80000008 : 0x80000021};
    else if (leaf == 0x80000001)
        r = (struct cpuid_result){.ecx = BIT(22)};
    else if (leaf == 0x80000008)
        r = (struct cpuid_result){.ebx = chip.intel ? 0 : 0x018CF757};
    else if (leaf == 0x80000021)
        r = (struct cpuid_result){.eax = chip.amd21_eax};
    else if (leaf == 0x8000001E)
        r = (struct cpuid_result){.ebx = (chip.threads - 1) << 8};
    return r;
}

bool rdmsr_safe(uint32_t index, uint64_t *value)
{
    if (index == MSR_EFER) {
        *value = 0x1D01;
        return true;
    }
    assert_int_equal(index, 0x10A);
    *value = chip.capabilities;
    return !chip.capabilities_fault;
}

bool wrmsr_safe(uint32_t index, uint64_t value)
{
    assert_true(index == MSR_SPEC_CTRL || index == MSR_PRED_CMD || index == MSR_FLUSH_CMD ||
                index == MSR_EFER);
    if (index == MSR_SPEC_CTRL)
        chip.spec_ctrl = value;
    else if (index == MSR_EFER)
        assert_true(value == (0x1D01 | BIT64(21)));
    else
        assert_true(value == 1);
    chip.writes++;
    return !chip.writes_fault;
}

struct cpu *this_cpu(void)
{
    return &cpu;
}

static void start(bool intel)
{
    memset(&chip, 0, sizeof chip);
    chip.intel = intel;
    chip.threads = 2;
    guard_flags = 0;
    cpu.id = 0;
    said[0] = 0;
    log_set_sink(hear, NULL);
    log_set_level(LOG_INFO);
}

static void test_intel_machine(void **state)
{
    (void)state;
    start(true);
    chip.leaf7_edx = MD_CLEAR | IBRS_IBPB | STIBP | ARCH_CAP;
    chip.leaf7_2_edx = BHI_CTRL;
    chip.capabilities = RDCL_NO | IBRS_ALL | MDS_NO;
    speculation_init(false);
    assert_string_equal(said,
                        "speculation: IBRS, BHI_DIS_S, STIBP, IBPB between guests, RSB fill at each exit\n");
    assert_true(chip.spec_ctrl == (SPEC_CTRL_IBRS | SPEC_CTRL_STIBP | SPEC_CTRL_BHI_DIS));
    assert_int_equal(guard_flags, GUARD_FILL_RSB);
    chip.capabilities_fault = true; /* then nothing is taken for granted */
    guard_flags = GUARD_DEADLINE;
    speculation_init(false);
    assert_true(chip.spec_ctrl == (SPEC_CTRL_IBRS | SPEC_CTRL_STIBP));
    assert_int_equal(guard_flags, GUARD_DEADLINE | GUARD_VERW | GUARD_IBRS | GUARD_FILL_RSB);
    assert_int_equal(guard_spec_ctrl_guest, SPEC_CTRL_STIBP);
    assert_int_equal(guard_spec_ctrl_monitor, SPEC_CTRL_STIBP | SPEC_CTRL_IBRS);
}

static void test_amd_machine(void **state)
{
    (void)state;
    start(false);
    speculation_init(false);
    assert_string_equal(said, "speculation: IBRS at each exit, STIBP, IBPB between guests, RSB fill at each "
                              "exit\n");
    chip.threads = 1;
    said[0] = 0;
    speculation_init(false);
    assert_null(strstr(said, "STIBP"));
}

static void test_nothing_enumerated(void **state)
{
    (void)state;
    start(true);
    speculation_init(false);
    assert_string_equal(said, "speculation: this CPU enumerates no controls: no measures\n");
    assert_int_equal(chip.writes, 0);
    assert_int_equal(guard_flags, 0);
}

/* It enumerates what it then refuses: none of that is left for an entry or an exit. */
static void test_refused(void **state)
{
    (void)state;
    start(true);
    chip.leaf7_edx = MD_CLEAR | IBRS_IBPB | STIBP | L1D_FLUSH;
    chip.writes_fault = true;
    speculation_init(false);
    assert_int_equal(chip.writes, 3);
    assert_true(!speculation.ibpb && speculation.spec_ctrl == 0);
    assert_int_equal(guard_flags, GUARD_FILL_RSB | GUARD_VERW);
    assert_string_equal(said, "cpu0: speculation: 3 in IA32_SPEC_CTRL is refused\n"
                              "cpu0: speculation: IBPB is refused\n"
                              "cpu0: speculation: to flush the L1 cache is refused: VERW in its stead\n"
                              "speculation: RSB fill at each exit, VERW at each entry\n");
    start(false);
    chip.amd21_eax = AUTO_IBRS;
    speculation_init(false);
    assert_true(speculation.automatic_ibrs && guard_flags == 0);
    chip.writes_fault = true;
    said[0] = 0;
    speculation_init(false);
    assert_false(speculation.automatic_ibrs);
    assert_int_equal(guard_flags, GUARD_FILL_RSB);
    assert_non_null(strstr(said, "cpu0: speculation: automatic IBRS is refused\n"));
}

/* A line only where it isn't as CPU 0: an E core behind a P core. */
static void test_further_cpus(void **state)
{
    (void)state;
    start(true);
    chip.leaf7_edx = IBRS_IBPB | STIBP | ARCH_CAP;
    chip.capabilities = RDCL_NO | MDS_NO;
    speculation_init(false);
    said[0] = 0;
    cpu.id = 1;
    speculation_init(false);
    assert_string_equal(said, "");
    chip.threads = 1;
    speculation_init(false);
    assert_string_equal(said,
                        "cpu1: speculation: IBRS at each exit, IBPB between guests, RSB fill at each exit\n");
    said[0] = 0;
    chip.leaf7_edx = 0;
    speculation_init(false);
    assert_string_equal(said, "cpu1: speculation: this CPU enumerates no controls: no measures\n");
}

static void test_off(void **state)
{
    (void)state;
    start(false);
    speculation_init(true);
    assert_non_null(strstr(said, "no measures (spec-ctrl=off)"));
    assert_int_equal(chip.writes, 0);
    assert_true(guard_flags == 0 && !speculation.ibpb && !speculation.automatic_ibrs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_what_is_open),
        cmocka_unit_test(test_nothing_is_done_twice),
        cmocka_unit_test(test_intel_machine),
        cmocka_unit_test(test_amd_machine),
        cmocka_unit_test(test_nothing_enumerated),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_further_cpus),
        cmocka_unit_test(test_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
