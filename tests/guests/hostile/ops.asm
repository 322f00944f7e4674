; Single operations that may raise an exception: trap_fixup sends the handler to the instruction behind, registers as they were.
; C signatures in hostile.h.

bits 64
%include "tests/guests/lib/try.inc"
section .text

global op_rdmsr                         ; (msr)
op_rdmsr:
    mov ecx, edi
    TRY rdmsr
    shl rdx, 32
    or rax, rdx
    ret

global op_wrmsr                         ; (msr, value)
op_wrmsr:
    mov ecx, edi
    mov eax, esi
    mov rdx, rsi
    shr rdx, 32
    TRY wrmsr
    ret

global op_in                            ; (port, width)
op_in:
    mov edx, edi
    cmp esi, 2
    je .word
    ja .dword
    TRY in al, dx
    ret
.word:
    TRY in ax, dx
    ret
.dword:
    TRY in eax, dx
    ret

global op_out                           ; (port, width, value)
op_out:
    mov eax, edx
    mov edx, edi
    cmp esi, 2
    je .word
    ja .dword
    TRY out dx, al
    ret
.word:
    TRY out dx, ax
    ret
.dword:
    TRY out dx, eax
    ret

global op_string_io                     ; (port, form 0..5, count, buffer)
op_string_io:
    mov r8d, edx
    mov edx, edi
    mov rdi, rcx
    mov eax, esi
    mov rsi, rcx
    mov ecx, r8d
    cmp eax, 1
    jb .insb
    je .insw
    cmp eax, 3
    jb .insd
    je .outsb
    cmp eax, 5
    jb .outsw
    TRY rep outsd
    ret
.insb:
    TRY rep insb
    ret
.insw:
    TRY rep insw
    ret
.insd:
    TRY rep insd
    ret
.outsb:
    TRY rep outsb
    ret
.outsw:
    TRY rep outsw
    ret

global op_cpuid                         ; (leaf, subleaf)
op_cpuid:
    push rbx
    mov eax, edi
    mov ecx, esi
    TRY cpuid
    pop rbx
    ret

%macro REGISTER_OPS 1                   ; op_read_X(), op_write_X(value)
global op_read_%1, op_write_%1
op_read_%1:
    TRY mov rax, %1
    ret
op_write_%1:
    TRY mov %1, rdi
    ret
%endmacro
REGISTER_OPS cr0
REGISTER_OPS cr2
REGISTER_OPS cr3
REGISTER_OPS cr4
REGISTER_OPS cr8
REGISTER_OPS dr0
REGISTER_OPS dr3
REGISTER_OPS dr4
REGISTER_OPS dr6
REGISTER_OPS dr7

; Memory forms: void memory_ops[N](address, value); rax, rcx and r8 are free.
section .rodata
align 8
global memory_ops
memory_ops:
%macro MEMORY_OP 2+
section .rodata
    dq op_mem_%1
section .text
op_mem_%1:
    mov rax, rsi
    TRY %2
    ret
%endmacro
MEMORY_OP 0, mov al, [rdi]
MEMORY_OP 1, mov ax, [rdi]
MEMORY_OP 2, mov eax, [rdi]
MEMORY_OP 3, mov rax, [rdi]
MEMORY_OP 4, mov [rdi], al
MEMORY_OP 5, mov [rdi], ax
MEMORY_OP 6, mov [rdi], eax
MEMORY_OP 7, mov [rdi], rax
MEMORY_OP 8, mov dword [rdi], 0x12345678
MEMORY_OP 9, movzx eax, byte [rdi]
MEMORY_OP 10, movsx rax, word [rdi]
MEMORY_OP 11, xchg [rdi], eax
MEMORY_OP 12, lock add [rdi], eax
MEMORY_OP 13, or [rdi], al
MEMORY_OP 14, and eax, [rdi]
MEMORY_OP 15, test byte [rdi], 0x55
MEMORY_OP 16, cmp [rdi], rax
MEMORY_OP 17, inc dword [rdi]
MEMORY_OP 18, bts dword [rdi], 3
MEMORY_OP 19, lock cmpxchg [rdi], ecx
MEMORY_OP 20, stosd
MEMORY_OP 21, movsxd rax, dword [rdi]
MEMORY_OP 22, not word [rdi]
MEMORY_OP 23, sub rax, [rdi]

section .rodata
global memory_op_count
memory_op_count: dq ($ - memory_ops) / 8

; Instructions without an operand from outside, void odd_ops[N](void); none may end the guest.
global odd_ops
odd_ops:
%macro ODD_OP 2+
section .rodata
    dq op_odd_%1
section .text
op_odd_%1:
    push rbx
    xor eax, eax
    xor ecx, ecx
    xor edx, edx
    TRY %2
    pop rbx
    ret
%endmacro
ODD_OP 0, ud2
ODD_OP 1, int3
ODD_OP 2, vmrun
ODD_OP 3, vmload
ODD_OP 4, vmsave
ODD_OP 5, vmmcall
ODD_OP 6, clgi
ODD_OP 7, stgi
ODD_OP 8, skinit
ODD_OP 9, invlpga
ODD_OP 10, monitor
ODD_OP 11, rdpmc
ODD_OP 12, xgetbv
ODD_OP 13, wbinvd
ODD_OP 14, invd
ODD_OP 15, rdtscp
ODD_OP 16, vmcall
ODD_OP 17, int 0x80
ODD_OP 18, clts
ODD_OP 19, smsw eax
ODD_OP 20, rdrand eax
ODD_OP 21, div ecx
ODD_OP 22, pause
ODD_OP 23, rdseed eax
ODD_OP 24, str eax
ODD_OP 25, int 5
ODD_OP 26, rsm
ODD_OP 27, xsetbv
ODD_OP 28, mwait
ODD_OP 29, lmsw ax

section .rodata
global odd_op_count
odd_op_count: dq ($ - odd_ops) / 8

section .text

global op_invlpg                        ; (address)
op_invlpg:
    TRY invlpg [rdi]
    ret

global op_popf                          ; (flags)
op_popf:
    push rdi
    TRY popf
    pushf
    and qword [rsp], ~0x44500           ; TF, DF, NT and AC off again
    popf
    ret

; One instruction with interrupts on, behind STI's shadow another.
global op_window
op_window:
    sti
    nop
    nop
    cli
    ret

; ---- what ends a guest ----
section .data
align 8
null_idt: dw 0
          dq 0

section .text
global end_triple_fault
end_triple_fault:
    lidt [null_idt]
    ud2

global end_cli_hlt
end_cli_hlt:
    cli
    hlt
    jmp end_cli_hlt

; Interrupts on, but nothing that could come.
global end_masked_hlt
end_masked_hlt:
    sti
    hlt
    jmp end_masked_hlt

global storm_ud
storm_ud:
    ud2
    jmp storm_ud
