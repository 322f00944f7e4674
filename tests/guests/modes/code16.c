/* 16-bit protected mode (code16.asm) without paging, with it and with PAE. */
#include "tests/guests/lib/pit.h"
#include "tests/guests/modes/legacy.h"

#define STACK 0x6000u

legacy_code c16_memory, c16_gates, c16_stop, c16_interrupt, c16_strings, c16_limit, c16_mmio;
extern const uint32_t c16_handler_offset;

static void check_memory(enum legacy_paging paging)
{
    const struct legacy_state *s = legacy_run_one(paging, c16_memory);
    same("16-bit: [BX+SI+4]", s->eax & 0xFFFF, legacy_data_at(0x124) & 0xFFFF);
    same("16-bit: [BX+SI+4] behind exits", s->ecx & 0xFFFF, legacy_data_at(0x124) & 0xFFFF);
    same("16-bit: [SI-10h]", s->edx, legacy_data_at(0x10));
    s = legacy_run_one(paging, c16_stop);
    same("16-bit: INT", s->vector, LEGACY_STOP);
    same("16-bit: CS", s->cs & 0xFFFF, SEL_CODE16);
    same("16-bit: DS", s->ds & 0xFFFF, SEL_DATA16);
    static const struct legacy_case limit = {"16-bit: word at FFFFh", c16_limit, 13, 0, "segment_limits"};
    struct legacy_state result;
    legacy_check(paging, &limit, &result, 1);
}

static void check_interrupts(enum legacy_paging paging)
{
    const struct legacy_state *s = legacy_run_one(paging, c16_gates);
    same("16-bit: 32-bit and 16-bit gate", s->vector, LEGACY_RETURNED);
    same("16-bit: gates: count", legacy_services, 2);
    same("16-bit: gates: SP", s->ebx & 0xFFFF, STACK);
    pit_control(0, 0);
    pic_start();
    pic_unmask(0);
    pit_count(0, 3);
    do
        out8(0x20, 0x0A);
    while (!(in8(0x20) & 1));
    s = legacy_run_one(paging, c16_interrupt);
    same("16-bit: interrupt", legacy_irqs, 1);
    same("16-bit: interrupt: CS", legacy_serviced.cs & 0xFFFF, SEL_CODE16);
    same("16-bit: interrupt: SP", s->ebx & 0xFFFF, STACK);
    pic_mask_all();
}

static void check_string_io(enum legacy_paging paging)
{
    __builtin_memset(legacy_data + 0xE00, 0x11, 0x100);
    const struct legacy_state *s = legacy_run_one(paging, c16_strings);
    same("16-bit: REP INSW", s->vector, LEGACY_RETURNED);
    same("16-bit: REP INSW: ECX, then a32 REP INSD: count", s->eax, 0x66660000);
    same("16-bit: REP INSW: memory", legacy_data_at(0xE02), 0xFFFFFFFF);
    same("16-bit: REP INSW: end", legacy_data_at(0xE06), 0x11111111);
    same("16-bit: a32 REP INSD: EDI", s->edi, 0xE48);
    same("16-bit: a32 REP INSD: memory", legacy_data_at(0xE44), 0xFFFFFFFF);
    same("16-bit: a32 REP INSD: ECX", s->edx, 0);
}

static void check_mmio(enum legacy_paging paging)
{
    uint64_t u = unclaimed_memory();
    const struct legacy_state *s = legacy_run_one(paging, c16_mmio);
    same("16-bit MMIO", s->vector, LEGACY_RETURNED);
    same("16-bit MMIO: LODSW", s->eax, u & 0xFFFFFFFF);
    same("16-bit MMIO: MOVSX", s->ecx, u & 0xFFFFFFFF);
    same("16-bit MMIO: ADD", s->edx, u & 0xFFFF);
    same("16-bit MMIO: MOVSD: DI", s->ebx & 0xFFFF, 0xE84);
    same("16-bit MMIO: MOVSD: memory", legacy_data_at(0xE80), u & 0xFFFFFFFF);
    same("16-bit MMIO: PUSH, POP: SP", s->edi & 0xFFFF, STACK);
}

void check_sixteen(void)
{
    legacy_prepare();
    legacy_gate(LEGACY_GATE16, SEL_CODE16, c16_handler_offset, 0xE6);
    for (unsigned paging = LEGACY_FLAT; paging <= LEGACY_PAE; paging++) {
        check_memory((enum legacy_paging)paging);
        check_interrupts((enum legacy_paging)paging);
        check_string_io((enum legacy_paging)paging);
        check_mmio((enum legacy_paging)paging);
    }
}
