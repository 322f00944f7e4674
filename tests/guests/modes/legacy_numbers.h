/* Selectors and vectors of legacy.h. NASM's side is legacy.inc, which has to say the same. */
#ifndef GUEST_LEGACY_NUMBERS_H
#define GUEST_LEGACY_NUMBERS_H

/* 08h to 28h are those of lib/start.asm. */
#define SEL_CODE32       0x18
#define SEL_DATA         0x10
#define SEL_TSS          0x30
#define SEL_LDT          0x38
#define SEL_USER_CODE    0x43
#define SEL_USER_DATA    0x4B
#define SEL_ABSENT_DATA  0x50
#define SEL_ABSENT_CODE  0x58
#define SEL_CONFORMING   0x60
#define SEL_DOWN16       0x68
#define SEL_DOWN32       0x70
#define SEL_READ_ONLY    0x78
#define SEL_EXECUTE_ONLY 0x80
#define SEL_SMALL        0x88
#define SEL_TSS2         0x90
#define SEL_CALL_GATE    0x98
#define SEL_TASK_GATE    0xA0
#define SEL_CODE16       0xA8
#define SEL_DATA16       0xB0
#define SEL_TSS16        0xB8
#define SEL_BASED        0xC0
#define SEL_MMIO         0xC8
#define SEL_ABSENT_STACK 0xD0
#define SEL_IN_LDT       0x0C
#define GDT_ENTRIES      27

#define LEGACY_STOP     0x50 /* INT that ends a trial */
#define LEGACY_SERVICE  0x60
#define LEGACY_GATE16   0x61 /* a 16-bit interrupt gate */
#define LEGACY_VECTORS  0x62
#define LEGACY_RETURNED 0xFF
#define LEGACY_LOW      0x4000u /* 4 KB for code below 1 MB; its stack ends at 6000h */

#endif
