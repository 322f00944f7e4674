/*
 * Fuzzes the instruction decoder, the executor, string I/O and the guest page-table walk. Input: byte 0
 * selects mode and part, byte 1 how many bytes are available, bytes 2 to 16 are the instruction (or the
 * walk's registers), the rest feeds registers, memory, faults and page tables. Invariants: reads stay inside
 * what was given (ASan), lengths are right, RIP never moves, a fault without iterations changes nothing,
 * accesses are few and of defined width, no work is unbounded.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "arch/x86/decode/guest_walk.h"
#include "arch/x86/decode/insn_exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

struct feed {
    const uint8_t *data;
    size_t size, position;
    unsigned accesses;
    bool in_64_bit_mode;
};

/* The next eight bytes, over and over; zero when there are none. */
static uint64_t feed_number(struct feed *feed)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8 && feed->size > 0; i++)
        value = value << 8 | feed->data[feed->position++ % feed->size];
    return value;
}

static bool access_memory(void *opaque, enum insn_access access, uint64_t linear, unsigned size,
                          uint64_t *value, struct insn_fault *fault)
{
    struct feed *feed = opaque;
    uint64_t number = feed_number(feed);

    feed->accesses++;
    require(size == 1 || size == 2 || size == 4 || size == 8);
    require(access <= INSN_PROBE_WRITE);
    require(feed->in_64_bit_mode || linear <= UINT32_MAX);
    if ((number & 15) == 7) {
        *fault = (struct insn_fault){.vector = INSN_VECTOR_PF, .has_error_code = true, .cr2 = linear};
        return false;
    }
    if (access == INSN_WRITE)
        require(size == 8 || *value >> (8 * size) == 0);
    else
        *value = number; /* dirty upper bytes on purpose */
    return true;
}

static void access_port(void *opaque, bool is_in, uint16_t port, unsigned size, uint32_t *value)
{
    (void)port;
    require(size == 1 || size == 2 || size == 4);
    if (is_in)
        *value = (uint32_t)feed_number(opaque);
}

static void fill_registers(struct feed *feed, struct insn_regs *regs)
{
    for (unsigned i = 0; i < 16; i++)
        regs->gpr[i] = feed_number(feed);
    regs->rip = feed_number(feed);
    regs->rflags = feed_number(feed);
    for (unsigned i = 0; i < 6; i++) {
        uint64_t number = feed_number(feed);
        regs->segments[i].base = feed_number(feed);
        regs->segments[i].limit = (uint32_t)number;
        regs->segments[i].attributes = (uint16_t)(number >> 32);
    }
    uint64_t number = feed_number(feed);
    regs->protected_mode = number & 1;
    regs->la57 = number & 2;
}

static void fuzz_execute(struct feed *feed, const struct insn *insn, bool string_io)
{
    const struct insn_bus bus = {access_memory, access_port, feed};
    struct insn_regs regs, before;
    struct insn_result result;

    memset(&regs, 0, sizeof(regs));
    fill_registers(feed, &regs);
    before = regs;
    feed->in_64_bit_mode = insn_mode_is_64(insn->mode);
    if (string_io)
        insn_string_io(&regs, insn, &bus, &result);
    else
        insn_execute(&regs, insn, &bus, 8, &result);

    require(result.iterations <= 8);
    require(feed->accesses <= 3 * (result.iterations + 1) + 1);
    require(regs.rip == before.rip);
    require(((regs.rflags ^ before.rflags) & ~(uint64_t)INSN_FLAGS_STATUS) == 0);
    require(memcmp(regs.segments, before.segments, sizeof(regs.segments)) == 0);
    if (result.status == INSN_UNSUPPORTED || (result.status == INSN_FAULT && result.iterations == 0))
        require(memcmp(&regs, &before, sizeof(regs)) == 0);
    if (result.status == INSN_CONTINUE)
        require(result.iterations >= 1);
    if (result.status == INSN_FAULT)
        require(result.fault.vector == INSN_VECTOR_UD ||
                (result.fault.vector >= INSN_VECTOR_SS && result.fault.vector <= INSN_VECTOR_PF));
}

static void fuzz_decode(struct feed *feed, const uint8_t *bytes, size_t available, enum insn_mode mode,
                        bool string_io)
{
    uint8_t *exact = malloc(available + 1);
    struct insn insn, again;

    memcpy(exact, bytes, available);
    enum insn_decode_status status = insn_decode(exact, available, mode, &insn);
    unsigned length = insn_next_length(exact, available, mode);

    if (status == INSN_OK) {
        require(length == insn.length && length >= 1 && length <= available && length <= INSN_MAX_LENGTH);
        require(insn_decode(exact, length, mode, &again) == INSN_OK &&
                memcmp(&insn, &again, sizeof(insn)) == 0);
        require(insn_decode(exact, length - 1, mode, &again) == INSN_TRUNCATED);
        fuzz_execute(feed, &insn, string_io);
    } else {
        require(length == 0);
        require(status == INSN_INVALID || available < INSN_MAX_LENGTH);
    }
    free(exact);
}

static uint64_t read_entry(void *opaque, uint64_t gpa, unsigned size)
{
    struct feed *feed = opaque;

    feed->accesses++;
    require((size == 4 || size == 8) && gpa % size == 0 && gpa >> 52 == 0);
    uint64_t entry = feed_number(feed);
    return size == 4 ? (uint32_t)entry : entry;
}

static bool exchange_entry(void *opaque, uint64_t gpa, unsigned size, uint64_t expected, uint64_t desired)
{
    require((size == 4 || size == 8) && gpa % size == 0);
    require(((expected ^ desired) & ~UINT64_C(0x60)) == 0 && expected != desired);
    return feed_number(opaque) & 3;
}

static void fuzz_walk(struct feed *feed)
{
    const struct walk_memory memory = {read_entry, exchange_entry, feed};
    struct walk_context context = {.cr0 = feed_number(feed),
                                   .cr3 = feed_number(feed),
                                   .cr4 = feed_number(feed),
                                   .efer = feed_number(feed)};
    struct walk_result result;
    uint64_t number = feed_number(feed);

    context.rflags_ac = number & 1;
    context.cpl = number >> 1 & 3;
    context.no_1g_pages = number >> 3 & 1;
    context.global_bit_reserved = number >> 4 & 1;
    context.maxphyaddr = (uint8_t)(32 + (number >> 8) % 21);
    enum walk_status status =
        guest_walk(&context, &memory, feed_number(feed), (enum walk_access)((number >> 16) % 5), &result);
    require(feed->accesses <= 5 * WALK_ATTEMPTS);
    if (status == WALK_OK)
        require(result.gpa >> 52 == 0 || !(context.cr0 >> 31 & 1));
    if (status == WALK_FAULT)
        require(result.error_code <= 31);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 17)
        return 0;
    struct feed feed = {.data = data + 17, .size = size - 17};
    unsigned part = data[0] >> 2 & 7;

    if (part == 0)
        fuzz_walk(&feed);
    else
        fuzz_decode(&feed, data + 2, data[1] % 16, (enum insn_mode)(data[0] & 3), part == 1);
    return 0;
}
