/* The console; the contract is in console.h. Keys and what they show are in keys.c. */
#include "hv/console.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/keyboard.h"
#include "arch/x86/api/lock.h"
#include "arch/x86/api/screen.h"
#include "arch/x86/api/serial.h"
#include "hv/keys.h"
#include "hv/ledger.h"
#include "hv/watchdog.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define NO_PORT    HOST_SERIAL_PORTS
#define STUCK_MS   1000u  /* a sink that takes nothing for so long loses the oldest */
#define FLUSH_MS   10000u /* at the end, when nothing else is left to do, it is waited for so long */
#define PARTIAL_MS 100u   /* a line without its end is shown after this */
#define KEYS_MS    10u    /* between two looks at the keyboard (api/keyboard.h) */
#define DROP_PIECE 1024u  /* bytes dropped at once from a stuck sink */
#define SHOW_PIECE 1024u  /* bytes that the screen gets at one look */
#define VM_SHARE   1024u  /* bytes of one VM that are moved before it is the next one's turn */
#define SINK_LINES (OUTPUT_SIZE / 2) /* no lines are moved on to a sink that holds so much */

static bool open[HOST_SERIAL_PORTS];
static bool chosen; /* the two below are what they will be */
static unsigned guest_port = NO_PORT, log_port = NO_PORT;
static struct {
    char text[4096];
    size_t length;
} early; /* log lines while their port isn't open */
static bool running, machine_reset;
static uint64_t log_start;     /* host TSC at console_init: log times count from here */
static struct lock lock;       /* held while bytes go to a port or the screen, so that lines stay whole */
static struct output sink;     /* what waits for the screen and the guests' port */
static uint64_t sink_shown;    /* as `put`: so far the screen has it */
static uint64_t sink_moved;    /* host TSC when that last took something */
static bool line_start = true; /* nothing, or the end of a line, was sent last */
static struct vm *line_owner;  /* whose unfinished line stands on the console */

static uint64_t cycles_of_ms(uint64_t ms)
{
    uint64_t hz = host_tsc_hz();

    return (hz ? hz : UINT64_C(1000000000)) / 1000 * ms;
}

/* A port may be found late, by tables, by a scan, or by verge.cfg: what it missed is kept for it. */
static void keep(const char *text, size_t length)
{
    length = MIN(length, sizeof early.text - early.length);
    memcpy(early.text + early.length, text, length);
    early.length += length;
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
    bool taken = lock_take(&lock);
    if (!intrudes) /* first: a serial line may be slow, or dead */
        host_screen_write((const uint8_t *)text, length);
    if (!chosen || (log_port != NO_PORT && !open[log_port]))
        keep(text, length);
    else if (log_port != NO_PORT && !(intrudes && log_port == guest_port))
        host_serial_write_all(log_port, (const uint8_t *)text, length);
    lock_give(&lock, taken);
}

static void open_port(const struct com_settings *com, unsigned index)
{
    chosen = false;
    if (!com->off && !open[index])
        open[index] = host_serial_open(index, com->where, com->line);
}

/* Of a machine without the two legacy ports: COM1 is what firmware calls a console, else a card. */
static void search_port(const struct com_settings *com)
{
    const struct host_serial_where elsewhere[] = {{HOST_SERIAL_TABLES, 0},
                                                  {HOST_SERIAL_PCI, HOST_SERIAL_ANY_CARD}};

    if (com->off || com->where.kind != HOST_SERIAL_LEGACY)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(elsewhere) && !open[0]; i++)
        open[0] = host_serial_open(0, elsewhere[i], com->line);
}

static void choose_ports(const struct hv_settings *settings)
{
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
    chosen = true;
    if (log_port == NO_PORT || open[log_port]) {
        if (log_port != NO_PORT)
            host_serial_write_all(log_port, (const uint8_t *)early.text, early.length);
        early.length = 0;
    }
}

void console_search(const struct hv_settings *settings)
{
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        open_port(&settings->com[i], i);
    if (!open[0] && !open[1])
        search_port(&settings->com[0]);
    choose_ports(settings);
}

void console_open(const struct hv_settings *settings)
{
    host_serial_drain();
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++) {
        host_serial_close(i);
        open[i] = false;
    }
    console_search(settings);
    log_set_level((enum log_level)settings->loglevel);
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        if (!open[i] && settings->com[i].where.kind != HOST_SERIAL_LEGACY)
            log_warning("com%u=: no UART answers there", i + 1);
}

void console_init(const struct hv_settings *settings)
{
    log_start = host_tsc();
    log_set_level((enum log_level)settings->loglevel);
    log_set_sink(write_log_line, NULL);
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        open_port(&settings->com[i], i);
    choose_ports(settings);
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

    length = MIN(length, (size_t)(OUTPUT_SIZE - output_count(&sink)));
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
    for (unsigned i = 0; i < output_count(output); i++)
        if (output->bytes[(output->taken + i) % OUTPUT_SIZE] == '\n')
            return true;
    return false;
}

/* Moves whole lines; a partial one when it has waited, when the guest waits for input or has ended, or when
 * the ring fills up. */
static void move_lines(struct vm *vm)
{
    uint64_t began = vm->output.taken;

    while (output_count(&vm->output) && output_count(&sink) < SINK_LINES &&
           vm->output.taken - began < VM_SHARE) {
        const uint8_t *data;
        size_t length = output_peek(&vm->output, &data), line = 0;

        if (!has_line_end(&vm->output) && vm->state == VM_RUNNABLE &&
            output_count(&vm->output) < OUTPUT_SIZE / 2 &&
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

/* The screen comes first: a port may be slow, or dead. */
static void show_sink(void)
{
    size_t at = sink_shown % OUTPUT_SIZE, length = MIN(sink.put - sink_shown, OUTPUT_SIZE - at);

    length = MIN(length, (size_t)SHOW_PIECE);
    host_screen_write(sink.bytes + at, length);
    sink_shown += length;
}

static void send_sink(uint64_t now)
{
    while (sink.taken != sink_shown) {
        const uint8_t *data;
        size_t length = MIN(output_peek(&sink, &data), (size_t)(sink_shown - sink.taken));
        size_t taken = guest_port == NO_PORT ? length : host_serial_write(guest_port, data, length);

        if (taken == 0)
            break;
        line_start = data[taken - 1] == '\n';
        output_drop(&sink, taken);
        sink.stuck_since = sink_moved = now;
    }
}

/* No more comes in until something has left. */
static bool sink_full(void)
{
    return vm_count == 1 ? output_full(&sink) : output_count(&sink) >= SINK_LINES;
}

static void drain_sink(void)
{
    uint64_t now = host_tsc();
    bool taken = lock_take(&lock);

    show_sink();
    send_sink(now);
    lock_give(&lock, taken);
    if (!sink_full() || now - sink.stuck_since < cycles_of_ms(STUCK_MS))
        return;
    size_t lost = MIN((size_t)DROP_PIECE, (size_t)(sink_shown - sink.taken));
    output_drop(&sink, lost);
    sink.dropped += lost;
    sink.stuck_since = now;
    log_warning("console stuck for %u ms: %llu bytes of guest output lost so far", STUCK_MS,
                (unsigned long long)sink.dropped);
}

static void take_input(void)
{
    static uint64_t looked; /* host TSC */
    uint8_t bytes[16];
    size_t count = guest_port == NO_PORT ? 0 : host_serial_read(guest_port, bytes, sizeof bytes);

    for (size_t i = 0; i < count; i++)
        keys_input(bytes[i]);
    if (host_tsc() - looked < cycles_of_ms(KEYS_MS))
        return;
    looked = host_tsc();
    count = host_keyboard_read(bytes, sizeof bytes);
    for (size_t i = 0; i < count; i++)
        keys_input(bytes[i]);
}

void console_service(void)
{
    static unsigned first; /* in turn, so that none keeps the console from the others */

    take_input();
    for (unsigned i = 0; i < vm_count; i++) {
        if (vm_count == 1)
            move_raw(vms[i]);
        else
            move_lines(vms[(first + i) % vm_count]);
    }
    first++;
    if (output_count(&sink))
        drain_sink();
    else
        sink.stuck_since = host_tsc();
}

void console_flush(void)
{
    bool left = true;

    sink_moved = host_tsc();
    while (left && host_tsc() - sink_moved < cycles_of_ms(FLUSH_MS)) {
        console_service();
        left = output_count(&sink);
        for (unsigned i = 0; i < vm_count; i++)
            left |= output_count(&vms[i]->output) && vm_has_ended(vms[i]);
    }
}

/* The console goes on; where this isn't its CPU, that one sees to it. */
static void wait_a_turn(void)
{
    if (this_cpu()->id == 0) {
        console_service();
    } else {
        cpus_serve();
        cpu_relax();
    }
    watchdog_look(host_tsc());
}

/* Until a ring has given so many bytes; false: it gives none any more. */
static bool wait_until_taken(const struct output *output, uint64_t target)
{
    uint64_t taken = 0, since = host_tsc();

    while ((int64_t)(target - __atomic_load_n(&output->taken, __ATOMIC_ACQUIRE)) > 0) {
        uint64_t now = __atomic_load_n(&output->taken, __ATOMIC_ACQUIRE);

        if (now != taken)
            since = host_tsc();
        else if (host_tsc() - since > cycles_of_ms(FLUSH_MS))
            return false;
        taken = now;
        wait_a_turn();
    }
    return true;
}

void console_let_finish(const struct vm *vm)
{
    if (!running || log_port != guest_port || log_port == NO_PORT)
        return;
    if (wait_until_taken(&vm->output, __atomic_load_n(&vm->output.put, __ATOMIC_ACQUIRE)))
        wait_until_taken(&sink, __atomic_load_n(&sink.put, __ATOMIC_ACQUIRE));
    bool taken = lock_take(&lock);
    if (!line_start)
        host_serial_write_all(log_port, (const uint8_t *)"\r\n", 2);
    line_start = true;
    lock_give(&lock, taken);
}

bool console_quit(void)
{
    return keys_quit();
}

void console_machine_reset(void)
{
    __atomic_store_n(&machine_reset, true, __ATOMIC_RELEASE);
}

bool console_wants_machine_reset(void)
{
    return __atomic_load_n(&machine_reset, __ATOMIC_ACQUIRE);
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
