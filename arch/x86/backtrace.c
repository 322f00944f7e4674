/* Backtrace; the contract is in backtrace.h. tools/symbols.py writes the table: uint32 count, then (offset,
 * name offset) pairs, then names. */
#include "arch/x86/backtrace.h"
#include "lib/log.h"

struct symbol {
    uint32_t offset; /* from image_start */
    uint32_t name;   /* from symbol_names */
};

extern char image_start[], text_end[], image_end[];
extern const uint32_t symbol_count[] __attribute__((weak));
extern const struct symbol symbol_table[] __attribute__((weak));
extern const char symbol_names[] __attribute__((weak));

const char *symbol_find(uint64_t address, uint64_t *offset)
{
    uint64_t relative = address - (uint64_t)(uintptr_t)image_start;
    uint32_t low = 0, high;

    if (!symbol_count || relative >= (uint64_t)(text_end - image_start))
        return NULL;
    high = symbol_count[0];
    while (low + 1 < high) {
        uint32_t middle = low + (high - low) / 2;
        if (symbol_table[middle].offset <= relative)
            low = middle;
        else
            high = middle;
    }
    if (high == 0 || symbol_table[low].offset > relative)
        return NULL;
    *offset = relative - symbol_table[low].offset;
    return symbol_names + symbol_table[low].name;
}

unsigned backtrace_take(uint64_t rip, uint64_t rbp, uint64_t rips[BACKTRACE_MOST])
{
    unsigned count = 0;

    while (count < BACKTRACE_MOST) {
        rips[count++] = rip;
        if (rbp < (uint64_t)(uintptr_t)image_start || rbp > (uint64_t)(uintptr_t)image_end - 16 || rbp & 7)
            break;
        const uint64_t *frame = (const uint64_t *)(uintptr_t)rbp;
        if (frame[0] <= rbp)
            break;
        rip = frame[1];
        rbp = frame[0];
    }
    return count;
}

void backtrace_show_taken(const uint64_t *rips, unsigned count)
{
    for (unsigned depth = 0; depth < count; depth++) {
        uint64_t offset = 0;
        const char *name = symbol_find(rips[depth], &offset);

        log_error("#%u %016llx %s+0x%llx", depth, (unsigned long long)rips[depth], name ? name : "?",
                  (unsigned long long)offset);
    }
}

void backtrace_show(uint64_t rip, uint64_t rbp)
{
    uint64_t rips[BACKTRACE_MOST];

    backtrace_show_taken(rips, backtrace_take(rip, rbp, rips));
}
