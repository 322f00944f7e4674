; The instruction forms of forms.inc as 16-bit code; the table lies between forms16 and forms16_end.

%define BITS_ 16
%define M [di]
%define FORM_RETURN o32 retf
%define XCHG_SI_DI xchg si, di
FS_EDGE equ 0x8000                      ; forms.c

global forms16, forms16_end
global forms16_start
section .text align=16
section .forms align=8 alloc noexec nowrite progbits
forms16:
section .text
bits 16
forms16_start:
%include "tests/guests/modes/forms.inc"
section .forms
forms16_end:
