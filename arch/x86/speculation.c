/*
 * Measures against speculative execution; the contract is in speculation.h. What is left out stands in
 * docs/hardware.md. Sources: Intel SDM vol. 4, IA32_SPEC_CTRL, IA32_ARCH_CAPABILITIES, IA32_FLUSH_CMD; Intel,
 * "Speculative Execution Side Channel Mitigations", "Deep Dive: Intel Analysis of L1 Terminal Fault", "Deep
 * Dive: Intel Analysis of Microarchitectural Data Sampling", "Post-barrier Return Stack Buffer Predictions";
 * AMD, "Software Techniques for Managing Speculation on AMD Processors", "Technical Guidance for Mitigating
 * Transient Scheduler Attacks"; AMD64 APM vol. 2, "Automatic IBRS".
 */
#include "arch/x86/speculation.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/asm.h"
#include "arch/x86/identity.h"
#include "arch/x86/trap.h"
#include "lib/fmt.h"
#include "lib/log.h"
#include "lib/string.h"

/* CPUID 7.0 */
#define EBX_RTM               BIT(11)
#define EDX_MD_CLEAR          BIT(10)
#define EDX_IBRS_IBPB         BIT(26)
#define EDX_STIBP             BIT(27)
#define EDX_L1D_FLUSH         BIT(28)
#define EDX_ARCH_CAPABILITIES BIT(29)
/* CPUID 7.2 */
#define EDX_BHI_CTRL        BIT(4)
#define EFER_AUTOMATIC_IBRS BIT64(21)
/* CPUID 80000008h, 80000021h */
#define AMD_IBPB        BIT(12)
#define AMD_IBRS        BIT(14)
#define AMD_STIBP       BIT(15)
#define AMD_IBRS_ALWAYS BIT(16)
#define AMD_BTC_NO      BIT(29)
#define AMD_VERW_CLEAR  BIT(5)
#define AMD_AUTO_IBRS   BIT(8)
#define AMD_SRSO_NO     BIT(29)
#define AMD_TSA_NO      (BIT(1) | BIT(2)) /* of the store queue and of the L1 cache */
#define FAMILY_15H      0x15u
#define FAMILY_ZEN_1    0x17u /* and Zen 2; Hygon's is 18h */
#define FAMILY_ZEN_4    0x19u /* and Zen 3 */
/* IA32_ARCH_CAPABILITIES */
#define CAP_RDCL_NO    BIT64(0)
#define CAP_IBRS_ALL   BIT64(1)
#define CAP_SKIP_L1DFL BIT64(3)
#define CAP_MDS_NO     BIT64(5)
#define CAP_TAA_NO     BIT64(8)
#define CAP_BHI_NO     BIT64(20)
#define CAP_PBRSB_NO   BIT64(24)
#define CAP_RFDS_CLEAR BIT64(28)
#define CAP_ITS_NO     BIT64(62)

PER_CPU struct speculation speculation;
PER_CPU uint32_t guard_flags, guard_spec_ctrl_guest, guard_spec_ctrl_monitor;
uint16_t guard_selector = SELECTOR_DATA; /* VERW overwrites buffers where the segment may be written */

/* Branch type confusion (Retbleed) up to Zen 2, and what is alike on Zen 3 and 4 (SRSO). */
static bool returns_are_open(const struct speculation_facts *f)
{
    if (f->family >= FAMILY_15H && f->family < FAMILY_ZEN_1)
        return !(f->amd8_ebx & AMD_BTC_NO);
    return f->family >= FAMILY_ZEN_1 && f->family <= FAMILY_ZEN_4 && !(f->amd21_eax & AMD_SRSO_NO);
}

/* VERW_CLEAR is for hypervisors to show: the CPUs that need VERW don't say that their microcode has made it
 * overwrite anything. Without that microcode it does no harm. */
static bool needs_verw_amd(const struct speculation_facts *f)
{
    return (f->family == FAMILY_ZEN_4 || f->amd21_eax & AMD_VERW_CLEAR) &&
           (f->amd21_ecx & AMD_TSA_NO) != AMD_TSA_NO;
}

static void choose_amd(const struct speculation_facts *f, struct speculation *s)
{
    s->enumerated =
        f->amd8_ebx & (AMD_IBPB | AMD_IBRS | AMD_STIBP) || f->amd21_eax & (AMD_AUTO_IBRS | AMD_VERW_CLEAR);
    s->ibpb = f->amd8_ebx & AMD_IBPB;
    s->automatic_ibrs = f->amd21_eax & AMD_AUTO_IBRS;
    s->open_returns = returns_are_open(f);
    s->open_branches = s->enumerated && !s->automatic_ibrs && !(f->amd8_ebx & AMD_IBRS);
    if (needs_verw_amd(f))
        s->guards |= GUARD_VERW;
    if (f->threads && f->amd8_ebx & AMD_STIBP)
        s->spec_ctrl |= SPEC_CTRL_STIBP;
    if (s->automatic_ibrs || !s->enumerated)
        return; /* it empties the return predictor at each exit, too */
    s->guards |= GUARD_FILL_RSB;
    if (f->amd8_ebx & AMD_IBRS_ALWAYS)
        s->spec_ctrl |= SPEC_CTRL_IBRS;
    else if (f->amd8_ebx & AMD_IBRS)
        s->guards |= GUARD_IBRS;
}

/* What the CPU keeps of memory where a guest could read it. Flushing the cache empties the buffers, too. */
static void choose_leaks(const struct speculation_facts *f, struct speculation *s)
{
    uint64_t cap = f->arch_capabilities;
    bool l1tf = !(cap & (CAP_RDCL_NO | CAP_SKIP_L1DFL));
    bool taa = f->leaf7_ebx & EBX_RTM && !(cap & CAP_TAA_NO);
    bool buffers = !(cap & CAP_MDS_NO) || taa || cap & CAP_RFDS_CLEAR;

    s->open_cache = s->enumerated && l1tf && !(f->leaf7_edx & EDX_L1D_FLUSH);
    s->open_buffers = s->enumerated && buffers && !(f->leaf7_edx & EDX_MD_CLEAR);
    if (l1tf && f->leaf7_edx & EDX_L1D_FLUSH)
        s->guards |= GUARD_FLUSH;
    else if (buffers && f->leaf7_edx & EDX_MD_CLEAR)
        s->guards |= GUARD_VERW;
}

/* Of a guest's indirect targets against the monitor; later ones are affected within one system only. Source
 * of models and steppings: Intel, "Indirect Target Selection"; Linux, arch/x86/kernel/cpu/common.c. */
static bool has_its(const struct speculation_facts *f)
{
    return f->family == 6 &&
           ((f->model == 0x55 && f->stepping >= 6) || (f->model == 0x8E && f->stepping >= 0xC) ||
            (f->model == 0x9E && f->stepping >= 0xD) || f->model == 0xA5 || f->model == 0xA6);
}

static void choose_intel(const struct speculation_facts *f, struct speculation *s)
{
    uint64_t cap = f->arch_capabilities;
    bool enhanced = cap & CAP_IBRS_ALL;

    s->enumerated = f->leaf7_edx & (EDX_IBRS_IBPB | EDX_STIBP | EDX_MD_CLEAR | EDX_L1D_FLUSH);
    s->ibpb = f->leaf7_edx & EDX_IBRS_IBPB;
    s->open_branches = s->enumerated && !s->ibpb;
    choose_leaks(f, s);
    if (f->threads && f->leaf7_edx & EDX_STIBP)
        s->spec_ctrl |= SPEC_CTRL_STIBP;
    if (!(f->leaf7_edx & EDX_IBRS_IBPB))
        return; /* the monitor's branches can be steered whatever its returns do */
    bool bhi_ctrl = f->leaf7_2_edx & EDX_BHI_CTRL;
    if (enhanced && bhi_ctrl && !(cap & CAP_BHI_NO))
        s->spec_ctrl |= SPEC_CTRL_BHI_DIS;
    s->open_bhi = enhanced && !bhi_ctrl && !(cap & CAP_BHI_NO);
    s->open_its = has_its(f) && !(cap & CAP_ITS_NO);
    if (enhanced)
        s->spec_ctrl |= SPEC_CTRL_IBRS;
    else
        s->guards |= GUARD_IBRS;
    if (!enhanced || !(cap & CAP_PBRSB_NO))
        s->guards |= GUARD_FILL_RSB;
}

struct speculation speculation_choose(const struct speculation_facts *facts)
{
    struct speculation chosen = {0};

    if (facts->amd)
        choose_amd(facts, &chosen);
    else if (facts->intel)
        choose_intel(facts, &chosen);
    return chosen;
}

struct name {
    bool on;
    const char *name;
};

static void list(const struct name *names, size_t count, char *text, size_t size)
{
    size_t length = 0;

    text[0] = 0;
    for (size_t i = 0; i < count && length < size; i++)
        if (names[i].on)
            length += fmt_snprintf(text + length, size - length, "%s%s", length ? ", " : "", names[i].name);
}

void speculation_describe(const struct speculation *s, char *text, size_t size)
{
    const struct name measures[] = {
        {s->automatic_ibrs, "automatic IBRS"},
        {s->spec_ctrl & SPEC_CTRL_IBRS, "IBRS"},
        {s->guards & GUARD_IBRS, "IBRS at each exit"},
        {s->spec_ctrl & SPEC_CTRL_BHI_DIS, "BHI_DIS_S"},
        {s->spec_ctrl & SPEC_CTRL_STIBP, "STIBP"},
        {s->ibpb, "IBPB between guests"},
        {s->guards & GUARD_FILL_RSB, "RSB fill at each exit"},
        {s->guards & GUARD_FLUSH, "L1D flush at each entry"},
        {s->guards & GUARD_VERW, "VERW at each entry"},
    };

    list(measures, ARRAY_SIZE(measures), text, size);
}

void speculation_describe_open(const struct speculation *s, char *text, size_t size)
{
    const struct name open[] = {
        {s->open_branches, "indirect branches (Spectre v2)"},
        {s->open_bhi, "branch history (BHI)"},
        {s->open_its, "indirect targets (ITS)"},
        {s->open_returns, "returns (Retbleed, SRSO)"},
        {s->open_cache, "L1 cache (L1TF)"},
        {s->open_buffers, "buffers (MDS, TAA)"},
    };

    list(open, ARRAY_SIZE(open), text, size);
}

/* ---- this CPU ---- */

static struct cpuid_result leaf(uint32_t number, uint32_t subleaf)
{
    return cpuid(number & 0x80000000, 0).eax >= number ? cpuid(number, subleaf) : (struct cpuid_result){0};
}

static bool has_threads(bool amd)
{
    if (amd)
        return cpuid(0x80000001, 0).ecx & BIT(22) && leaf(0x8000001E, 0).ebx >> 8 & 0xFF;
    return (leaf(0xB, 0).ebx & 0xFFFF) > 1;
}

static struct speculation_facts read_facts(void)
{
    struct cpuid_result leaf7 = leaf(7, 0);
    struct speculation_facts facts = {
        .amd = cpu_is_amd(),
        .intel = cpu_is_intel(),
        .leaf7_ebx = leaf7.ebx,
        .leaf7_edx = leaf7.edx,
        .leaf7_2_edx = leaf7.eax >= 2 ? cpuid(7, 2).edx : 0,
        .amd8_ebx = leaf(0x80000008, 0).ebx,
        .amd21_eax = leaf(0x80000021, 0).eax,
        .amd21_ecx = leaf(0x80000021, 0).ecx,
    };
    uint32_t signature = cpuid(1, 0).eax;

    facts.family = (signature >> 8 & 0xF) + (signature >> 20 & 0xFF);
    facts.model = (signature >> 4 & 0xF) | (signature >> 12 & 0xF0);
    facts.stepping = signature & 0xF;
    facts.threads = has_threads(facts.amd);
    if (leaf7.edx & EDX_ARCH_CAPABILITIES && !rdmsr_safe(MSR_ARCH_CAPS, &facts.arch_capabilities))
        facts.arch_capabilities = 0;
    return facts;
}

/* What it runs under may enumerate an MSR and refuse it: a measure at an entry would end the machine then. */
static void drop_refused(const struct speculation_facts *facts, struct speculation *s)
{
    unsigned id = this_cpu()->id;
    uint64_t efer;

    if (s->automatic_ibrs &&
        !(rdmsr_safe(MSR_EFER, &efer) && wrmsr_safe(MSR_EFER, efer | EFER_AUTOMATIC_IBRS))) {
        struct speculation_facts without = *facts;

        log_warning("cpu%u: speculation: automatic IBRS is refused", id);
        without.amd21_eax &= ~AMD_AUTO_IBRS;
        *s = speculation_choose(&without);
    }
    uint32_t value = s->spec_ctrl | (s->guards & GUARD_IBRS ? SPEC_CTRL_IBRS : 0);

    if (value && !wrmsr_safe(MSR_SPEC_CTRL, value)) {
        log_warning("cpu%u: speculation: %x in IA32_SPEC_CTRL is refused", id, value);
        s->spec_ctrl = 0;
        s->guards &= ~GUARD_IBRS;
    }
    if (s->ibpb && !wrmsr_safe(MSR_PRED_CMD, PRED_CMD_IBPB)) {
        log_warning("cpu%u: speculation: IBPB is refused", id);
        s->ibpb = false;
    }
    if (s->guards & GUARD_FLUSH && !wrmsr_safe(MSR_FLUSH_CMD, FLUSH_CMD_L1D)) {
        log_warning("cpu%u: speculation: to flush the L1 cache is refused: VERW in its stead", id);
        s->guards ^= GUARD_FLUSH | GUARD_VERW;
    }
}

static void log_choice(bool off)
{
    static struct text {
        char on[192], open[160];
    } boot_cpus;
    struct text here;
    unsigned id = this_cpu()->id;
    char cpu[16] = "";

    speculation_describe(&speculation, here.on, sizeof here.on);
    speculation_describe_open(&speculation, here.open, sizeof here.open);
    if (id == 0)
        boot_cpus = here;
    else if (strcmp(here.on, boot_cpus.on) == 0 && strcmp(here.open, boot_cpus.open) == 0)
        return;
    else
        fmt_snprintf(cpu, sizeof cpu, "cpu%u: ", id);
    if (off)
        log_warning("speculation: no measures (spec-ctrl=off): guests may spy on each other and on Verge");
    else if (here.on[0])
        log_info("%sspeculation: %s", cpu, here.on);
    else
        log_info("%sspeculation: %s", cpu,
                 speculation.enumerated ? "this CPU needs no measures"
                                        : "this CPU enumerates no controls: no measures");
    if (here.open[0])
        log_info("%sspeculation: open on this CPU: %s", cpu, here.open);
}

void speculation_init(bool off)
{
    struct speculation_facts facts = read_facts();

    speculation = off ? (struct speculation){0} : speculation_choose(&facts);
    drop_refused(&facts, &speculation);
#ifdef SPECULATION_FORCED /* a test build runs what its emulator never enumerates */
    speculation.guards |= SPECULATION_FORCED;
    speculation.ibpb |= (SPECULATION_FORCED & GUARD_IBRS) != 0; /* with the other MSRs */
#endif
    guard_flags |= speculation.guards;
    guard_spec_ctrl_guest = speculation.spec_ctrl;
    guard_spec_ctrl_monitor = speculation.spec_ctrl | SPEC_CTRL_IBRS;
    log_choice(off);
}
