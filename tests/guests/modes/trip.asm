; One round trip through the CPU's modes: long, compatibility, 32-bit protected without paging, 16-bit protected, real, 32-bit again
; with 4 MB pages and with PAE, and back to long mode. Each leaves its mark in trip_marks.
; Sources: AMD APM vol. 2, "Leaving long mode", "Enabling and activating long mode"; Intel SDM vol. 3, "Switching back to real-address mode".

%include "tests/guests/lib/report.inc"

LOW        equ 0x7000                   ; where the 16-bit code runs, below 1 MB; its stack ends at 7FF0h
EFER       equ 0xC0000080
EFER_LME   equ 1 << 8
CR0_PG     equ 1 << 31
CR4_PSE    equ 1 << 4
CR4_PAE    equ 1 << 5
ALIAS      equ 0x40000000               ; mapped to ALIAS_TO under the 32-bit page tables
ALIAS_TO   equ 0x800000
EXTRA_GATE equ 0x40                     ; a software interrupt of our own
CPUID_LEAF equ 0x40000000               ; as in trip.c

extern page_pml4, page_directories
section .text

bits 64
global modes_trip                       ; void modes_trip(void): called with interrupts off
modes_trip:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [saved_rsp], rsp
    sidt [saved_idt]
    mov rsi, low_start
    mov edi, LOW
    mov ecx, low_end - low_start
    rep movsb
    REPORT_REP low_end - low_start
    push 0x18
    push compatibility
    o64 retf

bits 32
compatibility:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, stack32_end
    mov eax, 0x434F4D50
    db 0x40                             ; INC EAX here, a prefix in long mode
    mov [trip_marks], eax
    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    mov ecx, EFER
    rdmsr
    and eax, ~EFER_LME
    wrmsr
    jmp 0x20:LOW + (low_protected - low_start)

protected:                              ; back from real mode
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, stack32_end
    mov eax, extra_handler
    mov [idt32 + EXTRA_GATE * 8], ax
    mov word [idt32 + EXTRA_GATE * 8 + 2], 0x18
    mov word [idt32 + EXTRA_GATE * 8 + 4], 0x8E00
    shr eax, 16
    mov [idt32 + EXTRA_GATE * 8 + 6], ax
    lidt [idt32_pointer]
    int EXTRA_GATE
    mov eax, [LOW + (low_marks - low_start)]
    mov [trip_marks + 4], eax
    mov eax, [LOW + (low_marks - low_start) + 4]
    mov [trip_marks + 8], eax
    mov eax, [LOW + (low_marks - low_start) + 8]
    mov [trip_marks + 12], eax

    mov edi, directory32                ; 4 MB pages, one to one
    mov eax, 0x83
.fill:
    mov [edi], eax
    add edi, 4
    add eax, 0x400000
    jnc .fill
    mov dword [directory32 + (ALIAS >> 22) * 4], ALIAS_TO + 0x83
    mov eax, cr4
    and eax, ~CR4_PAE
    or eax, CR4_PSE
    mov cr4, eax
    mov eax, directory32
    call paged_access
    mov [trip_marks + 16], eax

    mov eax, page_directories + 1       ; PAE: the same directories as long mode's, one entry changed for a while
    mov edi, pointers32
    mov ecx, 4
.pointers:
    mov [edi], eax
    add eax, 4096
    add edi, 8
    loop .pointers
    mov dword [page_directories + (ALIAS >> 21) * 8], ALIAS_TO + 0x83
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov eax, pointers32
    call paged_access
    mov [trip_marks + 20], eax
    mov dword [page_directories + (ALIAS >> 21) * 8], ALIAS + 0x83
    mov eax, [extra_count]
    mov [trip_marks + 24], eax

    mov ecx, EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, page_pml4
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    jmp 0x08:long_again

paged_access:                           ; EAX = CR3 -> EAX = what stands at ALIAS, by way of a software interrupt
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    int EXTRA_GATE
    mov edx, [ALIAS]
    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    mov eax, edx
    ret

extra_handler:
    inc dword [extra_count]
    iret

bits 64
long_again:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov rsp, [saved_rsp]
    lidt [saved_idt]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

bits 16
section .rodata
low_start:
low_protected:                          ; 16-bit protected mode, still at base 0
    mov ax, 0x28                        ; FS and GS too: a null selector may leave no limit behind
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov eax, cr0
    and al, 0xFE
    mov cr0, eax
    jmp LOW >> 4:low_real - low_start
low_real:
    mov ax, LOW >> 4
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x0FF0
    lidt [low_idt - low_start]
    xor ax, ax
    mov fs, ax
    mov word [fs:EXTRA_GATE * 4], low_extra - low_start
    mov word [fs:EXTRA_GATE * 4 + 2], LOW >> 4
    mov word [fs:0x20 * 4], low_irq0 - low_start
    mov word [fs:0x20 * 4 + 2], LOW >> 4
    mov ebx, 0x5245414C
    int EXTRA_GATE                      ; adds one to EBX
    mov [low_marks - low_start], ebx
    sti                                 ; the PIT's one-shot was set before the trip
    hlt
    cli
    mov eax, CPUID_LEAF
    cpuid
    mov [low_marks - low_start + 8], ebx
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 0x18:protected
low_extra:
    inc ebx
    iret
low_irq0:
    push ax
    mov al, 0x20
    out 0x20, al
    inc dword [cs:low_marks - low_start + 4]
    pop ax
    iret
align 4
low_idt:   dw 0x3FF
           dd 0
align 4
low_marks: dd 0, 0, 0                   ; real mode's mark, its timer interrupts, EBX of CPUID
low_end:

section .data
align 8
idt32_pointer: dw (EXTRA_GATE + 1) * 8 - 1
               dd idt32

section .bss
alignb 4096
directory32: resb 4096
pointers32:  resb 4096
idt32:       resb (EXTRA_GATE + 1) * 8
alignb 16
             resb 1024
stack32_end:
saved_rsp:   resq 1
saved_idt:   resb 16
extra_count: resd 1
global trip_marks, pointers32
alignb 8
trip_marks:  resd 8
