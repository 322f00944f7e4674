/* The console; the contract is in console.h. Keys and what they show are in keys.c. */
#include "hv/console.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/screen.h"
#include "arch/x86/api/serial.h"
#include "hv/keys.h"
#include "hv/ledger.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define NO_PORT    HOST_SERIAL_PORTS
#define STUCK_MS   1000u /* a sink that takes nothing for so long loses the oldest */
#define PARTIAL_MS 100u  /* a line without its end is shown after this */
#define DROP_PIECE 1024u /* bytes dropped at once from a stuck sink */

static unsigned guest_port = NO_PORT, log_port = NO_PORT;
static bool running, machine_reset;
static uint64_t log_start;     /* host TSC at console_init: log times count from here */
static struct output sink;     /* what waits for the guests' port */
static bool line_start = true; /* nothing, or the end of a line, was sent last */
static struct vm *line_owner;  /* whose unfinished line stands on the console */

static uint64_t cycles_of_ms(uint64_t ms)
{
    uint64_t hz = host_tsc_hz();

    return (hz ? hz : UINT64_C(1000000000)) / 1000 * ms;
}

static void write_log_line(void *opaque, enum log_level level, const char *line)
{
    char text[320];
    uint64_t micros = (host_tsc() - log_start) / (cycles_of_ms(1000) / 1000000);

    (void)opaque;
    size_t length =
        fmt_snprintf(text, sizeof text, "[%llu.%06llu] vg: %s\r\n", (unsigned long long)(micros / 1000000),
                     (unsigned long long)(micros % 1000000), line);
    length = MIN(length, sizeof text - 1);
    bool intrudes = running && level > LOG_ERROR; /* on what the guests write to */
    if (log_port != NO_PORT && !(intrudes && log_port == guest_port))
        host_serial_write_all(log_port, (const uint8_t *)text, length);
    if (!intrudes)
        host_screen_write((const uint8_t *)text, length);
}

static bool open_port(const struct com_settings *com, unsigned index)
{
    if (com->mode == HV_COM_OFF)
        return false;
    return host_serial_open(
        index, (struct host_serial_line){com->divisor, com->data_bits, com->stop_bits, com->parity});
}

void console_open(const struct hv_settings *settings)
{
    bool open[HOST_SERIAL_PORTS];

    host_serial_drain();
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        open[i] = open_port(&settings->com[i], i);
    guest_port = settings->console == HV_SERIAL_COM1 ? 0 : settings->console == HV_SERIAL_COM2 ? 1 : NO_PORT;
    switch (settings->log) {
    case HV_SERIAL_COM1:
        log_port = 0;
        break;
    case HV_SERIAL_COM2:
        log_port = 1;
        break;
    case HV_SERIAL_NONE:
        log_port = NO_PORT;
        break;
    default:
        log_port = open[1] && guest_port != 1 ? 1 : 0;
        break;
    }
    log_set_level((enum log_level)settings->loglevel);
}

void console_init(const struct hv_settings *settings)
{
    log_start = host_tsc();
    console_open(settings);
    log_set_sink(write_log_line, NULL);
}

void console_start(void)
{
    running = true;
}

static void sink_put(const void *data, size_t length)
{
    output_put(&sink, data, length);
}

/* Moves one VM's bytes on as they are: there is only one. */
static void move_raw(struct vm *vm)
{
    const uint8_t *data;
    size_t length = output_peek(&vm->output, &data);

    length = MIN(length, (size_t)(OUTPUT_SIZE - sink.count));
    sink_put(data, length);
    output_drop(&vm->output, length);
}

static void begin_line(struct vm *vm)
{
    char prefix[24];

    if (line_owner == vm)
        return;
    if (line_owner)
        sink_put("\r\n", 2);
    size_t length = fmt_snprintf(prefix, sizeof prefix, "%s| ", vm->name);
    sink_put(prefix, length);
    line_owner = vm;
}

static bool has_line_end(const struct output *output)
{
    for (unsigned i = 0; i < output->count; i++)
        if (output->bytes[(output->head + i) % OUTPUT_SIZE] == '\n')
            return true;
    return false;
}

/* Moves whole lines; a partial one when it has waited, when the guest waits for input or has ended, or when
 * the ring fills up. */
static void move_lines(struct vm *vm)
{
    while (vm->output.count && sink.count < OUTPUT_SIZE / 2) {
        const uint8_t *data;
        size_t length = output_peek(&vm->output, &data), line = 0;

        if (!has_line_end(&vm->output) && vm->state == VM_RUNNABLE && vm->output.count < OUTPUT_SIZE / 2 &&
            host_tsc() - vm->output.stuck_since < cycles_of_ms(PARTIAL_MS)) {
            return;
        }
        begin_line(vm);
        while (line < length && data[line] != '\n')
            line++;
        bool ends = line < length;
        line = MIN(line + ends, (size_t)(OUTPUT_SIZE / 4));
        ends = data[line - 1] == '\n';
        sink_put(data, line);
        output_drop(&vm->output, line);
        vm->output.stuck_since = host_tsc();
        if (ends)
            line_owner = NULL;
    }
}

static void drain_sink(void)
{
    uint64_t now = host_tsc();

    while (sink.count) {
        const uint8_t *data;
        size_t length = output_peek(&sink, &data);
        size_t taken = guest_port == NO_PORT ? length : host_serial_write(guest_port, data, length);

        if (taken == 0)
            break;
        host_screen_write(data, taken);
        line_start = data[taken - 1] == '\n';
        output_drop(&sink, taken);
        sink.stuck_since = now;
    }
    if (!output_full(&sink) || now - sink.stuck_since < cycles_of_ms(STUCK_MS))
        return;
    output_drop(&sink, DROP_PIECE);
    sink.dropped += DROP_PIECE;
    sink.stuck_since = now;
    log_warning("console stuck for %u ms: %llu bytes of guest output lost so far", STUCK_MS,
                (unsigned long long)sink.dropped);
}

static void take_input(void)
{
    uint8_t bytes[16];
    size_t count = guest_port == NO_PORT ? 0 : host_serial_read(guest_port, bytes, sizeof bytes);

    for (size_t i = 0; i < count; i++)
        keys_input(bytes[i]);
}

void console_service(void)
{
    take_input();
    for (unsigned i = 0; i < vm_count; i++) {
        if (vm_count == 1)
            move_raw(vms[i]);
        else
            move_lines(vms[i]);
    }
    if (sink.count)
        drain_sink();
    else
        sink.stuck_since = host_tsc();
}

void console_flush(void)
{
    uint64_t start = host_tsc();
    bool left = true;

    while (left && host_tsc() - start < cycles_of_ms(2 * STUCK_MS)) {
        console_service();
        left = sink.count;
        for (unsigned i = 0; i < vm_count; i++)
            left |= vms[i]->output.count && vms[i]->state == VM_ENDED;
    }
}

void console_let_finish(void)
{
    if (!running || log_port != guest_port || log_port == NO_PORT)
        return;
    console_flush();
    if (!line_start)
        host_serial_write_all(log_port, (const uint8_t *)"\r\n", 2);
    line_start = true;
}

bool console_quit(void)
{
    return keys_quit();
}

void console_machine_reset(void)
{
    machine_reset = true;
}

bool console_wants_machine_reset(void)
{
    return machine_reset;
}

static void show_marks(const struct vm *vm)
{
    unsigned first = vm->marks.count > MARKS_MAX ? vm->marks.count - MARKS_MAX : 0;

    for (unsigned i = first; i < vm->marks.count; i++) {
        const struct mark *mark = &vm->marks.marks[i % MARKS_MAX];

        log_debug("%s: mark %02x tsc %llu", vm->name, mark->code, (unsigned long long)mark->host_tsc);
    }
}

/* How the clock came to stand where it stands, and the whole ledger: key=value, for tests. */
static void show_accounts(const struct vm *vm)
{
    const struct time_sources *s = &vm->sources;

    log_debug("%s: time clock=%llu consumed=%llu charged=%llu snapped=%llu idle=%llu ledger=%llu", vm->name,
              (unsigned long long)vm->clock.now, (unsigned long long)vm_consumed(vm),
              (unsigned long long)s->charged, (unsigned long long)s->snapped, (unsigned long long)s->idle,
              (unsigned long long)vm->ledger_cycles);
    log_debug("%s: landings fired=%llu landed=%llu late=%llu worst_late=%llu snaps=%llu recalibrated=%llu",
              vm->name, (unsigned long long)vm->clock.deadlines.fired, (unsigned long long)vm->landing.landed,
              (unsigned long long)vm->landing.late, (unsigned long long)vm->landing.worst_late,
              (unsigned long long)vm->landing.snaps, (unsigned long long)vcpu_recalibrations());
    for (unsigned i = 0; i < LEDGER_ACCOUNTS; i++)
        if (ledger.cycles[i])
            log_debug("%s: account %s=%llu", vm->name, ledger_account_name(i),
                      (unsigned long long)ledger.cycles[i]);
    log_debug("%s: account guests=%llu of elapsed=%llu", vm->name, (unsigned long long)ledger_guests(),
              (unsigned long long)(ledger.last - ledger.start));
}

void console_show_exits(struct vm *vm)
{
    show_accounts(vm);
    for (unsigned kind = 0; kind < EXIT_KINDS; kind++)
        if (vm->exits[kind])
            log_debug("%s: exits %s %'llu", vm->name, exit_kind_name((enum exit_kind)kind),
                      (unsigned long long)vm->exits[kind]);
    show_marks(vm);
}

void console_show_screen(struct vm *vm)
{
    static char screen[8192];
    char *line = screen;

    if (!vm->ops->screen(vm, screen, sizeof screen))
        return;
    log_notice("screen %s begin", vm->name);
    while (*line) {
        char *end = strchr(line, '\n');

        if (end)
            *end = 0;
        log_notice("%s", line);
        if (!end)
            break;
        line = end + 1;
    }
    log_notice("screen %s end", vm->name);
}
