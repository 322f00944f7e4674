/* One random operation: MSRs, ports, memory that nobody claims, CPUID, control and debug registers, odd
 * instructions. */
#include "tests/guests/hostile/hostile.h"

#define EFER            0xC0000080u
#define EFER_LME_LMA    0x500u
#define EFER_SVME       0x1000u
#define CR0_PG_PE       0x80000001u
#define CR4_PAE         0x20u
#define CR4_BARE        0x7FFu /* QEMU 7.2 with icount never comes back from a refused CR4 write */
#define CMOS_KEPT_FIRST 0x60u  /* where main.c keeps its progress */
#define CMOS_KEPT_LAST  0x6Fu
#define RESET_RARITY    64u

#define ODD_BARE_LIMIT 26 /* the rest (RSM, XSETBV, MWAIT, LMSW) only where a hypervisor answers */

/* With trace=2: what is about to be done, so that the last line names the culprit. */
static void say(const struct hostile *h, const char *what, uint64_t where, uint64_t value)
{
    if (!h->verbose)
        return;
    uart_start();
    print("hostile %s %lx %lx\n", what, where, value);
}

static uint64_t draw(struct hostile *h)
{
    return random_next(&h->random);
}

/* Values that find corners: few bits, all bits, small, or anything. */
static uint64_t draw_value(struct hostile *h)
{
    uint64_t r = draw(h), pick = r >> 61;
    if (pick == 0)
        return 0;
    if (pick == 1)
        return ~0ull;
    if (pick == 2)
        return 1ull << (r & 63);
    if (pick == 3)
        return r & 0xFF;
    if (pick == 4)
        return ~(1ull << (r & 63));
    return draw(h);
}

static uint32_t draw_msr(struct hostile *h)
{
    static const uint32_t bases[] = {0,          0x100,      0x170,      0x200,     0x270,
                                     0x400,      0x480,      0x800,      0xC00,     0x40000000,
                                     0xC0000080, 0xC0000100, 0xC0010000, 0xC0010100};
    uint64_t r = draw(h);
    if (r >> 60 == 0)
        return (uint32_t)r;
    return bases[(r >> 32) % ARRAY_LENGTH(bases)] + (uint32_t)(r & 0x7F);
}

static void step_msr(struct hostile *h)
{
    uint32_t msr = draw_msr(h);
    if (draw(h) & 1) {
        say(h, "rdmsr", msr, 0);
        op_rdmsr(msr);
        return;
    }
    uint64_t value = draw_value(h);
    if (msr == EFER && !h->deadly)
        value = (value & ~(uint64_t)(EFER_SVME | EFER_LME_LMA)) | EFER_LME_LMA;
    if (msr == 0x1B && h->bare)
        return; /* the APIC would land on our memory */
    say(h, "wrmsr", msr, value);
    op_wrmsr(msr, value);
}

static bool covers(uint32_t port, unsigned width, uint32_t first, uint32_t last)
{
    return port <= last && port + width - 1 >= first;
}

/* Whether a write could end the guest (where that is allowed: one in RESET_RARITY goes through), spoil its
 * console, or its progress in CMOS. */
static bool port_write_ends(struct hostile *h, uint32_t port, unsigned width)
{
    if (covers(port, width, 0x3F8, 0x3F8))
        return true;
    if (covers(port, width, 0x70, 0x71) && width != 1)
        return true;
    if (covers(port, width, 0xF4, 0xF7))
        return !(h->deadly && h->exits);
    if (!covers(port, width, 0x64, 0x64) && !covers(port, width, 0x92, 0x92) &&
        !covers(port, width, 0xCF9, 0xCF9))
        return false;
    return !h->deadly || draw(h) % RESET_RARITY != 0;
}

static uint32_t draw_port(struct hostile *h)
{
    static const uint16_t known[] = {0x00,  0x20,  0x21,  0x40,  0x41,  0x42,  0x43,  0x60,  0x61,
                                     0x64,  0x70,  0x71,  0x80,  0x92,  0xA0,  0xA1,  0xC0,  0x2F8,
                                     0x3B0, 0x3C0, 0x3C4, 0x3CE, 0x3D4, 0x3D5, 0x3DA, 0x3F9, 0x3FA,
                                     0x3FB, 0x3FC, 0x3FD, 0x3FE, 0x3FF, 0x4D0, 0x4D1};
    uint64_t r = draw(h);
    if (h->bare || r >> 62)
        return known[(r & 0xFFFF) % ARRAY_LENGTH(known)];
    return r & 0xFFFF;
}

static void step_port(struct hostile *h)
{
    static uint32_t buffer[16];
    uint32_t port = draw_port(h), value = (uint32_t)draw_value(h);
    unsigned width = h->bare ? 1 : 1u << draw(h) % 3; /* QEMU 7.2 aborts on a wide write to its UART */
    uint64_t r = draw(h);
    say(h, (r & 15) == 0 ? "string" : r & 16 ? "in" : "out", (uint64_t)width << 32 | port, value);
    if ((r & 15) == 0) { /* INS, OUTS with short counts, 0 among them */
        unsigned form = (unsigned)(r >> 8) % 6;
        if (h->bare)
            form = form / 3 * 3;
        if (form < 3 || (!port_write_ends(h, port, 1u << (form - 3)) && port != 0x70))
            op_string_io(port, form, (uint32_t)(r >> 16) % 9, buffer);
    } else if (r & 16) {
        op_in(port, width);
    } else if (!port_write_ends(h, port, width)) {
        if (port == 0x70 && (value & 0x7F) >= CMOS_KEPT_FIRST && (value & 0x7F) <= CMOS_KEPT_LAST)
            return;
        if (h->bare && port == 0x71)
            return;
        op_out(port, width, value);
    }
}

static void step_memory(struct hostile *h)
{
    uint64_t r = draw(h);
    uint64_t address = h->bare ? 0xD0000000u + (r & 0xFFFFFF) : 0xC0000000u + (r & 0x3FFFFFFF);
    if ((r >> 60) == 0)
        address = 0xA0000 + (r & 0x1FFFF);
    if ((r >> 60) == 1 && !h->bare)
        address = 0xFFFFFFF0u + (r & 7); /* the last access must not leave the mapped 4 GB */
    say(h, "memory", (r >> 32) % memory_op_count, address);
    memory_ops[(r >> 32) % memory_op_count](address, draw_value(h));
}

static void step_control(struct hostile *h)
{
    uint64_t value = draw_value(h), r = draw(h);
    say(h, "control", r % 12, value);
    switch (r % 12) {
    case 0:
        op_write_cr0(h->deadly && !(r >> 56) ? value
                                             : (op_read_cr0() ^ (value & ~(uint64_t)CR0_PG_PE)) | CR0_PG_PE);
        break;
    case 1:
        op_write_cr2(value);
        break;
    case 2:
        op_write_cr3(h->deadly && !(r >> 56) ? value : (op_read_cr3() & ~0xFFFull) | (value & 0x18));
        break;
    case 3:
        op_write_cr4(h->deadly && !(r >> 56)
                         ? value
                         : (op_read_cr4() ^ (value & (h->bare ? CR4_BARE : ~0ull))) | CR4_PAE);
        break;
    case 4:
        op_write_cr8(value), op_write_cr8(0);
        break;
    case 5:
        op_write_dr0(value);
        break;
    case 6:
        op_write_dr3(value);
        break;
    case 7:
        op_write_dr6(value);
        break;
    case 8:
        op_write_dr7(value);
        break;
    case 9:
        op_write_dr4(value);
        break;
    case 10:
        op_read_dr0(), op_read_dr4(), op_read_dr6();
        break;
    default:
        op_read_cr8(), op_read_cr2(), op_read_dr7();
        break;
    }
}

/* Interrupts on for a moment, with a sane 8259: whatever the devices were told to raise comes in. */
static void step_window(struct hostile *h)
{
    (void)h;
    pic_start();
    out8(0x21, 0);
    out8(0xA1, 0);
    op_window();
    pic_mask_all();
}

static void step_deadly(struct hostile *h)
{
    uint64_t r = draw(h);
    switch (r % (h->exits ? 6 : 4)) {
    case 0:
        op_out(0x64, 1, 0xFE);
        break;
    case 1:
        op_out(0x92, 1, 1);
        break;
    case 2:
        op_out(0xCF9, 1, 6);
        break;
    case 3:
        end_triple_fault();
    case 4:
        op_out(0xF4, 1, (uint32_t)(r >> 8) & 0xFF);
        break;
    default:
        end_cli_hlt();
    }
}

void hostile_step(struct hostile *h)
{
    uint64_t r = draw(h);
    if (h->deadly && (r >> 40 & 0x3FFF) == 0)
        step_deadly(h);
    unsigned kind = r & 15;
    say(h, "step", kind, r);
    h->ops[kind]++;
    switch (kind) {
    case 0:
    case 1:
    case 2:
        step_msr(h);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        step_port(h);
        break;
    case 8:
    case 9:
        step_memory(h);
        break;
    case 10:
        op_cpuid((r >> 20 & 3 ? (uint32_t)(r >> 32) & 0xF000001F : (uint32_t)(r >> 32)),
                 (uint32_t)(r >> 8) & 7);
        break;
    case 11:
    case 12:
        step_control(h);
        break;
    case 13:
        odd_ops[(r >> 8) % (h->bare ? ODD_BARE_LIMIT : odd_op_count)]();
        break;
    case 14:
        (r & 256) ? op_invlpg(draw(h)) : op_popf(draw(h) & 0x254DD5);
        break; /* all flags but IF, VM and IOPL's upper neighbours */
    default:
        step_window(h);
        break;
    }
}
