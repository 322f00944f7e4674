; REP with MOVS, STOS, LODS, CMPS and SCAS in 64-, 32- and 16-bit code (compatibility mode), each by both address sizes. Source: AMD APM
; vol. 3, "Repeat Prefixes"; Intel SDM vol. 2, "REP/REPE/REPZ/REPNE/REPNZ".

STUB_SIZE equ 8                         ; rep.c

section .text
bits 64
global rep_run                          ; void rep_run(struct rep_state *state): a far call with these registers; back: what it left in them
rep_run:
    push rbx
    mov rbx, rdi
    mov rcx, [rbx]
    mov rsi, [rbx + 8]
    mov rdi, [rbx + 16]
    mov rax, [rbx + 24]
    push qword [rbx + 32]
    popf
    call dword far [rbx + 40]           ; the return address is two doublewords too
    pushf
    pop qword [rbx + 32]
    cld
    mov [rbx], rcx
    mov [rbx + 8], rsi
    mov [rbx + 16], rdi
    mov [rbx + 24], rax
    pop rbx
    ret

%macro STUB 1+                          ; the instruction, then back
%%at:
    %1
    RETURN
    times STUB_SIZE - ($ - %%at) nop
%endmacro
%macro SIZES 3                          ; address size, prefix, operation; the quadword form is 64-bit code's
    STUB %1 %2 %3 %+ b
    STUB %1 %2 %3 %+ w
    STUB %1 %2 %3 %+ d
%if CODE = 64
    STUB %1 %2 %3 %+ q
%else
    times STUB_SIZE hlt
%endif
%endmacro
%macro OPERATIONS 1                     ; in the order of rep.c
    SIZES %1, rep, movs
    SIZES %1, rep, stos
    SIZES %1, rep, lods
    SIZES %1, repne, movs               ; means REP
    SIZES %1, repe, cmps
    SIZES %1, repne, cmps
    SIZES %1, repe, scas
    SIZES %1, repne, scas
%endmacro
%macro RETURN 0
    retf
%endmacro

%assign CODE 64
global rep_stubs_64, rep_stubs_64_a32, rep_stubs_32, rep_stubs_32_a16, rep_stubs_16, rep_stubs_16_a32
rep_stubs_64:
    OPERATIONS a64
rep_stubs_64_a32:
    OPERATIONS a32

bits 32
%assign CODE 32
rep_stubs_32:
    OPERATIONS a32
rep_stubs_32_a16:
    OPERATIONS a16

section .rodata
bits 16
%unmacro RETURN 0
%macro RETURN 0
    o32 retf
%endmacro
%assign CODE 16
rep_stubs_16:                           ; copied to where 16-bit code can be
    OPERATIONS a16
rep_stubs_16_a32:
    OPERATIONS a32
