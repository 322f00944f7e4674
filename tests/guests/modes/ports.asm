; Runs one INS or OUTS from bytes, in 64-, 32- or 16-bit code. The instruction stands in ports_code, a near return behind it; a far one
; for 16-bit code, whose segment begins there. Contract: ports.c.

%include "tests/guests/modes/legacy.inc"

CODE16 equ SEL_ABSENT_CODE              ; ports.c makes it a 16-bit segment at ports_code

extern ports_now                        ; rcx, rdi, rsi, rdx, direction flag
section .text
bits 64
global ports_run64
ports_run64:
    push rbx
    mov rcx, [ports_now]
    mov rdi, [ports_now + 8]
    mov rsi, [ports_now + 16]
    mov rdx, [ports_now + 24]
    push qword [ports_now + 32]
    popf
    mov rax, ports_code
    call rax
    cld
    mov [ports_now], rcx
    mov [ports_now + 8], rdi
    mov [ports_now + 16], rsi
    mov [ports_now + 24], rdx
    pop rbx
    ret

bits 32
%macro LOAD 0
    mov eax, SEL_BASED
    mov fs, eax
    mov eax, SEL_DATA16
    mov gs, eax
    mov ecx, [ports_now]
    mov edi, [ports_now + 8]
    mov esi, [ports_now + 16]
    mov edx, [ports_now + 24]
    push dword [ports_now + 32]
    popfd
%endmacro
%macro STORE 0
    cld
    mov [ports_now], ecx
    mov [ports_now + 8], edi
    mov [ports_now + 16], esi
    mov [ports_now + 24], edx
    ret
%endmacro
global ports_run32, ports_run16
ports_run32:
    LOAD
    mov eax, ports_code
    call eax
    STORE
ports_run16:
    LOAD
    call CODE16:0
    STORE

section .smc exec write align=4096
align 64
global ports_code
ports_code: times 256 nop
