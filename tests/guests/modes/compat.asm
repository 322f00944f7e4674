; Compatibility mode, 32- and 16-bit code under long mode's tables: what exits there, memory that traps, interrupts and faults through
; 64-bit gates. Source: AMD APM vol. 2, "Compatibility Mode"; Intel SDM vol. 3, "64-Bit Mode Exception and Interrupt Handling".

MMIO_BASE  equ 0xD0000000
CODE64     equ 0x08
CODE32     equ 0x18
CPUID_LEAF equ 0x40000000               ; as in compat.c
LOW        equ 0x4000                   ; where the 16-bit code is copied to; its segment's base is 0

section .text
bits 64
%macro COMPAT 1                         ; void %1(void), 32-bit code up to BACK
global %1
%1:
    push rbx
    push rbp
    mov [saved_rsp], rsp
    mov esp, compat_stack_end
    push CODE32
    push %%code
    o64 retf
bits 32
%%code:
%endmacro
%macro BACK 0
    jmp CODE64:compat_back
bits 64
%endmacro

COMPAT compat_exits
    mov eax, CPUID_LEAF
    cpuid
    mov [compat_marks], ebx
    mov eax, 0x11223344
    in al, 0x61
    out 0x80, al
    mov ecx, 0xC0000080
    rdmsr
    mov [compat_marks + 4], eax
    mov eax, cr4
    xor eax, 4
    mov cr4, eax
    xor eax, 4
    mov cr4, eax
    mov edi, compat_area
    mov ecx, 5
    mov edx, 0x2E0
    rep insb
    mov [compat_marks + 8], edi
    mov [compat_marks + 12], ecx
    mov esi, compat_area
    mov ecx, 2
    mov edx, 0x80
    db 0x67                             ; 16-bit addresses: SI, CX
    rep outsb
    mov [compat_marks + 16], esi
    db 0x40                             ; INC EAX here
    dec eax
    mov eax, cs
    mov [compat_marks + 20], eax
    BACK

COMPAT compat_mmio
    mov edi, MMIO_BASE
    mov eax, [edi + 0x10]
    mov [compat_marks], eax
    mov ecx, 3
    xor eax, eax
    add eax, [edi + ecx * 4]
    mov [compat_marks + 4], eax
    mov [edi], eax
    push dword [edi]
    pop dword [compat_marks + 8]
    mov esi, edi
    mov edi, compat_area
    mov ecx, 2
    rep movsd
    mov [compat_marks + 12], edi
    mov eax, [compat_area + 4]
    mov [compat_marks + 16], eax
    BACK

COMPAT compat_interrupt                 ; IRQ 0 stands already
    sti
    nop
compat_interrupt_here:
    mov eax, CPUID_LEAF
    cpuid
    cli
    int 0x60
compat_int_here:
    BACK

COMPAT compat_fault                     ; trap_fixup leads back to 64-bit code; the handler changes CS
    mov eax, 0xFFF8
compat_fault_here:
    mov es, eax
    BACK

global compat_16
compat_16:
    push rbx
    push rbp
    mov [saved_rsp], rsp
    mov rsi, code16
    mov edi, LOW
    mov ecx, code16_end - code16
.copy:                                  ; a loop, not REP: guests.mk says why
    movsb
    loop .copy
    mov esp, 0x6000
    push 0x20
    push LOW
    o64 retf

compat_back:
    mov eax, 0x10
    mov es, eax
    mov rsp, [saved_rsp]
    pop rbp
    pop rbx
    ret

section .rodata
bits 16
code16:                                 ; DS is flat
    mov eax, CPUID_LEAF
    cpuid
    mov [dword compat_marks], ebx
    mov di, LOW + 0x800
    mov cx, 3
    mov dx, 0x2E0
    rep insw
    mov [dword compat_marks + 4], di
    mov edi, MMIO_BASE
    mov ax, [edi + 2]
    mov [dword compat_marks + 8], ax
    mov ax, cs
    mov [dword compat_marks + 12], ax
    jmp dword CODE64:compat_back
code16_end:

global compat_interrupt_at, compat_int_at, compat_fault_at
compat_interrupt_at: dq compat_interrupt_here
compat_int_at:       dq compat_int_here
compat_fault_at:     dq compat_fault_here

section .bss
alignb 16
                  resb 512
compat_stack_end:
saved_rsp:        resq 1
global compat_marks, compat_area
compat_marks:     resd 8
compat_area:      resb 64
