/* The report; the contract is in report.h. */
#include "hv/report.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/machine.h"
#include "arch/x86/api/phys.h"
#include "arch/x86/api/vcpu.h"
#include "boot/boot_info.h"
#include "hv/console.h"
#include "hv/vm.h"
#include "version.h"

static const struct boot_info *boot;

void report_init(const struct boot_info *info)
{
    boot = info;
}

static void show_machine(void)
{
    char text[160];

    cpu_describe(text, sizeof text);
    log_notice("%s", text);
    log_notice("%s, TSC %'llu Hz, timer %s", cpu_backend_name(), (unsigned long long)host_tsc_hz(),
               cpu_timer_name());
    machine_describe(text, sizeof text);
    log_notice("%'llu MB RAM, %s", (unsigned long long)phys_total() >> 20, text);
}

/* On each CPU, of its own. */
static void show_cpu(void *nothing)
{
    const struct switch_costs *costs = vcpu_switch_costs();

    (void)nothing;
    log_notice("cpu%u: E=%llu X=%llu spread=%llu, recalibrated %llu times", this_cpu()->id,
               (unsigned long long)costs->entry, (unsigned long long)costs->exit_instruction,
               (unsigned long long)costs->spread, (unsigned long long)vcpu_recalibrations());
    for (unsigned i = 0; i < vm_count; i++) {
        if (!vm_is_here(vms[i]))
            continue;
        log_notice("%s: %'llu timer events, %'llu late (worst %llu), %s", vms[i]->name,
                   (unsigned long long)vms[i]->clock.deadlines.fired,
                   (unsigned long long)vms[i]->landing.late, (unsigned long long)vms[i]->landing.worst_late,
                   vm_time_exact(vms[i]) ? "exact" : "NOT EXACT");
    }
    cpu_health_show(true);
}

void report_show(void)
{
    log_notice("---- report: copy from here ----");
    log_notice("Verge %s (%s), from %s", VERGE_VERSION, VERGE_COMMIT, boot->loader);
    show_machine();
    for (unsigned cpu = 0; cpu < cpus_count(); cpu++)
        if (cpus_ready(cpu))
            cpus_call(cpu, show_cpu, NULL);
        else
            log_notice("cpu%u: can't be used", cpu);
    log_notice("---- to here ----");
}
