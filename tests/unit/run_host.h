/* What the run loop and the exit handlers need of the host, for run_machine.h: a TSC, a console that says
 * nothing. */
#ifndef UNIT_RUN_HOST_H
#define UNIT_RUN_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "hv/console.h"
#include "hv/show.h"
#include "hv/emulate.h"
#include "hv/watchdog.h"

#define HZ        UINT64_C(1000000000)
#define RAM_BYTES 0x100000u
#define HOST_MOST                                                                                            \
    UINT64_C(20000000000)             /* TSC at which a guest that still waits, waits for what never comes */
#define WORK_MOST UINT64_C(100000000) /* instructions of all guests, likewise */

static uint64_t host; /* the TSC */
static uint64_t idle_timer;
static uint64_t executed; /* instructions of all guests */

uint64_t host_tsc(void)
{
    return host += 3;
}

uint64_t host_tsc_hz(void)
{
    return HZ;
}

/* One CPU. */
static struct cpu only_cpu;

struct cpu *this_cpu(void)
{
    return &only_cpu;
}

unsigned cpus_count(void)
{
    return 1;
}

bool cpus_busy(unsigned id)
{
    (void)id;
    return false;
}

void cpus_begin(unsigned id, void (*job)(void *), void *argument)
{
    (void)id;
    (void)job;
    (void)argument;
    fail();
}

void cpus_serve(void)
{
    fail();
}

void watchdog_turn(uint64_t now)
{
    (void)now;
}

void watchdog_look(uint64_t now)
{
    (void)now;
}

void watchdog_rest(void)
{
}

void cpu_start_periodic_timer(uint32_t hz)
{
    (void)hz;
    fail();
}

void cpu_set_timer(uint64_t host_cycles)
{
    idle_timer = host_cycles;
}

void cpu_wait(void)
{
    host += idle_timer;
}

void console_service(void)
{
    host += 50;
    assert_in_range(host, 0, HOST_MOST);
    assert_in_range(executed, 0, WORK_MOST);
}

bool console_quit(void)
{
    return false;
}

bool cpu_machine_check_waits(void)
{
    return false;
}

void cpu_take_machine_check(void)
{
}

bool console_wants_machine_reset(void)
{
    return false;
}

void console_let_finish(const struct vm *vm)
{
    (void)vm;
}

void console_flush(void)
{
}

void console_machine_reset(void)
{
}

void show_exits(const struct vm *vm)
{
    (void)vm;
}

const char *exit_kind_name(enum exit_kind kind)
{
    (void)kind;
    return "exit";
}

bool nested_unmap(struct nested *nested, uint64_t gpa)
{
    (void)nested;
    (void)gpa;
    return false;
}

uint64_t vcpu_cr0(const struct vcpu *vcpu)
{
    (void)vcpu;
    return 1;
}

bool nested_restore(struct nested *nested, uint64_t gpa)
{
    (void)nested;
    return gpa < RAM_BYTES;
}

void emulate_memory(struct vm *vm, const struct exit *exit)
{
    (void)vm;
    (void)exit;
    fail();
}

void emulate_string_io(struct vm *vm)
{
    (void)vm;
    fail();
}

void fetch_forget(struct fetch_cache *cache)
{
    (void)cache;
}

unsigned fetch_instruction_length(struct vm *vm)
{
    (void)vm;
    return 1;
}

bool fetch_cr_operand(struct vm *vm, uint64_t *value)
{
    (void)vm;
    *value = 0;
    return true;
}

#endif
