; Real mode: "unreal" segments of 4 GB, exceptions through the vector table, and 32-bit code that never left its segment. real_code runs
; below 1 MB and leaves its findings in real_marks there. Source: Intel SDM vol. 3, "Real-Address Mode Operation", "Switching Back to
; Real-Address Mode", "Interrupt and Exception Handling in Real-Address Mode".

%include "tests/guests/modes/legacy.inc"
%include "tests/guests/modes/exits.inc"

CR0_PE    equ 1
MMIO_BASE equ 0xD0000000
FAR_AWAY  equ 0x800000                  ; BUFFER_BASE

extern legacy_idt_pointer
section .text
bits 32
global real_trial
real_trial:
    mov ebp, esp
    mov esp, 0x6000
    jmp 0x20:LEGACY_LOW + (real_code - real_start)
back:
    mov eax, SEL_DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov esp, ebp
    lidt [legacy_idt_pointer]
    ret

global real_code32                      ; PE goes, CS stays a 32-bit segment of 4 GB
real_code32:
    mov eax, cr0
    and eax, ~CR0_PE
    mov cr0, eax
    EXITS
    mov esi, [FAR_AWAY]
    mov edi, [MMIO_BASE + 0x10]
    mov edx, 0x2E0
    in eax, dx
    mov ebx, eax
    push edi
    mov edi, FAR_AWAY + 0x100
    mov ecx, 3
    rep insd
    pop edi
    mov eax, cr0
    or eax, CR0_PE
    mov cr0, eax
    mov eax, cs
    ret

section .rodata
bits 16
global real_start, real_end, real_marks_offset
real_marks_offset: dd real_marks - real_start
align 16
real_start:
%define AT(label) (label - real_start)
%macro MARK 2                           ; mark %1 gets %2
    mov [cs:AT(real_marks) + (%1) * 4], %2
%endmacro
; Runs the instruction with an exception's end behind it; mark %1 gets 100h + vector, or 0.
%macro CAUGHT 2+
    mov word [cs:AT(resume)], AT(%%after)
    mov dword [cs:AT(caught)], 0
    %2
%%after:
    mov eax, [cs:AT(caught)]
    MARK %1, eax
%endmacro
real_code:                              ; still protected, 16-bit
    mov ax, SEL_DATA
    mov fs, ax
    mov gs, ax
    mov es, ax
    mov [es:LEGACY_LOW + AT(saved_bp)], bp
    mov ax, 0x28                        ; 64 KB
    mov ds, ax
    mov ss, ax
    mov eax, cr0
    and al, ~CR0_PE
    mov cr0, eax
    jmp LEGACY_LOW >> 4:AT(.real)
.real:
    lidt [cs:AT(real_idt)]
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x6000
    mov di, 0
.vector:                                ; vectors 0 to 15 lead to sixteen entries of 5 bytes
    mov ax, di
    mov cx, 5
    shr ax, 2
    mul cl
    add ax, AT(entries)
    mov [di], ax
    mov word [di + 2], LEGACY_LOW >> 4
    add di, 4
    cmp di, 16 * 4
    jb .vector
    mov word [0x20 * 4], AT(irq0)
    mov word [0x20 * 4 + 2], LEGACY_LOW >> 4

    mov eax, [fs:dword FAR_AWAY]        ; 4 GB, kept
    MARK 0, eax
    EXITS
    mov eax, [fs:dword FAR_AWAY]
    MARK 1, eax
    mov ax, LEGACY_LOW >> 4             ; a new base, and the limit stays
    mov fs, ax
    EXITS
    mov eax, [fs:dword FAR_AWAY - LEGACY_LOW]
    MARK 2, eax
    sti
    hlt
    cli
    mov eax, [fs:dword FAR_AWAY - LEGACY_LOW]
    MARK 3, eax
    mov edi, FAR_AWAY + 0x200           ; REP INSW to where only a big segment leads
    mov ecx, 4
    mov dx, 0x2E0
    cld
    a32 rep insw
    MARK 4, edi
    mov eax, [gs:dword MMIO_BASE + 0x20]
    MARK 5, eax
    mov eax, 1
    add eax, [gs:dword MMIO_BASE + 0x24]
    MARK 6, eax
    mov esi, MMIO_BASE
    mov edi, FAR_AWAY + 0x300
    mov ecx, 3
    gs a32 rep movsd
    MARK 7, esi
    mov esi, FAR_AWAY
    mov ecx, 2
    mov dx, 0x80
    gs a32 rep outsb
    MARK 8, esi

    xor cx, cx
    CAUGHT 9, div cx
    CAUGHT 10, int3
    CAUGHT 11, ud2
    CAUGHT 12, mov ax, [0xFFFF]
    CAUGHT 13, mov eax, [dword 0x10000]
    mov ecx, 0x12345678                 ; no such MSR
    CAUGHT 14, rdmsr
    mov bp, 0x8000
    CAUGHT 15, mov eax, [bp + 0x7FFE]   ; by SS
    mov bp, [cs:AT(saved_bp)]
    mov ax, 0xFFFF                      ; the HMA
    mov ds, ax
    mov eax, [0x10]
    MARK 16, eax
    mov ax, ds
    MARK 17, eax
    mov eax, cr0
    or al, CR0_PE
    mov cr0, eax
    jmp dword SEL_CODE32:back

irq0:
    push ax
    mov al, 0x20
    out 0x20, al
    inc dword [cs:AT(real_marks) + 18 * 4]
    pop ax
    iret
entries:
%assign vector 0
%rep 16
    push byte vector
    jmp near exception
%assign vector vector + 1
%endrep
exception:                              ; vector, IP, CS, FLAGS
    push bp
    mov bp, sp
    push ax
    mov al, [bp + 2]
    mov ah, 1
    mov [cs:AT(caught)], ax
    mov ax, [cs:AT(resume)]
    mov [bp + 4], ax
    pop ax
    pop bp
    add sp, 2
    iret
align 4
real_idt:   dw 0x3FF
            dd 0
caught:     dd 0
resume:     dw 0
saved_bp:   dw 0
align 4
real_marks: times 20 dd 0
real_end:
