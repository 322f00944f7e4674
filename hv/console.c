/* The console; the contract is in console.h. Keys and what they show are in keys.c. */
#include "hv/console.h"
#include "arch/x86/api/cpu.h"
#include "arch/x86/api/cpus.h"
#include "arch/x86/api/keyboard.h"
#include "arch/x86/api/lock.h"
#include "arch/x86/api/panic.h"
#include "arch/x86/api/screen.h"
#include "arch/x86/api/serial.h"
#include "hv/keys.h"
#include "hv/sink.h"
#include "hv/watchdog.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define NO_PORT    HOST_SERIAL_PORTS
#define STUCK_MS   1000u  /* a sink that takes nothing for so long loses the oldest */
#define FLUSH_MS   10000u /* at the end, when nothing else is left to do, it is waited for so long */
#define KEYS_MS    10u    /* between two looks at the keyboard (api/keyboard.h) */
#define DROP_PIECE 1024u  /* bytes dropped at once from a stuck sink */
#define SHOW_PIECE 1024u  /* bytes that the screen gets at one look */

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
static uint64_t sink_shown;    /* of the sink, as its `put`: so far the screen has it */
static uint64_t sink_moved;    /* host TSC when that last took something */
static bool line_start = true; /* nothing, or the end of a line, was sent last */

uint64_t console_cycles_of_ms(uint64_t ms)
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
    uint64_t micros = (host_tsc() - log_start) / (console_cycles_of_ms(1000) / 1000000);

    (void)opaque;
    size_t length =
        fmt_snprintf(text, sizeof text, "[%llu.%06llu] vg: %s\r\n", (unsigned long long)(micros / 1000000),
                     (unsigned long long)(micros % 1000000), line);
    length = MIN(length, sizeof text - 1);
    bool intrudes = running && level > LOG_ERROR; /* on what the guests write to */
    bool taken = lock_take(&lock);
    if (!intrudes && (taken || panic_here())) /* first: a serial line may be slow, or dead */
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

/* Where the port that was asked for isn't: the other one, so that something is seen. */
static unsigned there(const struct hv_settings *settings, unsigned port)
{
    bool missing = port != NO_PORT && !open[port] && !settings->com[port].off;

    return missing && open[!port] ? !port : port;
}

/* `searched`: what isn't open by now isn't there. */
static void choose_ports(const struct hv_settings *settings, bool searched)
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
    if (searched) {
        guest_port = there(settings, guest_port);
        log_port = there(settings, log_port);
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
    choose_ports(settings, true);
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
    if (!open[1] && (settings->console == HV_SERIAL_COM2 || settings->log == HV_SERIAL_COM2))
        log_warning("%s=com2: this machine has no COM2, or com2= doesn't say where",
                    settings->console == HV_SERIAL_COM2 ? "console" : "log");
}

void console_init(const struct hv_settings *settings)
{
    log_start = host_tsc();
    log_set_level((enum log_level)settings->loglevel);
    log_set_sink(write_log_line, NULL);
    for (unsigned i = 0; i < HOST_SERIAL_PORTS; i++)
        open_port(&settings->com[i], i);
    choose_ports(settings, false);
}

void console_start(void)
{
    running = true;
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

static void drain_sink(void)
{
    uint64_t now = host_tsc();
    bool taken = lock_take(&lock);

    if (taken) { /* else the other one is still writing: next time */
        show_sink();
        send_sink(now);
    }
    lock_give(&lock, taken);
    if (!sink_full() || now - sink.stuck_since < console_cycles_of_ms(STUCK_MS))
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
    if (host_tsc() - looked < console_cycles_of_ms(KEYS_MS))
        return;
    looked = host_tsc();
    count = host_keyboard_read(bytes, sizeof bytes);
    for (size_t i = 0; i < count; i++)
        keys_input(bytes[i]);
}

void console_service(void)
{
    take_input();
    sink_gather();
    if (output_count(&sink))
        drain_sink();
    else
        sink.stuck_since = host_tsc();
}

void console_flush(void)
{
    bool left = true;

    sink_moved = host_tsc();
    while (left && host_tsc() - sink_moved < console_cycles_of_ms(FLUSH_MS)) {
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
        else if (host_tsc() - since > console_cycles_of_ms(FLUSH_MS))
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
