/* Whether each mode of modes_trip (trip.asm) left its mark. */
#include "tests/guests/lib/pit.h"
#include "tests/guests/modes/modes.h"

#define ALIASED      0xA11A5ED1u
#define CPUID_LEAF   0x40000000u /* a hypervisor's name: the same on every machine, unlike leaf 0 */
#define PTE_ACCESSED 0x20u
#define PAE_POINTERS 4u

void modes_trip(void);
extern uint32_t trip_marks[8];
extern uint64_t pointers32[512]; /* PAE's page-directory pointers */

/* QEMU sets the accessed bit in them, though they have none: bit 5 is reserved. */
static void forget_accesses(void)
{
    for (unsigned i = 0; i < PAE_POINTERS; i++) {
        if (word_number("strict", 0))
            same("bit 5 of a page-directory pointer", pointers32[i] & PTE_ACCESSED, 0);
        pointers32[i] &= ~(uint64_t)PTE_ACCESSED;
    }
}

void check_trip(void)
{
    uint32_t r[4];
    for (unsigned round = 1; round <= 3; round++) {
        cpuid(CPUID_LEAF, r);
        *buffer_start() = ALIASED;
        pit_control(0, 0);
        pic_start();
        pic_unmask(0);
        pit_count(0, 100 * round * round *
                         round); /* pending before the trip begins, or while real mode is halted */
        modes_trip();
        pic_mask_all();
        forget_accesses();
        check(trip_marks[0] == 0x434F4D51, "compatibility mode", trip_marks[0], 0x434F4D51);
        check(trip_marks[1] == 0x5245414D, "real mode", trip_marks[1], 0x5245414D);
        check(trip_marks[2] == 1, "timer interrupt in real mode", trip_marks[2], 1);
        check(trip_marks[3] == r[1], "CPUID in real mode", trip_marks[3], r[1]);
        check(trip_marks[4] == ALIASED, "32-bit paging, 4 MB pages", trip_marks[4], ALIASED);
        check(trip_marks[5] == ALIASED, "PAE paging", trip_marks[5], ALIASED);
        check(trip_marks[6] == 3 * round, "software interrupts in protected mode", trip_marks[6], 3 * round);
    }
}
