/*
 * INS and OUTS with every combination of prefixes, in 64-, 32- and 16-bit code, against a model of what the
 * manuals say. Bytes go through the VGA's palette (its data port steps through colours: order and number
 * show), words through the CRT controller's index and data, double words to a port that nobody claims.
 * Sources: AMD APM vol. 3, "INS", "OUTS", "Repeat Prefixes"; Intel SDM vol. 1, "I/O Instructions".
 */
#include "tests/guests/modes/legacy.h"

#define DAC_READ   0x3C7
#define DAC_WRITE  0x3C8
#define DAC_DATA   0x3C9
#define CRTC       0x3D4
#define UNCLAIMED  0x2E0
#define CURSOR_LOW 0x0F
#define AREA       0x5000u /* below 64 KB, for 16-bit addresses */
#define AREA_BYTES 256u
#define MIDDLE     0x80u
#define STREAM     15u /* whole colours */
#define DIRT16     0xABCD0000u
#define DIRT32     0x9ABCDEF000000000u
#define EFLAGS_DF  0x400u
#define FS_BASE    0xC0000100u
#define GS_BASE    0xC0000101u
#define CODE16     SEL_ABSENT_CODE /* ports.asm */
#define RETURN     0xC3
#define O32        0x66
#define FAR_RETURN 0xCB

struct {
    uint64_t rcx, rdi, rsi, rdx, flags;
} ports_now;
void ports_run64(void);
legacy_code ports_run32, ports_run16;
extern uint8_t ports_code[AREA_BYTES];

/* One instruction with its prefixes. */
struct form {
    unsigned bits; /* of the code */
    bool out, wide, operand_prefix, address_prefix, rex_w, down;
    uint8_t repeat, segment; /* the prefix, or 0 */
    unsigned count;
};

static uint8_t *const area = (uint8_t *)(uintptr_t)AREA; // NOLINT: a fixed physical address

static unsigned operand_bytes(const struct form *f)
{
    bool short_default = f->bits == 16;
    return !f->wide ? 1 : f->operand_prefix != short_default ? 2 : 4;
}

static unsigned address_bytes(const struct form *f)
{
    if (f->bits == 64)
        return f->address_prefix ? 4 : 8;
    return f->address_prefix == (f->bits == 32) ? 2 : 4;
}

static void assemble(const struct form *f)
{
    uint8_t *at = ports_code;
    if (f->segment)
        *at++ = f->segment;
    if (f->operand_prefix)
        *at++ = 0x66;
    if (f->address_prefix)
        *at++ = 0x67;
    if (f->repeat)
        *at++ = f->repeat;
    if (f->rex_w)
        *at++ = 0x48;
    *at++ = (uint8_t)((f->out ? 0x6E : 0x6C) + (f->wide ? 1 : 0));
    if (f->bits == 16)
        *at++ = O32, *at++ = FAR_RETURN;
    else
        *at++ = RETURN;
}

static void run(const struct form *f)
{
    legacy_code *const trial = f->bits == 32 ? ports_run32 : ports_run16;
    struct legacy_state result;
    assemble(f);
    if (f->bits == 64)
        ports_run64();
    else
        legacy_run(LEGACY_FLAT, &trial, &result, 1);
}

static uint8_t pattern(unsigned i)
{
    return (uint8_t)((i * 5 + 3) & 0x3F);
}

static uint16_t port_of(unsigned bytes)
{
    return bytes == 1 ? DAC_DATA : bytes == 2 ? CRTC : UNCLAIMED;
}

/* A register of the instruction's address size, with dirt above it that must not count. */
static uint64_t dirty(const struct form *f, uint64_t value)
{
    if (address_bytes(f) == 2)
        return DIRT16 | value;
    return address_bytes(f) == 4 && f->bits == 64 && f->count ? DIRT32 | value : value;
}

static uint64_t moved(const struct form *f, uint64_t before, int64_t by)
{
    uint64_t after = before + (uint64_t)by;
    if (address_bytes(f) == 2)
        return (before & ~0xFFFFull) | (after & 0xFFFF);
    return address_bytes(f) == 4 && f->count ? (uint32_t)after : after;
}

static const char *name_of(const struct form *f, const char *what)
{
    static char text[96];
    format_text(text, sizeof text, "%s%u, %u-bit code%s%s%s repeat=%x segment=%x df=%u count=%u: %s",
                f->out ? "OUTS" : "INS", 8 * operand_bytes(f), f->bits, f->operand_prefix ? " 66" : "",
                f->address_prefix ? " 67" : "", f->rex_w ? " REX.W" : "", f->repeat, f->segment, f->down,
                f->count, what);
    return text;
}

static void same_for(const struct form *f, const char *what, uint64_t is, uint64_t wanted)
{
    check(is == wanted, is == wanted ? what : name_of(f, what), is, wanted);
}

/* The palette has the pattern, from its first byte; the CRT controller's cursor register AAh. */
static void set_up_ports(bool out)
{
    out8(DAC_WRITE, 0);
    for (unsigned i = 0; i < STREAM; i++)
        out8(DAC_DATA, out ? 0 : pattern(i));
    out8(out ? DAC_WRITE : DAC_READ, 0);
    out8(CRTC, CURSOR_LOW);
    out8(CRTC + 1, out ? 0 : 0xAA);
}

static void run_in(const struct form *f)
{
    unsigned bytes = operand_bytes(f), times = f->repeat ? f->count : 1, total = bytes * times, wrong = 0;
    unsigned first = f->down ? MIDDLE - total + (times ? bytes : 0) : MIDDLE;
    int64_t by = f->down ? -(int64_t)total : (int64_t)total;
    static const uint8_t word[2] = {CURSOR_LOW, 0xAA};

    set_up_ports(false);
    __builtin_memset(area, 0x11, AREA_BYTES);
    ports_now.rcx = dirty(f, f->count);
    ports_now.rdi = dirty(f, AREA + MIDDLE);
    ports_now.rdx = port_of(bytes);
    uint64_t rcx = ports_now.rcx, rdi = ports_now.rdi;
    run(f);
    for (unsigned i = 0; i < AREA_BYTES; i++) {
        unsigned nth = i - first;
        if (f->down && nth < total)
            nth = (times - 1 - nth / bytes) * bytes + nth % bytes;
        uint8_t wanted = nth >= total ? 0x11 : bytes == 1 ? pattern(nth) : bytes == 2 ? word[nth % 2] : 0xFF;
        if (area[i] != wanted)
            wrong++;
    }
    same_for(f, "memory", wrong, 0);
    same_for(f, "RDI", ports_now.rdi, moved(f, rdi, by));
    same_for(f, "RCX", ports_now.rcx, f->repeat ? moved(f, rcx, -(int64_t)times) : rcx);
}

/* What reached the ports: bytes in order in the palette, the last word in the cursor register. */
static unsigned wrong_outputs(const struct form *f, const uint8_t *source, unsigned times)
{
    unsigned bytes = operand_bytes(f), wrong = 0;
    if (bytes == 1) {
        for (unsigned i = times; i % 3; i++)
            out8(DAC_DATA, 0); /* a colour counts when it is whole */
        out8(DAC_READ, 0);
        for (unsigned i = 0; i < STREAM; i++) {
            uint8_t wanted = i >= times ? 0 : source[f->down ? -(int)i : (int)i];
            if (in8(DAC_DATA) != wanted)
                wrong++;
        }
    } else if (bytes == 2) {
        out8(CRTC, CURSOR_LOW);
        uint8_t wanted = times ? (uint8_t)(source[1] + (f->down ? -1 : 1) * (int)(times - 1)) : 0;
        if (in8(CRTC + 1) != wanted)
            wrong++;
    }
    return wrong;
}

/* Words of the source are index 0Fh and a value that counts up; bytes are told by the address. */
static void fill_source(uint8_t *at, unsigned bytes, uint8_t sign)
{
    for (unsigned i = 0; i < AREA_BYTES; i++)
        at[i] = bytes == 2 ? (uint8_t)(i % 2 ? i / 2 + sign : CURSOR_LOW) : (uint8_t)((i * 3 + sign) & 0x3F);
}

/* Segments with a base: FS and GS, and CS of 16-bit code. */
static uint8_t *source_of(const struct form *f)
{
    if (f->segment == 0x64 || f->segment == 0x65)
        return legacy_data;
    return f->segment == 0x2E && f->bits == 16 ? ports_code : area;
}

static void run_out(const struct form *f)
{
    unsigned bytes = operand_bytes(f), times = f->repeat ? f->count : 1;
    int64_t by = (f->down ? -(int64_t)bytes : (int64_t)bytes) * (int64_t)times;
    uint8_t *source = source_of(f);

    set_up_ports(true);
    fill_source(area, bytes, 1);
    fill_source(legacy_data, bytes, 9);
    fill_source(ports_code, bytes, 17);
    ports_now.rcx = dirty(f, f->count);
    ports_now.rsi = dirty(f, source == area ? AREA + MIDDLE : MIDDLE);
    ports_now.rdx = port_of(bytes);
    uint64_t rcx = ports_now.rcx, rsi = ports_now.rsi;
    run(f);
    same_for(f, "ports", wrong_outputs(f, source + MIDDLE, times), 0);
    same_for(f, "RSI", ports_now.rsi, moved(f, rsi, by));
    same_for(f, "RCX", ports_now.rcx, f->repeat ? moved(f, rcx, -(int64_t)times) : rcx);
}

/* All counts, directions and REP prefixes of one choice of sizes and segment. */
static void run_repeats(struct form f)
{
    static const struct {
        uint8_t repeat;
        unsigned count;
    } repeats[] = {{0, 7}, {0xF3, 0}, {0xF3, 1}, {0xF3, 3}, {0xF2, 0}, {0xF2, 3}};
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(repeats); i++) {
        f.repeat = repeats[i / 2].repeat;
        f.count = repeats[i / 2].count;
        f.down = i % 2;
        ports_now.flags = f.down ? EFLAGS_DF | 2 : 2;
        if (f.out)
            run_out(&f);
        else
            run_in(&f);
    }
}

static void run_sizes(unsigned bits, bool out, uint8_t segment)
{
    for (unsigned sizes = 0; sizes < 16; sizes++) {
        struct form f = {.bits = bits,
                         .out = out,
                         .segment = segment,
                         .wide = sizes & 1,
                         .operand_prefix = sizes & 2,
                         .address_prefix = sizes & 4,
                         .rex_w = sizes & 8};
        if (f.rex_w && (bits != 64 || f.operand_prefix))
            continue;
        run_repeats(f);
    }
}

static void set_base(uint32_t msr, uint64_t base)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)base), "d"((uint32_t)(base >> 32)));
}

void check_ports(void)
{
    static const uint8_t in_segments[] = {0, 0x64}, out_segments[] = {0, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};

    for (unsigned bits = 64; bits >= 16; bits /= 2) {
        legacy_prepare();
        legacy_descriptor(CODE16, (uint32_t)(uintptr_t)ports_code, 0xFFFF, 0x9B00);
        set_base(FS_BASE, (uintptr_t)legacy_data);
        set_base(GS_BASE, (uintptr_t)legacy_data);
        for (size_t i = 0; i < ARRAY_LENGTH(in_segments); i++)
            run_sizes(bits, false, in_segments[i]);
        for (size_t i = 0; i < ARRAY_LENGTH(out_segments); i++)
            run_sizes(bits, true, out_segments[i]);
    }
    set_base(FS_BASE, 0);
    set_base(GS_BASE, 0);
}
