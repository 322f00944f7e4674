; The instruction forms of forms.inc as 64-bit code; the table lies between forms64 and forms64_end.

%define BITS_ 64
%define M [rdi]
%define FORM_RETURN ret
%define XCHG_SI_DI xchg rsi, rdi
FS_EDGE equ 0x8000                      ; forms.c

global forms64, forms64_end
section .forms align=8 alloc noexec nowrite progbits
forms64:
section .text
bits 64
%include "tests/guests/modes/forms.inc"
section .forms
forms64_end:
