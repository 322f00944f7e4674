/* The guests' bytes on their way to the console; the contract is in sink.h. */
#include "hv/sink.h"
#include "hv/console.h"
#include "hv/vm.h"
#include "lib/fmt.h"

#define PARTIAL_MS 100u              /* a line without its end is shown after this */
#define VM_SHARE   1024u             /* bytes of one VM that are moved before it is the next one's turn */
#define SINK_LINES (OUTPUT_SIZE / 2) /* no lines are moved on to a sink that holds so much */

struct output sink;
static struct vm *line_owner; /* whose unfinished line stands on the console */

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
            host_tsc() - vm->output.stuck_since < console_cycles_of_ms(PARTIAL_MS)) {
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

void sink_gather(void)
{
    static unsigned first; /* so that none keeps the console from the others */

    for (unsigned i = 0; i < vm_count; i++) {
        if (vm_count == 1)
            move_raw(vms[i]);
        else
            move_lines(vms[(first + i) % vm_count]);
    }
    first++;
}

bool sink_full(void)
{
    return vm_count == 1 ? output_full(&sink) : output_count(&sink) >= SINK_LINES;
}
