; REP string instructions over and over, with ticks inside, and a handler that tells where each one came. void rep_X(volatile uint64_t
; *counter, uint64_t target, uint32_t count): called with interrupts off, turns them on and returns with them off once *counter >= target.
; The labels are known to tests/integration/rep_load.py.

PORT equ 0x2E8                          ; nobody claims it

bits 64
section .text

%macro LOAD 2+                          ; name, instruction
global rep_%1
rep_%1:
    mov r8, rdi
    mov r9, rsi
    mov r10d, edx
    xor ecx, ecx
    xor esi, esi
    xor edi, edi
    mov eax, 1
    mov edx, PORT
    out dx, eax                         ; begins
    sti
.source:
    mov esi, rep_source
.target:
    mov edi, rep_target
.count:
    mov ecx, r10d
.rep:
    %2
.check:
    cmp [r8], r9
.loop:
    jb .source
    cli
    mov eax, 2
    out dx, eax                         ; ends
    ret
%endmacro
LOAD movsb, rep movsb
LOAD stosd, rep stosd
LOAD lodsw, rep lodsw
LOAD cmpsq, repe cmpsq                  ; all equal: the count ends it
LOAD scasb, repne scasb                 ; a byte that is equal ends it, before the count does

; IRQ 0: RIP, RCX, RSI, RDI of what it came into. They stand in no register behind that.
global rep_irq0
rep_irq0:
    push rax
    push rdx
    mov edx, PORT
    mov eax, [rsp + 16]
    out dx, eax
    mov eax, ecx
    out dx, eax
    mov eax, esi
    out dx, eax
    mov eax, edi
    out dx, eax
    push rcx
    push rsi
    push rdi
    xor ecx, ecx
    xor esi, esi
    xor edi, edi
    inc qword [irq0_count]
    mov eax, 0x20
    out 0x20, al
.last:
    pop rdi
    pop rsi
    pop rcx
    pop rdx
    pop rax
    iretq

; void rep_forget(void): nor in memory; interrupts are off, and this is called from where rep_X was.
global rep_forget
rep_forget:
    mov rax, -32
.again:
    mov qword [rsp + rax * 8], 0
    inc rax
    jnz .again
    ret

extern irq0_count
section .bss
alignb 64
global rep_target
rep_source: resb 8 * 4096
rep_target: resb 8 * 4096
