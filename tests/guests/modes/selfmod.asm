; Self-modifying code: a store just before the byte that runs next, by every way a byte can come there. Each returns what it was patched to.
; Source: Intel SDM vol. 3, "Self-Modifying Code"; AMD APM vol. 2, "Cross-Modifying Code".

bits 64
section .smc exec write align=4096
align 4096
global smc_page
smc_page:
global smc_next                         ; uint32_t smc_X(uint32_t value)
smc_next:
    mov [.patched + 1], edi
.patched:
    mov eax, 0
    ret
global smc_byte                         ; the opcode itself: MOV EAX becomes MOV ECX and back
smc_byte:
    xor eax, eax
    xor ecx, ecx
    mov byte [.patched], 0xB9
.patched:
    mov eax, 0x77
    mov byte [.patched], 0xB8
    lea eax, [rax + rcx * 2]
    ret
global smc_string
smc_string:
    push rdi
    mov rsi, rsp
    mov rdi, .patched + 1
    mov ecx, 4
    rep movsb
.patched:
    mov eax, 0
    pop rdi
    ret
global smc_push                         ; eight bytes: the operand and MOV RSP, R8; NOP
smc_push:
    mov eax, 0x90C4894C
    shl rax, 32
    or rdi, rax
    mov r8, rsp
    mov rsp, .patched + 9
    push rdi
.patched:
    mov eax, 0
    mov rsp, r8
    nop
    ret
global smc_port                         ; a hypervisor stores the bytes: REP INSB from the palette
smc_port:
    mov rdi, .patched + 1
    mov edx, 0x3C9
    mov ecx, 4
    rep insb
.patched:
    mov eax, 0
    ret
global smc_exchange
smc_exchange:
    lock xchg [.patched + 1], edi
.patched:
    mov eax, 0
    ret
global smc_loop                         ; the patched instruction lies behind, in a loop of so many rounds
smc_loop:
    xor eax, eax
    mov ecx, edi
.round:
    add eax, 0x1000
    inc dword [.round + 1]
    dec ecx
    jnz .round
    mov dword [.round + 1], 0x1000
    ret
    times 4096 - ($ - smc_page) - 3 nop
global smc_cross                        ; an instruction over the end of a page: two bytes of its operand there, two here
smc_cross:
    mov eax, 0                          ; its operand is at smc_cross + 1
    ret
global smc_cross_patch
smc_cross_patch:
    mov [smc_cross + 1], edi
    jmp smc_cross
align 4096
