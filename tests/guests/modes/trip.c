/* Whether each mode of modes_trip (trip.asm) left its mark. */
#include "tests/guests/lib/pit.h"
#include "tests/guests/modes/modes.h"

#define ALIASED 0xA11A5ED1u

void modes_trip(void);
extern uint32_t trip_marks[8];

void check_trip(void)
{
    uint32_t r[4];
    for (unsigned round = 1; round <= 3; round++) {
        cpuid(0, r);
        *buffer_start() = ALIASED;
        pit_control(0, 0);
        pic_start();
        pic_unmask(0);
        pit_count(0, 100 * round * round *
                         round); /* pending before the trip begins, or while real mode is halted */
        modes_trip();
        pic_mask_all();
        check(trip_marks[0] == 0x434F4D51, "compatibility mode", trip_marks[0], 0x434F4D51);
        check(trip_marks[1] == 0x5245414D, "real mode", trip_marks[1], 0x5245414D);
        check(trip_marks[2] == 1, "timer interrupt in real mode", trip_marks[2], 1);
        check(trip_marks[3] == r[1], "CPUID in real mode", trip_marks[3], r[1]);
        check(trip_marks[4] == ALIASED, "32-bit paging, 4 MB pages", trip_marks[4], ALIASED);
        check(trip_marks[5] == ALIASED, "PAE paging", trip_marks[5], ALIASED);
        check(trip_marks[6] == 3 * round, "software interrupts in protected mode", trip_marks[6], 3 * round);
    }
}
