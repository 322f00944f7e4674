/* The PC's parts, for the files of guest/ that make and run it. */
#ifndef GUEST_PC_INTERNAL_H
#define GUEST_PC_INTERNAL_H

#include "devices/acpi_pm_timer.h"
#include "devices/debug_exit.h"
#include "devices/i8042.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/mc146818.h"
#include "devices/port61.h"
#include "devices/port92.h"
#include "devices/post_code.h"
#include "devices/uart16550.h"
#include "devices/vga_text.h"
#include "guest/cfg.h"
#include "guest/cpuid_level.h"
#include "guest/load.h"
#include "guest/msr.h"
#include "hv/vm.h"

#define PC_DEVICES_MAX 16

struct pc {
    struct vm vm;
    struct grid pit_grid;
    struct i8254 pit;
    struct i8259_pair pic;
    struct mc146818 rtc;
    struct acpi_pm_timer pm_timer;
    struct port61 port61;
    struct uart16550 com1;
    struct i8042 i8042;
    struct port92 port92;
    struct vga_text vga;
    struct post_code post_code;
    struct debug_exit debug_exit;
    const struct device *devices[PC_DEVICES_MAX]; /* in order of reset */
    unsigned device_count;
    struct cpuid_policy cpuid;
    struct msr_policy msr_policy;
    struct msr_slots msr_slots;
    const struct guest_plan *plan;
    const struct boot_info *boot;
};

static inline struct pc *pc_of(struct vm *vm)
{
    return container_of(vm, struct pc, vm);
}

/* pc_devices.c: makes the chips and wires them. */
void pc_wire(struct pc *pc);

/* pc_devices.c: what firmware would have left in the CMOS, and the date. */
void pc_set_cmos(struct pc *pc);

/* pc_load.c: clears RAM, loads the image and its modules, sets the vCPU. False with a logged reason. `first`:
 * log what it is. */
bool pc_load(struct pc *pc, bool first);

#endif
