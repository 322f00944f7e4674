; Runs a snippet of forms64.asm, forms32.asm or forms16.asm between the loading and storing of all registers. Contract: forms.c.

%include "tests/guests/modes/legacy.inc"

; ---- runners: registers as in struct form_registers: rax rbx rcx rdx rsi rdi rbp r8 to r15 flags ----
bits 64
global forms_run64                      ; void forms_run64(struct form_registers *r, const void *code)
forms_run64:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rdi
    mov [code64], rsi
    mov rax, rdi
    mov rbx, [rax + 8]
    mov rcx, [rax + 16]
    mov rdx, [rax + 24]
    mov rsi, [rax + 32]
    mov rdi, [rax + 40]
    mov rbp, [rax + 48]
    mov r8, [rax + 56]
    mov r9, [rax + 64]
    mov r10, [rax + 72]
    mov r11, [rax + 80]
    mov r12, [rax + 88]
    mov r13, [rax + 96]
    mov r14, [rax + 104]
    mov r15, [rax + 112]
    push qword [rax + 120]
    popf
    mov rax, [rax]
    call [code64]
    push rax
    pushf
    mov rax, [rsp + 16]
    mov [rax + 8], rbx
    mov [rax + 16], rcx
    mov [rax + 24], rdx
    mov [rax + 32], rsi
    mov [rax + 40], rdi
    mov [rax + 48], rbp
    mov [rax + 56], r8
    mov [rax + 64], r9
    mov [rax + 72], r10
    mov [rax + 80], r11
    mov [rax + 88], r12
    mov [rax + 96], r13
    mov [rax + 104], r14
    mov [rax + 112], r15
    pop qword [rax + 120]
    pop qword [rax]
    cld
    pop rdi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

bits 32
; Trials. The register structs to use, one after the other: forms_next. FS (and for 16-bit code DS and ES too) is forms_selector's.
%macro RUNNER 1+
    mov eax, [forms_next]
    push eax
    mov ebx, [forms_selector]
    mov fs, ebx
    mov ebx, [eax + 8]
    mov ecx, [eax + 16]
    mov edx, [eax + 24]
    mov esi, [eax + 32]
    mov edi, [eax + 40]
    mov ebp, [eax + 48]
    push dword [eax + 120]
    popfd
    mov eax, [eax]
    %1
    push eax
    pushfd
    push SEL_DATA
    pop ds
    mov eax, [esp + 8]
    mov [eax + 8], ebx
    mov [eax + 16], ecx
    mov [eax + 24], edx
    mov [eax + 32], esi
    mov [eax + 40], edi
    mov [eax + 48], ebp
    pop dword [eax + 120]
    pop dword [eax]
    pop eax
    mov ebx, [forms_step]
    add [forms_next], ebx
    mov ebx, [forms_next_selector]
    mov [forms_selector], ebx
    ret
%endmacro
global forms_trial32, forms_trial16
forms_trial32:
    RUNNER call [forms_code]
%macro CALL16 0
    push fs
    pop ds
    push fs
    pop es
    call far [cs:forms_code]
%endmacro
forms_trial16:
    RUNNER CALL16

section .bss
alignb 8
code64:              resq 1
global forms_code, forms_next, forms_selector, forms_next_selector, forms_step
forms_code:          resd 2             ; a far pointer for 16-bit code
forms_next:          resd 1
forms_step:          resd 1
forms_selector:      resd 1
forms_next_selector: resd 1
