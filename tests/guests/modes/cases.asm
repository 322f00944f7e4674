; Exceptions, interrupt shadows, single steps, string I/O, partial registers and self-modifying code, each a small C-callable function.

%include "tests/guests/lib/try.inc"
bits 64
section .text

%define NOWHERE 0x123456789             ; above the mapped 4 GB

; ---- exceptions: void fault_X(void) ----
%macro FAULT 2+
global fault_%1
fault_%1:
    push rbx
    xor ecx, ecx
    xor edx, edx
    mov eax, 1
    TRY %2
    pop rbx
    ret
%endmacro
FAULT divide, div ecx
FAULT breakpoint, int3
FAULT overflow, int 4
FAULT undefined, ud2
FAULT not_present, int 0x50

global fault_page_read
fault_page_read:
    mov rdi, NOWHERE
    TRY mov eax, [rdi]
    ret
global fault_page_write
fault_page_write:
    mov rdi, NOWHERE
    TRY mov [rdi], eax
    ret
global fault_page_rmw
fault_page_rmw:
    mov rdi, NOWHERE
    TRY add dword [rdi], 1
    ret
global fault_canonical
fault_canonical:
    mov rdi, 1 << 63
    TRY mov eax, [rdi]
    ret
global fault_stack
fault_stack:
    push rbp
    mov rbp, 1 << 63
    TRY mov eax, [rbp]
    pop rbp
    ret
global fault_selector
fault_selector:
    mov eax, 0xFFF8
    TRY mov ds, eax
    ret
global fault_rdmsr                      ; a local APIC's base: without one, no such MSR
fault_rdmsr:
    mov ecx, 0x1B
    TRY rdmsr
    ret
global fault_wrmsr
fault_wrmsr:
    mov ecx, 0x1B
    mov eax, 0xFEE00900
    xor edx, edx
    TRY wrmsr
    ret
global fault_device
fault_device:
    mov rax, cr0
    mov rdi, rax
    or rax, 8                           ; TS
    mov cr0, rax
    TRY fnop
    mov cr0, rdi
    ret
global fault_cr4
fault_cr4:
    mov rax, cr4
    bts rax, 63
    TRY mov cr4, rax
    ret

; ---- shadows: const void *shadow_X(void): called with an interrupt pending and IF = 0; returns where it should be taken ----
%macro SHADOW 2+
global shadow_%1
shadow_%1:
    push rbx
    mov eax, 0x40000000                 ; a leaf with the same result on every machine
    xor ecx, ecx
    sti
    %2
%%here:
    nop
    nop
    cli
    pop rbx
    mov rax, %%here
    ret
%endmacro
SHADOW nop, nop
SHADOW hlt, hlt
SHADOW cpuid, cpuid
SHADOW out, out 0x80, al
SHADOW in, in al, 0x61

global shadow_rep_outs                  ; behind the first iteration: STI's shadow is one instruction long
shadow_rep_outs:
    mov rsi, shadow_rep_outs
    mov ecx, 3
    mov edx, 0x80
    sti
.here:
    rep outsb
    cli
    mov rax, .here
    ret

global shadow_mov_ss                    ; one instruction later is also right
shadow_mov_ss:
    mov eax, 0x10
    sti
    mov ss, eax
.here:
    nop
    nop
    cli
    mov rax, .here
    ret

global shadow_popf
shadow_popf:
    pushf
    or qword [rsp], 0x200
    popf
.here:
    nop
    cli
    mov rax, .here
    ret

global shadow_sti_cli
shadow_sti_cli:
    sti
    cli
    nop
    nop
    ret

; ---- single steps: each boundary that #DB must report, in step_expected ----
global step_run
step_run:
    push rbx
    mov r8d, 0xFEDFF000
    mov ecx, 0xC0000080
    pushf
    pushf
    or qword [rsp], 0x100
    popf                                ; the trap comes behind the next instruction
    nop
.s0:
    rdmsr
.s1:
    out 0x80, al
.s2:
    in al, 0x61
.s3:
    mov eax, [r8]
.s4:
    mov [r8], eax
.s5:
    xor eax, eax
.s6:
    cpuid
.s7:
    mov rax, cr0
.s8:
    mov cr0, rax
.s9:
    popf
.s10:
    pop rbx
    ret
section .rodata
global step_expected
step_expected: dq step_run.s0, step_run.s1, step_run.s2, step_run.s3, step_run.s4, step_run.s5, step_run.s6, step_run.s7, step_run.s8, \
                  step_run.s9, step_run.s10, 0
section .text

global step_rep                         ; traps behind each of three iterations; returns where the first two are reported
step_rep:
    mov rsi, step_rep
    mov ecx, 3
    mov edx, 0x80
    pushf
    pushf
    or qword [rsp], 0x100
    popf
.here:
    rep outsb
    popf
    mov rax, .here
    ret

; ---- string I/O: void string_X(struct string_io *io): registers in and out: rcx, rdi, rsi, rdx in 8-byte fields ----
%macro STRING 2+
global string_%1
string_%1:
    push rdi
    mov r8, rdi
    mov rcx, [r8]
    mov rdi, [r8 + 8]
    mov rsi, [r8 + 16]
    mov rdx, [r8 + 24]
    %2
    cld
    mov [r8], rcx
    mov [r8 + 8], rdi
    mov [r8 + 16], rsi
    mov [r8 + 24], rdx
    pop rdi
    ret
%endmacro
STRING insb, insb
STRING rep_insb, rep insb
STRING rep_insw, rep insw
STRING rep_insd, rep insd
STRING rep_outsb, rep outsb
STRING a32_rep_insb, a32 rep insb
STRING fs_rep_outsb, db 0x64, 0xF3, 0x6E
%macro STD_INSB 0
    std
    rep insb
%endmacro
STRING std_rep_insb, STD_INSB

; ---- partial registers: uint64_t register_X(uint64_t rax) ----
global register_in8
register_in8:
    mov rax, rdi
    mov edx, 0x2E0
    in al, dx
    ret
global register_in16
register_in16:
    mov rax, rdi
    mov edx, 0x2E0
    in ax, dx
    ret
global register_in32
register_in32:
    mov rax, rdi
    mov edx, 0x2E0
    in eax, dx
    ret
global register_cpuid                   ; the four results' upper halves, or-ed
register_cpuid:
    push rbx
    mov rax, rdi
    mov rbx, rdi
    mov rcx, rdi
    mov rdx, rdi
    xor al, al
    mov eax, eax
    and rax, 0xFF
    cpuid
    or rax, rbx
    or rax, rcx
    or rax, rdx
    shr rax, 32
    pop rbx
    ret
global register_rdmsr
register_rdmsr:
    mov ecx, 0xC0000080
    mov rax, rdi
    mov rdx, rdi
    rdmsr
    or rax, rdx
    shr rax, 32
    ret

; ---- MMIO forms at RDI: uint64_t memory_X(uint64_t address, uint64_t rax) ----
%macro MEMORY 2+
global memory_%1
memory_%1:
    mov rax, rsi
    %2
    ret
%endmacro
MEMORY mov8, mov al, [rdi]
MEMORY mov32, mov eax, [rdi]
MEMORY movzx, movzx rax, word [rdi]
MEMORY movsx, movsx rax, byte [rdi]
MEMORY xchg, xchg eax, [rdi]
MEMORY add, add rax, [rdi]
global memory_push
memory_push:
    push qword [rdi]
    pop rax
    ret

; ---- self-modifying code ----
section .smc exec write align=4096
global smc_patch                        ; uint32_t smc_patch(uint32_t value): stores into the instruction behind the next
smc_patch:
    mov [.operand + 1], edi
    nop
.operand:
    mov eax, 0
    ret
global smc_target                       ; patched from outside
smc_target:
    mov eax, 0
    ret
