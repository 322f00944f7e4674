; The instruction forms of forms.inc as 32-bit code; the table lies between forms32 and forms32_end.

%define BITS_ 32
%define M [edi]
%define FORM_RETURN ret
%define XCHG_SI_DI xchg esi, edi
FS_EDGE equ 0x8000                      ; forms.c

global forms32, forms32_end
section .forms align=8 alloc noexec nowrite progbits
forms32:
section .text
bits 32
%include "tests/guests/modes/forms.inc"
section .forms
forms32_end:
