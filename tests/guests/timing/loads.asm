; What a guest does while it waits for its ticks. void load_X(volatile uint64_t *counter, uint64_t target): returns once *counter >=
; target. Called with interrupts on, returns with interrupts on. Leaf code in a fixed form, so that runs can be compared to the cycle.

bits 64
section .text

; Spins load_gap rounds of two instructions between two exits: the emulator manages only some ten thousand exits a second.
%macro GAP 0
    mov r10d, [load_gap]
    test r10d, r10d
    jz %%none
%%again:
    dec r10d
    jnz %%again
%%none:
%endmacro

global load_spin
load_spin:
    cmp [rdi], rsi
    jb load_spin
    ret

global load_halt
load_halt:
    cli
    cmp [rdi], rsi
    jae .done
    sti
    hlt
    jmp load_halt
.done:
    sti
    ret

global load_movsb
load_movsb:
    mov r8, rdi
    mov r9, rsi
.again:
    mov rsi, copy_source
    mov rdi, copy_target
    mov ecx, 4096
    rep movsb
    cmp [r8], r9
    jb .again
    ret

global load_cpuid
load_cpuid:
    push rbx
.again:
    xor eax, eax
    cpuid
    GAP
    cmp [rdi], rsi
    jb .again
    pop rbx
    ret

global load_port
load_port:
    in al, 0x61
    GAP
    cmp [rdi], rsi
    jb load_port
    ret

global load_mmio                        ; a page that no device claims
load_mmio:
    mov edx, 0xFEDFF000
.again:
    mov eax, [rdx]
    GAP
    cmp [rdi], rsi
    jb .again
    ret

; uint64_t work_window(uint64_t start, uint64_t end): iterations of a fixed loop until the TSC has reached `end`; *rdx: the last reading.
global work_window
work_window:
    mov r8, rdx
    xor ecx, ecx
.again:
    inc rcx
    rdtsc
    shl rdx, 32
    or rax, rdx
    cmp rax, rsi
    jb .again
    mov [r8], rax
    mov rax, rcx
    ret

; void tsc_series_X(uint64_t *to, uint64_t count): TSC readings by a loop without other memory access or branch.
%macro SERIES 1+
    mov r8, rdi
    mov r9, rsi
.again:
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov [r8], rax
    add r8, 8
    %1
    dec r9
    jnz .again
    ret
%endmacro

global tsc_series_plain
tsc_series_plain:
    SERIES nop

global tsc_series_port
tsc_series_port:
    SERIES in al, 0x61

global tsc_series_cpuid
tsc_series_cpuid:
    push rbx
    call .series
    pop rbx
    ret
.series:
    xor r10d, r10d
    SERIES call cpuid_zero

cpuid_zero:
    mov eax, r10d
    cpuid
    ret

; uint64_t counted_loop(uint64_t rounds, uint64_t *tsc_before): the TSC behind it. Instructions from the first RDTSC (counted) to the
; second (not counted): COUNTED_FIXED + 2 * rounds.
global counted_loop
counted_loop:
    rdtsc                               ; 1
    mov r8d, eax                        ; 2
    mov r9d, edx                        ; 3
.again:
    dec rdi                             ; rounds
    jnz .again                          ; rounds
    rdtsc
    shl rdx, 32
    or rax, rdx
    shl r9, 32
    or r8, r9
    mov [rsi], r8
    ret

section .bss
global load_gap
load_gap:    resd 1
alignb 64
copy_source: resb 4096
copy_target: resb 4096
