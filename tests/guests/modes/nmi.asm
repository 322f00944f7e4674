; Where NMIs are taken: sequences of instructions with their boundaries, in 64-bit, 32-bit and V86 code.
; Each asks a test build of Verge for an NMI (tests/image/nmi.c): EAX = 494D4E21h, EBX = guest cycles from now.

%include "tests/guests/modes/legacy.inc"

MAGIC     equ 0x494D4E21
EFLAGS_VM equ 1 << 17
IOPL3     equ 3 << 12
RTC_INDEX equ 0x70
RTC_D     equ 0x0D
MASKED    equ 0x80

; VMCALL; its last byte is at %1, where check_nmi_source() puts VMMCALL's
%macro HYPERCALL 1
    db 0x0F, 0x01
global %1
%1:
    db 0xC1
%endmacro

bits 64
section .text
; void nmi_raise(uint64_t cycles): an NMI so many cycles behind the return
global nmi_raise
nmi_raise:
    push rbx
    mov eax, MAGIC
    lea ebx, [rdi + 2]                  ; POP and RET
    HYPERCALL nmi_call64
    pop rbx
    ret

; void nmi_X(uint64_t cycles): a sequence; nmi_X_marks: its boundaries, ends with 0
%macro SEQUENCE 1
global nmi_%1, nmi_%1_marks
section .rodata
align 8
nmi_%1_marks:
section .text
nmi_%1:
    call nmi_raise
%endmacro
; One instruction, and its boundary in front
%macro STEP 1+
%%here:
[section .rodata]
    dq %%here
__?SECT?__
    %1
%endmacro
%macro END 0
section .rodata
    dq 0
section .text
    ret
%endmacro

SEQUENCE plain
    STEP nop
    STEP lea rcx, [rdi + 1]
    STEP push rcx
    STEP out 0x80, al                   ; carried out by the monitor
    STEP pop rcx
    STEP nop
END
SEQUENCE mov_ss
    STEP mov ecx, ss
    STEP nop
    STEP mov ss, ecx
    STEP nop
    STEP nop
END
SEQUENCE mov_ss_out                     ; the instruction in the shadow exits
    STEP mov ecx, ss
    STEP nop
    STEP mov ss, ecx
    STEP out 0x80, al
    STEP nop
END
SEQUENCE sti
    STEP nop
    STEP nop
    STEP sti
    STEP nop
    STEP nop
    STEP cli
END
SEQUENCE sti_hlt                        ; nothing else wakes it
    STEP nop
    STEP nop
    STEP sti
    STEP hlt
    STEP nop
    STEP cli
END

; void nmi_over_int3(uint64_t cycles): an exception and its handler, whose IRET is that of the NMI's handler too
global nmi_over_int3
nmi_over_int3:
    call nmi_raise
    int3
    times 200 nop
    ret

; uint64_t nmi_masked(void): an NMI comes while port 70h keeps it out. Returns where it should be taken.
global nmi_masked
nmi_masked:
    mov al, RTC_D | MASKED
    out RTC_INDEX, al
    xor edi, edi
    call nmi_raise
    mov ecx, 100
.loop:
    dec ecx
    jnz .loop
    mov al, RTC_D
    out RTC_INDEX, al
.taken:
    nop
    lea rax, [rel .taken]
    ret

; uint64_t nmi_with_irq(void): an NMI and an interrupt that waits since long, at the same boundary
global nmi_with_irq
nmi_with_irq:
    mov edi, 2
    call nmi_raise
    sti
    nop
.taken:
    nop
    cli
    lea rax, [rel .taken]
    ret

; uint64_t nmi_halt(uint64_t cycles): with interrupts on and none near. Returns where it should be taken.
global nmi_halt
nmi_halt:
    sti
    nop
    call nmi_raise
    hlt
.taken:
    cli
    lea rax, [rel .taken]
    ret

; In an NMI's handler: an NMI that has to wait, then INT3, whose IRET ends the waiting. Returns where it should be taken.
global nmi_behind_int3
nmi_behind_int3:
    xor edi, edi
    call nmi_raise
    nop
    int3
.taken:
    nop
    lea rax, [rel .taken]
    ret

; Trials of legacy.h
bits 32
global nmi_trial32, nmi_trial32_taken, nmi_trial_v86
nmi_trial32:
    mov eax, MAGIC
    mov ebx, 3
    HYPERCALL nmi_call32
    nop
    nop
    nop
nmi_trial32_taken:
    nop
    ret
nmi_trial_v86:
    push 0                              ; GS, FS, DS, ES
    push 0
    push 0
    push 0
    push 0x0500
    push 0x1000
    push EFLAGS_VM | 2 | IOPL3
    push LEGACY_LOW >> 4
    push 0
    mov eax, MAGIC
    mov ebx, 3                          ; IRETD and two NOPs
    HYPERCALL nmi_call_v86
    iretd

section .rodata
global nmi_v86_start, nmi_v86_end
nmi_v86_start:
    nop
    nop
.taken:
    jmp .taken
nmi_v86_end:
