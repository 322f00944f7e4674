/* Real mode (real.asm): what stood in each mark. */
#include "tests/guests/lib/pit.h"
#include "tests/guests/modes/legacy.h"

#define SIGN     0x600DF00Du
#define FAR_AWAY BUFFER_BASE

legacy_code real_trial, real_code32;
extern const uint8_t real_start[], real_end[];
extern const uint32_t real_marks_offset;

static void start_timer(void)
{
    pit_control(0, 0);
    pic_start();
    pic_unmask(0);
    pit_count(0, 3);
}

static void check_marks(void)
{
    const volatile uint32_t *m =
        (const volatile uint32_t *)(uintptr_t)(LEGACY_LOW + real_marks_offset); // NOLINT: a fixed address
    const volatile uint32_t *far = (const volatile uint32_t *)buffer_start();
    uint32_t u = (uint32_t)unclaimed_memory();
    same("real mode: 4 GB segment", m[0], SIGN);
    same("real mode: 4 GB segment behind exits", m[1], SIGN);
    same("real mode: new base, 4 GB", m[2], SIGN);
    same("real mode: behind HLT and interrupt", m[3], SIGN);
    same("real mode: interrupt", m[18], 1);
    same("real mode: a32 REP INSW: EDI", m[4], FAR_AWAY + 0x208);
    same("real mode: a32 REP INSW: memory", far[0x204 / 4], 0xFFFFFFFF);
    same("real mode: a32 REP INSW: end", far[0x208 / 4], 0);
    same("real mode: MMIO MOV", m[5], u);
    same("real mode: MMIO ADD", m[6], u + 1);
    same("real mode: MMIO REP MOVSD: ESI", m[7], MMIO_BASE + 12);
    same("real mode: MMIO REP MOVSD: memory", far[0x308 / 4], u);
    same("real mode: GS: a32 REP OUTSB", m[8], FAR_AWAY + 2);
    same("real mode: #DE", m[9], 0x100);
    same("real mode: #BP", m[10], 0x103);
    same("real mode: #UD", m[11], 0x106);
    check_limited("segment_limits", m[12] == 0x10D, "real mode: word at FFFFh", m[12], 0x10D);
    check_limited("segment_limits", m[13] == 0x10D, "real mode: beyond 64 KB", m[13], 0x10D);
    if (!word_number("bare", 0))
        same("real mode: #GP of RDMSR", m[14], 0x10D);
    check_limited("segment_limits", m[15] == 0x10C, "real mode: #SS", m[15], 0x10C);
    same("real mode: the HMA", m[16], *(const volatile uint32_t *)(uintptr_t)0x100000); // NOLINT
    same("real mode: DS", m[17] & 0xFFFF, 0xFFFF);
}

void check_real(void)
{
    static struct legacy_state results[2];
    legacy_code *const trial = real_trial, *const code32 = real_code32;
    volatile uint32_t *far = (volatile uint32_t *)buffer_start();

    legacy_prepare();
    legacy_place(real_start, (size_t)(real_end - real_start));
    __builtin_memset((void *)buffer_start(), 0, 4096);
    far[0] = SIGN;
    start_timer();
    legacy_run(LEGACY_FLAT, &trial, results, 1);
    pic_mask_all();
    same("real mode and back", results[0].vector, LEGACY_RETURNED);
    check_marks();
    legacy_run(LEGACY_FLAT, &code32, &results[1], 1);
    const struct legacy_state *s = &results[1];
    same("real mode, 32-bit code", s->vector, LEGACY_RETURNED);
    same("real mode, 32-bit code: memory", s->esi, SIGN);
    same("real mode, 32-bit code: MMIO", s->edi, (uint32_t)unclaimed_memory());
    same("real mode, 32-bit code: IN", s->ebx, 0xFFFFFFFF);
    same("real mode, 32-bit code: REP INSD: ECX", s->ecx, 0);
    same("real mode, 32-bit code: REP INSD", far[0x108 / 4], 0xFFFFFFFF);
    same("real mode, 32-bit code: CS", s->eax, SEL_CODE32);
}
