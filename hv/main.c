/*
 * The whole of Verge put together, in order: this is where to start reading. Called once by boot/entry.asm on
 * the boot CPU, never returns.
 */
#include "hv/main.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/keyboard.h"
#include "arch/x86/api/machine.h"
#include "arch/x86/api/memory_map.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/api/screen.h"
#include "arch/x86/api/serial.h"
#include "boot/boot_info.h"
#include "guest/cfg.h"
#include "guest/pc.h"
#include "hv/console.h"
#include "hv/ledger.h"
#include "hv/perturb.h"
#include "hv/report.h"
#include "hv/run.h"
#include "hv/show.h"
#include "hv/trace.h"
#include "hv/vm.h"
#include "hv/watchdog.h"
#include "lib/crc32.h"
#include "lib/log.h"
#include "lib/ratio.h"
#include "version.h"

#define CODE_NO_VERDICT 125 /* Verge itself found no way to run */
#define TRACE_ON_PANIC  32

extern char image_start[], image_end[];

static struct boot_info boot_info;
static struct plan plan;
static struct hv_settings early_settings;

static void read_boot_info(uint32_t magic, uint64_t info, uint64_t image_base)
{
    const void *memory = phys_to_virt(0);

    boot_info_init(&boot_info);
    boot_info.image_base = image_base;
    boot_info.image_size = (uint64_t)(image_end - image_start);
    if (magic == MULTIBOOT1_LOADER_MAGIC)
        boot_info_from_multiboot1(&boot_info, phys_to_virt(info), memory);
    else if (magic == MULTIBOOT2_LOADER_MAGIC)
        boot_info_from_multiboot2(&boot_info, phys_to_virt(info), memory);
}

/* Before any memory is given out: what the modules hold now is what their guests will get. */
static void check_modules(void)
{
    for (unsigned i = 0; i < boot_info.module_count; i++) {
        struct boot_module *module = &boot_info.modules[i];

        module->crc32 = crc32(0, phys_to_virt(module->base), module->size);
        log_info("module %u: %08llx, %'llu bytes, crc %08x: %s", i + 1, (unsigned long long)module->base,
                 (unsigned long long)module->size, module->crc32, module->string);
    }
    if (boot_info.dropped)
        log_warning("%u items of the boot loader's information did not fit and were left out (room is for %u "
                    "modules, %u ranges of memory and %u bytes of strings)",
                    boot_info.dropped, BOOT_MODULES_MAX, BOOT_RANGES_MAX, BOOT_STRINGS_SIZE);
}

/* onexit=stay: the console's keys go on showing what the guests left. */
static _Noreturn void stay(unsigned code)
{
    log_notice("nothing runs any more; code %u; Ctrl-A h: keys, Ctrl-A x: power off", code);
    while (!console_quit()) {
        console_service();
        cpu_relax();
    }
    machine_power_off(code);
}

static void end(unsigned code)
{
    switch ((enum hv_onexit)early_settings.onexit) {
    case HV_ONEXIT_POWEROFF:
        machine_power_off(code);
    case HV_ONEXIT_REBOOT:
        machine_reboot();
    case HV_ONEXIT_STAY:
        if (vm_count)
            stay(code);
        /* fall through */
    default:
        log_notice("halted; code %u", code);
        machine_halt();
    }
}

/* The reason has been logged. A PC that goes off at once shows it to nobody. */
static void fail(void)
{
    log_error("Verge can't run");
    if (early_settings.onexit == HV_ONEXIT_POWEROFF)
        machine_stop(CODE_NO_VERDICT);
    end(CODE_NO_VERDICT);
}

static void preflight(void)
{
    const char *warnings[4];
    unsigned count;
    const char *reason = cpu_preflight(warnings, ARRAY_SIZE(warnings), &count);

    for (unsigned i = 0; i < count; i++)
        log_warning("%s", warnings[i]);
    if (!reason)
        return;
    log_error("%s", reason);
    fail();
}

static void make_plan(void)
{
    static struct plan_module modules[BOOT_MODULES_MAX];
    struct settings_error error = {0};

    for (unsigned i = 0; i < boot_info.module_count; i++)
        modules[i] = (struct plan_module){boot_info.modules[i].string,
                                          phys_to_virt(boot_info.modules[i].base), boot_info.modules[i].size};
    if (!plan_build(boot_info.command_line, modules, boot_info.module_count, &plan, &error)) {
        log_error("%s", error.text);
        fail();
    }
    early_settings = plan.hv; /* with the words of verge.cfg */
    console_open(&early_settings);
    for (unsigned i = 0; i < boot_info.module_count; i++)
        if (plan.unused_modules & BIT(i))
            log_warning("module %u serves no guest: %s", i + 1, boot_info.modules[i].string);
}

/* What a further CPU is told. */
static struct {
    unsigned guest;
    bool made;
} making;

static void make_guest(void *nothing)
{
    (void)nothing;
    making.made = pc_create(&plan, making.guest, &boot_info);
}

static void check_cpu(const struct guest_plan *guest)
{
    unsigned number = guest->settings.cpu.number;

    if (cpus_ready(number))
        return;
    if (number < cpus_count())
        log_error("%s: cpu=%u: that CPU can't run guests: set cpu=0", guest->name, number);
    else
        log_error("%s: cpu=%u: this machine's highest is %u: set cpu=0", guest->name, number,
                  cpus_count() - 1);
    fail();
}

/* Each on the CPU that will run it: a vCPU belongs there from the start. One after the other. */
static void make_guests(void)
{
    for (unsigned i = 0; i < plan.guest_count; i++) {
        check_cpu(&plan.guests[i]);
        making.guest = i;
        making.made = false;
        unsigned cpu = plan.guests[i].settings.cpu.number;
        if (cpu == this_cpu()->id) {
            make_guest(NULL);
        } else {
            cpus_begin(cpu, make_guest, NULL);
            cpus_wait(cpu); /* all of its memory is cleared */
        }
        if (!making.made) {
            log_error("%s: could not be started", plan.guests[i].name);
            fail();
        }
    }
}

static void show_trace_on_panic(void)
{
    trace_show(TRACE_ON_PANIC);
    if (!early_settings.noreboot && early_settings.onexit == HV_ONEXIT_POWEROFF)
        machine_power_off(CODE_NO_VERDICT);
}

static const enum cpu_timer timers[] = {
    [HV_TIMER_AUTO] = CPU_TIMER_AUTO,         [HV_TIMER_ONESHOT] = CPU_TIMER_ONESHOT,
    [HV_TIMER_DEADLINE] = CPU_TIMER_DEADLINE, [HV_TIMER_PREEMPT] = CPU_TIMER_PREEMPTION,
    [HV_TIMER_PERIODIC] = CPU_TIMER_PERIODIC,
};
static const enum cpu_apic apics[] = {[HV_APIC_AUTO] = CPU_APIC_AUTO, [HV_APIC_XAPIC] = CPU_APIC_XAPIC};

/* A CPU without guests looks after the others: where time is measured, not counted, and it costs nobody any.
 */
static void start_watchdog(void)
{
    for (unsigned cpu = 1; cpu < cpus_count() && vcpu_switch_costs()->spread; cpu++) {
        if (cpus_ready(cpu) && !run_has_guests(cpu)) {
            cpus_begin(cpu, watchdog_watch, NULL);
            return;
        }
    }
}

static void show_health(void *nothing)
{
    (void)nothing;
    cpu_health_show(false);
}

_Noreturn void boot_main(uint32_t magic, uint64_t info, uint64_t image_base)
{
    struct settings_error error = {0};
    struct ratio cycles_per_ns;
    static struct run_settings run;

    ledger_start(host_tsc());
    stack_guard_seed(host_tsc());
    cpu_init_early();
    read_boot_info(magic, info, image_base);
    bool settings_good = hv_settings_parse(boot_info.command_line, &early_settings, &error);
    if (early_settings.display != HV_DISPLAY_OFF)
        host_screen_open(&boot_info.screen, early_settings.display == HV_DISPLAY_AUTO);
    host_serial_learn_memory(&boot_info);
    console_init(&early_settings);
    panic_set_hook(show_trace_on_panic);
    log_info("Verge %s (%s) at %llx, from %s", VERGE_VERSION, VERGE_COMMIT, (unsigned long long)image_base,
             boot_info.loader);
    machine_read_tables(boot_info.rsdp); /* they tell how to power off, whatever goes wrong next */
    console_search(&early_settings);
    if (!settings_good) {
        log_error("%s", error.text);
        fail();
    }
    check_modules();
    phys_init(&boot_info);
    memory_map_init(&boot_info);
    host_serial_map();
    host_screen_map();
    preflight();
    cpu_health_check();
    make_plan();
    cpu_init_time(early_settings.tsc_hz);
    cpu_init_speculation(plan.hv.spec_ctrl == HV_SPEC_CTRL_OFF);
    if (!cpu_init_virtualisation(timers[plan.hv.timer.kind], apics[plan.hv.apic]))
        fail();
    const struct switch_costs *costs = vcpu_switch_costs();
    log_info("Verge %s (%s), %s, TSC %'llu Hz, %'llu MB RAM", VERGE_VERSION, VERGE_COMMIT, cpu_backend_name(),
             (unsigned long long)host_tsc_hz(), (unsigned long long)phys_total() >> 20);
    log_info("cpu%u: E=%llu X=%llu spread=%llu: %s", this_cpu()->id, (unsigned long long)costs->entry,
             (unsigned long long)costs->exit_instruction, (unsigned long long)costs->spread,
             !costs->spread                 ? "nothing is ever charged to close a gap"
             : plan.hv.exact == HV_EXACT_ON ? "exact=on: gaps are closed by setting the timer again"
                                            : "small gaps are charged and counted");
    cpus_start();
    perturb_init(plan.hv.perturb_seed);
    make_guests();
    log_info("memory: %'llu KB image, %'llu KB own, %'llu MB free",
             (unsigned long long)boot_info.image_size >> 10, (unsigned long long)phys_own() >> 10,
             (unsigned long long)phys_free() >> 20);

    ratio_init(&cycles_per_ns, host_tsc_hz(), UINT64_C(1000000000));
    run.slice = ratio_floor(&cycles_per_ns, plan.hv.slice_ns);
    run.periodic_hz = plan.hv.timer.periodic_hz;
    run.perturb_seed = plan.hv.perturb_seed;
    if (early_settings.display != HV_DISPLAY_OFF && host_keyboard_open())
        log_debug("keyboard: PS/2");
    report_init(&boot_info);
    if (!boot_info.module_count)
        report_show(); /* the built-in guest runs: somebody tries this machine */
    start_watchdog();
    console_start();
    ledger_book(LEDGER_BOOT, host_tsc());
    unsigned code = run_all(&run);
    for (unsigned cpu = 0; cpu < cpus_count(); cpu++)
        if (cpus_ready(cpu))
            cpus_call(cpu, show_health, NULL);
    for (unsigned i = 0; i < vm_count && plan.hv.screen; i++)
        show_screen(vms[i]);
    if (console_wants_machine_reset())
        machine_reboot();
    end(code);
    machine_halt();
}
