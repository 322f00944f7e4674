; Interrupt entries. The timed ones (IRQ 0, IRQ 8) read the TSC as their third instruction, after two pushes, in the same way for all
; events: the distance from the interrupt's delivery to that reading is one constant. All other vectors go to trap_dispatch() in C.

bits 64
section .text

; %1: the prefix of the record variables
%macro RECORD_TSC 1
    push rax
    push rdx
    rdtsc
    shl rdx, 32
    or rax, rdx
    push rcx
    mov rcx, [%1_next]
    cmp rcx, [%1_end]
    jae %%full
    mov [rcx], rax
    add rcx, 8
    mov [%1_next], rcx
%%full:
    mov [%1_tsc], rax
    inc qword [%1_count]
%endmacro

global irq0_entry
irq0_entry:
    RECORD_TSC irq0
    mov al, 0x20                        ; end of interrupt
    out 0x20, al
    pop rcx
    pop rdx
    pop rax
    iretq

global irq8_entry
irq8_entry:
    RECORD_TSC irq8
    mov al, 0x0C                        ; reading register C ends the RTC's request
    out 0x70, al
    in al, 0x71
    or [irq8_flags], al
    mov al, 0x20
    out 0xA0, al
    out 0x20, al
    pop rcx
    pop rdx
    pop rax
    iretq

%assign vector 0
%rep 256
align 16
trap_stub_ %+ vector:
%if vector = 8 || (vector >= 10 && vector <= 14) || vector = 17 || vector = 21 || vector = 29 || vector = 30
%else
    push 0
%endif
    push vector
    jmp trap_common
%assign vector vector + 1
%endrep

extern trap_dispatch
trap_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    mov rbx, rsp
    and rsp, -16
    call trap_dispatch
    mov rsp, rbx
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

section .rodata
global trap_stubs
trap_stubs:
%assign vector 0
%rep 256
    dq trap_stub_ %+ vector
%assign vector vector + 1
%endrep

section .bss
alignb 8
global irq0_next, irq0_end, irq0_tsc, irq0_count
irq0_next:  resq 1                      ; where the next reading goes
irq0_end:   resq 1                      ; end of the record; readings beyond it are only counted
irq0_tsc:   resq 1                      ; the last reading
irq0_count: resq 1
global irq8_next, irq8_end, irq8_tsc, irq8_count, irq8_flags
irq8_next:  resq 1
irq8_end:   resq 1
irq8_tsc:   resq 1
irq8_count: resq 1
irq8_flags: resq 1                      ; register C, all readings or-ed
