; Entry of every host exception and interrupt: one stub per vector, a full register frame, then trap_dispatch(frame) in trap.c.
; The frame's layout is struct trap_frame. Source: AMD64 APM vol. 2 "Long-Mode Interrupt Control Transfers".

extern trap_dispatch

section .text
bits 64

%macro STUB 1
align 16
stub_%1:
  %if %1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30
    push qword %1                       ; the CPU pushed an error code
  %else
    push qword 0
    push qword %1
  %endif
    jmp enter_c
%endmacro

%assign vector 0
%rep 256
    STUB vector
  %assign vector vector + 1
%endrep

enter_c:
    cld
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rbp
    push rdi
    push rsi
    push rbx
    push rdx
    push rcx
    push rax
    mov rdi, rsp
    call trap_dispatch
    pop rax
    pop rcx
    pop rdx
    pop rbx
    pop rsi
    pop rdi
    pop rbp
    pop r8
    pop r9
    pop r10
    pop r11
    pop r12
    pop r13
    pop r14
    pop r15
    add rsp, 16
    iretq

section .rodata
align 8
global trap_stubs
trap_stubs:
%assign vector 0
%rep 256
    dq stub_ %+ vector
  %assign vector vector + 1
%endrep
