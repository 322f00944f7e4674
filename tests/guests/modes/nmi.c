/*
 * The non-maskable interrupt without a source, as a guest of Verge has none: no parity or channel check, no
 * watchdog, no local APIC (nmi_source.c has one). What is there: INT 2 through the vector, the enables of
 * port 61h and the mask of port 70h as registers. Source: Intel 82371 (PIIX) data sheet, "NMI Status and
 * Control Register", "NMI Enable Register"; SDM vol. 3, "Nonmaskable Interrupt (NMI)".
 */
#include "tests/guests/lib/pit.h"
#include "tests/guests/modes/modes.h"

#define PORT61        0x61
#define ENABLES       0x0C /* written 0: channel and parity check may interrupt */
#define STATUS        0xC0
#define RTC_INDEX     0x70
#define RTC_STATUS_D  0x0D
#define NMI_MASK      0x80
#define VECTOR_NMI    2
#define WAIT_ACCESSES 2000

static unsigned nmis, depth, deepest;
static struct trap_frame seen;

static bool on_trap(struct trap_frame *frame)
{
    if (frame->vector != VECTOR_NMI)
        return false;
    nmis++;
    seen = *frame;
    if (++depth > deepest)
        deepest = depth;
    if (depth == 1)
        __asm__ volatile("int $2"); /* INT 2 blocks nothing */
    depth--;
    return true;
}

void check_nmi(void)
{
    uint64_t behind;
    trap_hook = on_trap;
    __asm__ volatile("lea 1f(%%rip), %0\n\tint $2\n1:" : "=r"(behind) : : "memory");
    same("INT 2", nmis, 2);
    same("INT 2 within INT 2", deepest, 2);
    same("INT 2: IF in the handler", seen.rflags & 0x200, 0);
    same("INT 2: outer RIP", seen.rip != behind, 1);

    uint8_t was = in8(PORT61);
    out8(RTC_INDEX, RTC_STATUS_D); /* not masked */
    out8(PORT61, (uint8_t)(was & ~ENABLES));
    nmis = 0;
    for (unsigned i = 0; i < WAIT_ACCESSES; i++)
        in8(0x80);
    same("NMI without a source", nmis, 0);
    same("NMI status of port 61h", in8(PORT61) & STATUS, 0);
    same("NMI enables of port 61h", in8(PORT61) & ENABLES, 0);
    out8(PORT61, was | ENABLES);
    uint8_t kept = in8(PORT61) & ENABLES;
    check_limited("port61_enables", kept == ENABLES, "NMI enables of port 61h, set", kept, ENABLES);
    out8(PORT61, was);
    out8(RTC_INDEX, RTC_STATUS_D | NMI_MASK);
    same("RTC behind the NMI mask", in8(RTC_INDEX + 1) & 0x80, 0x80);
    out8(RTC_INDEX, RTC_STATUS_D);
    trap_hook = NULL;
}
