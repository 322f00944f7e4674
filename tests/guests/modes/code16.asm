; 16-bit protected mode, with 16-bit stack and data, whatever the paging: trials (legacy.h).
; Source: Intel SDM vol. 3, "Mixing 16-Bit and 32-Bit Code"; vol. 2, "Addressing-Mode Encoding of ModR/M and SIB Bytes".

%include "tests/guests/modes/legacy.inc"
%include "tests/guests/modes/exits.inc"

STACK16 equ 0x28                        ; base 0
STACK   equ 0x6000

extern legacy_services
global c16_handler_offset
section .rodata
c16_handler_offset: dd c16_handler - code16_start

section .text
bits 16
align 16
global code16_start
code16_start:
; Trial %1: 32-bit entry, then the 16-bit code that follows, until DONE.
%macro CODE16 1
bits 32
global %1
%1:
    mov ebp, esp
    call SEL_CODE16:.code - code16_start
    ret
bits 16
.code:
    mov ax, STACK16
    mov ss, ax
    mov esp, STACK
    mov ax, SEL_DATA16
    mov ds, ax
    mov es, ax
%endmacro
%macro DONE 0                           ; the 32-bit stack again; EBP is still what it was
    mov si, SEL_DATA
    mov ds, si
    mov es, si
    mov ss, si
    lea esp, [ebp - 8]
    o32 retf
%endmacro

CODE16 c16_memory                       ; 16-bit addressing, before and behind exits
    mov bx, 0x100
    mov si, 0x20
    mov ax, [bx + si + 4]
    push ax
    EXITS
    mov bx, 0x100
    mov si, 0x20
    mov cx, [bx + si + 4]
    mov edx, [si - 0x10]
    pop ax
    DONE
CODE16 c16_gates                        ; through a 32-bit and a 16-bit interrupt gate, from a 16-bit stack
    int LEGACY_SERVICE
    int LEGACY_GATE16
    mov bx, sp
    DONE
CODE16 c16_stop
    EXITS
    int LEGACY_STOP
CODE16 c16_interrupt                    ; IRQ 0 stands already
    sti
    nop
    xor ax, ax
    cpuid
    cli
    mov bx, sp
    DONE
c16_handler:                            ; of the 16-bit gate
    push ds
    push eax
    mov ax, SEL_DATA
    mov ds, ax
    inc dword [dword legacy_services]
    pop eax
    pop ds
    iret
CODE16 c16_strings                      ; SI, DI and CX with dirt above them; then 32-bit ones by a prefix
    mov dx, 0x2E0
    mov edi, 0x55550E00
    mov ecx, 0x66660003
    rep insw
    push ecx
    mov esi, 0x77770010
    mov cx, 2
    mov dx, 0x80
    rep outsb
    mov dx, 0x2E0
    mov edi, 0xE40
    mov ecx, 2
    a32 rep insd
    mov edx, ecx
    pop eax
    DONE
CODE16 c16_limit                        ; a word at FFFFh
    mov ax, [0xFFFF]
    DONE
CODE16 c16_mmio                         ; DS is unclaimed memory; forms and addressing modes of 16-bit code
    mov ax, SEL_MMIO
    mov ds, ax
    mov bx, 0x100
    mov si, 0x20
    mov eax, [bx + si]
    mov [bx + si + 0x1234], eax
    mov [0x40], ax
    movsx ecx, byte [si]
    xor edx, edx
    add dx, [bx]
    add [bx], dx
    push word [bx]
    push dword [bx + 2]
    pop dword [si - 4]
    pop word [si]
    inc byte [bx + di]
    cld
    mov si, 0x40
    mov edi, 0x44440E80
    movsd
    mov bx, di
    lodsw
    mov di, sp
    DONE
