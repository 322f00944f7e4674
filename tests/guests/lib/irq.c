/* IDT, the 8259 pair, the default trap handler and the records of the timed interrupts. */
#include "tests/guests/lib/guest.h"

#define PIC1 0x20
#define PIC2 0xA0

struct idt_gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
static struct idt_gate idt[256];

void irq0_entry(void);
void irq8_entry(void);
void trap_dispatch(struct trap_frame *frame);

bool (*trap_hook)(struct trap_frame *frame);
volatile uint64_t trap_fixup, trap_count, trap_vector, stray_irqs;

void idt_set(unsigned vector, void *entry)
{
    uint64_t at = (uint64_t)(uintptr_t)entry;
    idt[vector] =
        (struct idt_gate){(uint16_t)at, 0x08, 0, 0x8E, (uint16_t)(at >> 16), (uint32_t)(at >> 32), 0};
}

void idt_present(unsigned vector, bool present)
{
    idt[vector].type = present ? 0x8E : 0x0E;
}

void idt_stack(unsigned vector, unsigned ist)
{
    idt[vector].ist = (uint8_t)ist;
}

void idt_start(void)
{
    for (unsigned v = 0; v < 256; v++)
        idt_set(v, trap_stubs[v]);
    idt_set(VECTOR_IRQ0, (void *)(uintptr_t)irq0_entry);
    idt_set(VECTOR_IRQ8, (void *)(uintptr_t)irq8_entry);
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof idt - 1, (uint64_t)(uintptr_t)idt};
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void trap_fatal(const struct trap_frame *f)
{
    uint64_t cr2;
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    print("TRAP vector=%lu error=%lx rip=%lx rsp=%lx rflags=%lx cr2=%lx\n", f->vector, f->error, f->rip,
          f->rsp, f->rflags, cr2);
    guest_fail("unexpected exception");
}

void trap_dispatch(struct trap_frame *frame)
{
    if (trap_hook && trap_hook(frame))
        return;
    if (frame->vector < 32) {
        if (!trap_fixup)
            trap_fatal(frame);
        trap_vector = frame->vector;
        trap_count++;
        frame->rip = trap_fixup;
        trap_fixup = 0;
        return;
    }
    stray_irqs++;
    if (frame->vector >= 0x28 && frame->vector < 0x30)
        out8(PIC2, 0x20);
    out8(PIC1, 0x20);
}

/* ICW1 also forgets every edge seen so far (Intel 8259A data sheet, "Initialization command words"). */
void pic_start(void)
{
    out8(PIC1, 0x11);
    out8(PIC1 + 1, VECTOR_IRQ0);
    out8(PIC1 + 1, 4);
    out8(PIC1 + 1, 1);
    out8(PIC2, 0x11);
    out8(PIC2 + 1, VECTOR_IRQ8);
    out8(PIC2 + 1, 2);
    out8(PIC2 + 1, 1);
    pic_mask_all();
}

void pic_mask_all(void)
{
    out8(PIC1 + 1, 0xFF);
    out8(PIC2 + 1, 0xFF);
}

void pic_unmask(unsigned irq)
{
    if (irq >= 8) {
        out8(PIC2 + 1, (uint8_t)(in8(PIC2 + 1) & ~(1u << (irq - 8))));
        irq = 2;
    }
    out8(PIC1 + 1, (uint8_t)(in8(PIC1 + 1) & ~(1u << irq)));
}

void irq0_record(uint64_t *buffer, uint64_t count)
{
    irq0_next = buffer;
    irq0_end = buffer + count;
    irq0_count = 0;
}

void irq8_record(uint64_t *buffer, uint64_t count)
{
    irq8_next = buffer;
    irq8_end = buffer + count;
    irq8_count = 0;
}
