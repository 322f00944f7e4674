; Loops of one exit per round with the same frame of three instructions of the guest's own: set up a register, DEC, JNZ.
; uint64_t bench_X(uint64_t rounds, uint64_t *before_tsc): the TSC behind the loop.

bits 64
section .text

; %1 name, %2 ESI, %3 ECX, %4 the set-up, %5 the instruction
%macro BENCH 5+
global bench_%1
bench_%1:
    push rbx
    mov r10, rsi
    mov esi, %2
    mov ecx, %3
    rdtsc
    mov [r10], eax
    mov [r10 + 4], edx
.again:
    %4
    %5
    dec rdi
    jnz .again
    rdtsc
    shl rdx, 32
    or rax, rdx
    pop rbx
    ret
%endmacro

BENCH none, 0, 0, {mov edx, esi}, nop
BENCH cpuid, 0, 0, {mov eax, esi}, cpuid
BENCH latch, 0, 0, {mov eax, esi}, out 0x43, al
BENCH pit_read, 0, 0, {mov edx, esi}, in al, 0x40
BENCH port61, 0, 0, {mov edx, esi}, in al, 0x61
BENCH uart_status, 0x3FD, 0, {mov edx, esi}, in al, dx
BENCH rdmsr, 0, 0xC0000080, {mov edx, esi}, rdmsr
BENCH mmio, 0xFEDFF000, 0, {mov edx, esi}, mov eax, [rdx]
BENCH pm_timer, 0x608, 0, {mov edx, esi}, in eax, dx
