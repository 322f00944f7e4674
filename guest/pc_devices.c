/* The chips of the PC and their wiring. Sources: the ISA and PIIX4 assignments of ports and interrupt lines.
 */
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/host_rtc.h"
#include "arch/x86/api/panic.h"
#include "guest/pc_internal.h"
#include "lib/date.h"

#define IRQ_TIMER    0
#define IRQ_KEYBOARD 1
#define IRQ_COM1     4
#define IRQ_RTC      8
#define IRQ_MOUSE    12

#define VGA_TEXT_GPA UINT64_C(0xB8000)

static void add_device(struct pc *pc, const struct device *device)
{
    ASSERT(pc->device_count < PC_DEVICES_MAX);
    pc->devices[pc->device_count++] = device;
}

static void add_ports(struct pc *pc, const struct bus_region *region)
{
    const struct bus_region *other = bus_add(&pc->vm.ports, region);

    if (other)
        panic("port region %s overlaps %s", region->name, other->name);
}

static void on_interrupt(void *opaque, unsigned input, bool level)
{
    struct vm *vm = opaque;

    (void)input;
    vm_set_interrupt(vm, level);
}

static bool read_out2(void *opaque)
{
    struct pc *pc = opaque;

    return i8254_out(&pc->pit, 2);
}

static void on_gate2(void *opaque, unsigned input, bool level)
{
    struct pc *pc = opaque;

    i8254_set_gate(&pc->pit, input, level);
}

static void on_keyboard_reset(void *opaque)
{
    struct pc *pc = opaque;

    vm_request_reset(&pc->vm, "keyboard controller");
}

static void on_port92_reset(void *opaque)
{
    struct pc *pc = opaque;

    vm_request_reset(&pc->vm, "port 92h");
}

static void on_post_code(void *opaque, uint8_t code)
{
    struct pc *pc = opaque;

    marks_put(&pc->vm.marks, code, host_tsc());
}

static void on_debug_exit(void *opaque, uint32_t value)
{
    struct pc *pc = opaque;

    vm_request_exit(&pc->vm, value);
}

static void on_set_a20(void *opaque, bool enabled)
{
    struct pc *pc = opaque;

    port92_set_a20(&pc->port92, enabled);
}

static bool on_read_a20(void *opaque)
{
    struct pc *pc = opaque;

    return port92_a20(&pc->port92);
}

static void on_ready(void *opaque)
{
    struct pc *pc = opaque;

    input_ready(&pc->vm.input);
}

static size_t write_serial(void *opaque, const uint8_t *data, size_t length)
{
    struct pc *pc = opaque;

    size_t taken = output_put(&pc->vm.output, data, length);

    if (output_full(&pc->vm.output))
        pc->vm.slice_end = 0;
    return taken;
}

static void wire_interrupts(struct pc *pc)
{
    i8259_init(&pc->pic);
    irq_line_connect(&pc->pic.intr, on_interrupt, &pc->vm, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(pc->pic.regions); i++)
        add_ports(pc, &pc->pic.regions[i]);
    add_device(pc, &pc->pic.device);
}

static void wire_timers(struct pc *pc)
{
    struct guest_clock *clock = &pc->vm.clock;

    grid_init(&pc->pit_grid, clock->hz, I8254_HZ_NUM, I8254_HZ_DEN);
    i8254_init(&pc->pit, clock, &pc->pit_grid, &clock->deadlines);
    irq_line_connect(&pc->pit.out[0], i8259_set_irq, &pc->pic, IRQ_TIMER);
    i8254_set_gate(&pc->pit, 0, true);
    i8254_set_gate(&pc->pit, 1, true);
    add_ports(pc, &pc->pit.region);
    add_device(pc, &pc->pit.device);

    port61_init(&pc->port61, clock, &pc->pit_grid);
    pc->port61.out2 = read_out2;
    pc->port61.out2_opaque = pc;
    irq_line_connect(&pc->port61.gate2, on_gate2, pc, 2);
    add_ports(pc, &pc->port61.region);
    add_device(pc, &pc->port61.device);

    mc146818_init(&pc->rtc, clock, &clock->deadlines);
    irq_line_connect(&pc->rtc.irq, i8259_set_irq, &pc->pic, IRQ_RTC);
    add_ports(pc, &pc->rtc.region);
    add_device(pc, &pc->rtc.device);

    acpi_pm_timer_init(&pc->pm_timer, clock, ACPI_PM_TIMER_PORT, 24);
    add_ports(pc, &pc->pm_timer.region);
    add_device(pc, &pc->pm_timer.device);
}

static void wire_serial_and_keyboard(struct pc *pc)
{
    struct guest_clock *clock = &pc->vm.clock;
    const struct uart16550_config uart = {
        .clock = clock,
        .deadlines = &clock->deadlines,
        .wire = {.write = write_serial, .ready = on_ready, .opaque = pc},
        .speed = pc->plan->settings.uart == GUEST_UART_BAUD ? UART16550_BAUD : UART16550_FAST,
        .base = 0x3F8,
        .name = "uart16550 com1",
    };
    const struct i8042_wiring keyboard = {.request_reset = on_keyboard_reset,
                                          .set_a20 = on_set_a20,
                                          .a20 = on_read_a20,
                                          .ready = on_ready,
                                          .opaque = pc};

    uart16550_init(&pc->com1, &uart);
    irq_line_connect(&pc->com1.irq, i8259_set_irq, &pc->pic, IRQ_COM1);
    add_ports(pc, &pc->com1.ports);
    add_device(pc, &pc->com1.device);

    i8042_init(&pc->i8042, clock, &clock->deadlines, &keyboard);
    irq_line_connect(&pc->i8042.irq_keyboard, i8259_set_irq, &pc->pic, IRQ_KEYBOARD);
    irq_line_connect(&pc->i8042.irq_auxiliary, i8259_set_irq, &pc->pic, IRQ_MOUSE);
    add_ports(pc, &pc->i8042.ports[0]);
    add_ports(pc, &pc->i8042.ports[1]);
    add_device(pc, &pc->i8042.device);
}

static void wire_the_rest(struct pc *pc)
{
    uint8_t *text = guest_mem_map(&pc->vm.memory, VGA_TEXT_GPA, VGA_TEXT_RAM_SIZE);

    ASSERT(text);
    vga_text_init(&pc->vga, &pc->vm.clock, text);
    for (unsigned i = 0; i < ARRAY_SIZE(pc->vga.ports); i++)
        add_ports(pc, &pc->vga.ports[i]);
    add_device(pc, &pc->vga.device);

    port92_init(&pc->port92, on_port92_reset, pc);
    add_ports(pc, &pc->port92.ports);
    add_device(pc, &pc->port92.device);
    post_code_init(&pc->post_code);
    pc->post_code.written = on_post_code;
    pc->post_code.opaque = pc;
    add_ports(pc, &pc->post_code.ports);
    add_device(pc, &pc->post_code.device);
    debug_exit_init(&pc->debug_exit, on_debug_exit, pc);
    add_ports(pc, &pc->debug_exit.ports);
    add_device(pc, &pc->debug_exit.device);
}

void pc_wire(struct pc *pc)
{
    wire_interrupts(pc);
    wire_timers(pc);
    wire_serial_and_keyboard(pc);
    wire_the_rest(pc);
}

static void set_cmos_word(struct pc *pc, unsigned index, uint64_t value)
{
    mc146818_set_cmos(&pc->rtc, index, (uint8_t)value);
    mc146818_set_cmos(&pc->rtc, index + 1, (uint8_t)(value >> 8));
}

static uint64_t start_date(const struct pc *pc)
{
    const struct rtc_settings *rtc = &pc->plan->settings.rtc;

    if (rtc->mode == GUEST_RTC_FIXED)
        return date_days(rtc->year, rtc->month, rtc->day) * 86400 + rtc->hour * 3600u + rtc->minute * 60u +
               rtc->second;
    return host_rtc_seconds();
}

void pc_set_cmos(struct pc *pc)
{
    uint64_t ram = pc->plan->settings.mem_bytes;
    uint64_t low = guest_mem_low_bytes(ram), above_16m = low > 0x1000000 ? (low - 0x1000000) >> 16 : 0;
    uint64_t above_1m = MIN((low - 0x100000) >> 10, UINT64_C(0xFFFF));
    unsigned sum = 0;

    set_cmos_word(pc, 0x15, 640);
    set_cmos_word(pc, 0x17, above_1m);
    set_cmos_word(pc, 0x30, above_1m);
    set_cmos_word(pc, 0x34, above_16m);
    mc146818_set_cmos(&pc->rtc, 0x14, 0x06); /* equipment: VGA, FPU; no floppy drive */
    for (unsigned i = 0x10; i < 0x2E; i++)
        sum += pc->rtc.state.cmos[i];
    mc146818_set_cmos(&pc->rtc, 0x2E, (uint8_t)(sum >> 8));
    mc146818_set_cmos(&pc->rtc, 0x2F, (uint8_t)sum);
    mc146818_set_time(&pc->rtc, start_date(pc));
}
