; Virtual-8086 mode: trials (legacy.h) that enter it by IRET. Each v86_code_X is 16-bit code, copied below 1 MB first.
; Source: Intel SDM vol. 3, "8086 Emulation", "Virtual-8086 Mode", "Sensitive Instructions", "Protected-Mode I/O".

%include "tests/guests/modes/legacy.inc"

SEGMENT_   equ LEGACY_LOW >> 4          ; CS; DS lies 100h bytes on, at v86_variables
EFLAGS_VM  equ 1 << 17
IOPL3      equ 3 << 12
IF         equ 1 << 9
TF         equ 1 << 8
V86_MMIO   equ 0xF0000                  ; where the page tables have unclaimed memory, under LEGACY_PAGED
V86_ABSENT equ 0xE0000                  ; and none at all

bits 32
section .text
; A trial NAME in V86 mode with these EFLAGS. Selectors tell ES, DS, FS, GS apart.
%macro V86 2
global %1
%1:
    push 0x0403                         ; GS
    push 0x0402                         ; FS
    push 0x0401                         ; DS
    push 0x0404                         ; ES
    push 0x0500                         ; SS: the stack's top at 6000h
    push 0x1000
    push EFLAGS_VM | 2 | (%2)
    push SEGMENT_
    push code_%1 - v86_start
    mov eax, 0x12345678
    mov ecx, 0
    mov edx, 0
    iretd
%endmacro
V86 v86_frame, IOPL3
V86 v86_service, IOPL3
V86 v86_memory, IOPL3
V86 v86_ports, IOPL3
V86 v86_port_denied, IOPL3
V86 v86_word_port_denied, IOPL3
V86 v86_string_denied, IOPL3
V86 v86_ports0, 0
V86 v86_cli, IOPL3
V86 v86_popf, IOPL3
V86 v86_popf32, IOPL3
V86 v86_iret, IOPL3
V86 v86_cpuid, IOPL3
V86 v86_strings, IOPL3
V86 v86_interrupted, IOPL3
V86 v86_sti_pending, IOPL3
V86 v86_wait, IOPL3 | IF
V86 v86_divide, IOPL3
V86 v86_int3, 0
V86 v86_into, 0
V86 v86_ud, IOPL3
V86 v86_hlt, IOPL3
V86 v86_mov_cr, IOPL3
V86 v86_rdmsr, IOPL3
V86 v86_lgdt, IOPL3
V86 v86_lldt, IOPL3
V86 v86_lar, IOPL3
V86 v86_arpl, IOPL3
V86 v86_cli0, 0
V86 v86_sti0, 0
V86 v86_pushf0, 0
V86 v86_popf0, 0
V86 v86_int0, 0
V86 v86_iret0, 0
V86 v86_limit, IOPL3
V86 v86_page_fault, IOPL3
V86 v86_mmio, IOPL3
V86 v86_mmio_string, IOPL3
V86 v86_step, IOPL3

section .rodata
bits 16
global v86_start, v86_end
v86_start:
code_v86_frame:
    int LEGACY_STOP
code_v86_service:                       ; a handler in ring 0 and back
    mov si, 0x1234
    int LEGACY_SERVICE
    inc si
    mov ax, ds
    int LEGACY_STOP
code_v86_memory:                        ; DS, ES, SS:BP, FS with 16- and 32-bit addresses
    mov ax, [0]
    mov bx, [es:2]
    mov bp, 0x0FF0
    mov word [bp], 0x55AA
    mov cx, [ss:0x0FF0]
    mov edx, [fs:dword 0x20]
    int LEGACY_STOP
code_v86_ports:
    mov dx, 0x2E0
    in ax, dx
    out 0x80, al
    in al, 0x61
    mov bx, 0x6161
    int LEGACY_STOP
code_v86_port_denied:
    mov bx, 0x6262
    in al, 0x64
    int LEGACY_STOP
code_v86_word_port_denied:              ; the upper byte's bit counts too
    in ax, 0x63
    int LEGACY_STOP
code_v86_string_denied:
    mov dx, 0x64
    mov cx, 4
    rep insb
    int LEGACY_STOP
code_v86_ports0:                        ; IOPL does not matter for I/O here
    in al, 0x61
    out 0x80, al
    int3
code_v86_cli:
    sti
    cli
    pushf
    pop ax
    int LEGACY_STOP
code_v86_popf:                          ; POPF changes IF, not IOPL
    push word 0x0202
    popf
    pushf
    pop ax
    cli
    int LEGACY_STOP
code_v86_popf32:                        ; nor VM
    push dword 0x00000002
    o32 popf
    o32 pushf
    pop eax
    int LEGACY_STOP
code_v86_iret:
    push word 0x3002
    push word SEGMENT_ + 1
    push word .there - v86_start - 16
    iret
.there:
    mov ax, cs
    int LEGACY_STOP
code_v86_cpuid:
    xor eax, eax
    cpuid
    int LEGACY_STOP
code_v86_strings:                       ; FS: OUTS and INS into ES
    mov dx, 0x80
    xor si, si
    mov cx, 3
    fs rep outsb
    mov dx, 0x2E0
    mov di, variables - v86_start + 0x20 - 0x40
    mov cx, 2
    rep insw
    mov ax, [es:variables - v86_start + 0x22 - 0x40]
    int LEGACY_STOP
code_v86_interrupted:                   ; IRQ 0 stands already: behind the instruction that follows STI
    sti
    nop
    nop
    cli
    int LEGACY_STOP
code_v86_sti_pending:                   ; behind the end of a carried-out instruction
    xor eax, eax
    sti
    cpuid
    cli
    int LEGACY_STOP
code_v86_wait:                          ; IRQ 0 comes in a loop; SI counts
    xor si, si
.loop:
    inc si
    in al, 0x61
    cmp si, 20000
    jb .loop
    cli
    int LEGACY_STOP
code_v86_divide:
    xor cx, cx
    div cx
code_v86_int3:
    int3
code_v86_into:
    mov al, 0x7F
    inc al
    into
code_v86_ud:
    ud2
code_v86_hlt:
    hlt
code_v86_mov_cr:
    mov eax, cr0
code_v86_rdmsr:
    mov ecx, 0xC0000080
    rdmsr
code_v86_lgdt:
    lgdt [0]
code_v86_lldt:
    lldt ax
code_v86_lar:
    lar ax, cx
code_v86_arpl:
    arpl ax, cx
code_v86_cli0:
    cli
    int3
code_v86_sti0:
    sti
    int3
code_v86_pushf0:
    pushf
    int3
code_v86_popf0:
    popf
    int3
code_v86_int0:
    int LEGACY_STOP
    int3
code_v86_iret0:
    iret
    int3
code_v86_limit:                         ; a word at FFFFh
    mov ax, [0xFFFF]
    int LEGACY_STOP
code_v86_page_fault:
    mov ax, V86_ABSENT >> 4
    mov ds, ax
    mov [0x123], al
    int LEGACY_STOP
code_v86_mmio:
    mov ax, V86_MMIO >> 4
    mov ds, ax
    mov di, 0x10
    mov bx, 0x20
    mov ax, [bx + di + 4]
    mov [bx], ax
    xor ecx, ecx
    add cx, [di]
    movzx edx, byte [0x30]
    int LEGACY_STOP
code_v86_mmio_string:
    mov ax, V86_MMIO >> 4
    mov ds, ax
    mov si, 0x100
    mov di, variables - v86_start + 0x20 - 0x40
    mov cx, 4
    rep movsw                           ; DS (MMIO) to ES
    mov bx, [es:variables - v86_start + 0x26 - 0x40]
    int LEGACY_STOP
code_v86_step:                          ; a trap behind an instruction that is carried out
    push word TF | 0x3002
    xor eax, eax
    popf
    cpuid
.behind:
    nop
    int LEGACY_STOP
align 16
variables:
times 0x40 db 0
v86_end:
global v86_step_ip, v86_variables
v86_step_ip:   dd code_v86_step.behind - v86_start
v86_variables: dd variables - v86_start
