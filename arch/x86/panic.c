/* The end of a run through our own fault; the contract is in api/panic.h. */
#include "arch/x86/api/panic.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/machine.h"
#include "arch/x86/backtrace.h"
#include "lib/fmt.h"
#include "lib/log.h"

static void (*panic_hook)(void);
static unsigned panicking; /* number of the CPU that was first to, and 1; 0: none */

uintptr_t __stack_chk_guard = 0x5EC0DE00C0FFEE11u; /* replaced at boot, before the first guest */
_Noreturn void __stack_chk_fail(void);

void panic_set_hook(void (*hook)(void))
{
    panic_hook = hook;
}

bool panic_elsewhere(void)
{
    unsigned who = __atomic_load_n(&panicking, __ATOMIC_ACQUIRE);

    return who && who != this_cpu()->id + 1;
}

bool panic_here(void)
{
    return __atomic_load_n(&panicking, __ATOMIC_ACQUIRE) == this_cpu()->id + 1;
}

_Noreturn void panic(const char *format, ...)
{
    char text[200];
    unsigned nobody = 0;
    va_list arguments;

    va_start(arguments, format);
    fmt_vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (__atomic_compare_exchange_n(&panicking, &nobody, this_cpu()->id + 1, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        cpus_stop_others();
        log_error("PANIC: %s", text);
        backtrace_show((uint64_t)(uintptr_t)__builtin_return_address(0),
                       (uint64_t)(uintptr_t)__builtin_frame_address(0));
        if (panic_hook)
            panic_hook();
    }
    machine_halt();
}

_Noreturn void __stack_chk_fail(void)
{
    panic("stack smashed");
}
