; Out of long mode and back, and what catches a trial's end. Contract: legacy.h.
; Sources: AMD APM vol. 2, "Leaving Long Mode", "Enabling and Activating Long Mode"; Intel SDM vol. 3, "Protected-Mode Exceptions
; and Interrupts", "Interrupt and Exception Handling in Virtual-8086 Mode".

%include "tests/guests/modes/legacy.inc"

EFER          equ 0xC0000080
EFER_LME      equ 1 << 8
CR0_PG        equ 1 << 31
CR4_PSE       equ 1 << 4
CR4_PAE       equ 1 << 5
STATE_WORDS   equ 23                    ; of struct legacy_state, less CR2
STATE_BYTES   equ (STATE_WORDS + 1) * 4
STATE_VECTOR  equ 12 * 4
STATE_EFLAGS  equ 16 * 4
EFLAGS_VM     equ 1 << 17

extern page_pml4, legacy_directory, legacy_pointers, legacy_gdt_pointer, legacy_idt_pointer, legacy_gdt
section .text

bits 64
global legacy_switch                    ; void legacy_switch(unsigned paging, const uint32_t *trials, states, unsigned count)
legacy_switch:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [saved_rsp], rsp
    mov rax, cr0
    mov [saved_cr0], rax
    mov rax, cr4
    mov [saved_cr4], rax
    sidt [saved_idt]
    sgdt [saved_gdt]
    mov [paging], edi
    mov [trials], esi
    mov [results], edx
    mov [left], ecx
    lgdt [legacy_gdt_pointer]
    push SEL_CODE32
    push .compatibility
    o64 retf

bits 32
.compatibility:
    mov eax, SEL_DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov esp, stack_end
    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    mov ecx, EFER
    rdmsr
    and eax, ~EFER_LME
    wrmsr
    lidt [legacy_idt_pointer]
    cmp dword [paging], 0
    je .flat
    mov edx, legacy_directory
    mov ebx, CR4_PSE
    cmp dword [paging], 1
    je .directory
    mov edx, legacy_pointers
    mov ebx, CR4_PAE
.directory:
    mov eax, cr4
    and eax, ~(CR4_PSE | CR4_PAE)
    or eax, ebx
    mov cr4, eax
    mov cr3, edx
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
.flat:
    mov byte [legacy_gdt + SEL_TSS + 5], 0x89
    mov eax, SEL_TSS
    ltr ax
    mov eax, SEL_LDT
    lldt ax
.next:
    mov esi, [trials]
    mov eax, [esi]
    call try
    mov edi, [results]
    mov esi, now
    mov ecx, STATE_BYTES / 4
    rep movsd
    mov [results], edi
    add dword [trials], 8
    dec dword [left]
    jnz .next

    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    mov eax, cr4
    and eax, ~CR4_PSE
    or eax, CR4_PAE
    mov cr4, eax
    mov ecx, EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, page_pml4
    mov cr3, eax
    mov fs, [legacy_last_fs]
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    jmp 0x08:.long

bits 64
.long:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    lgdt [saved_gdt]
    lidt [saved_idt]
    mov rax, [saved_cr0]
    mov cr0, rax
    mov rax, [saved_cr4]
    mov cr4, rax
    mov rsp, [saved_rsp]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

bits 32
; Runs the trial at EAX; its end is in `now`.
try:
    mov [escape_esp], esp
    mov edi, now
    mov ebx, eax
    xor eax, eax
    mov ecx, STATE_BYTES / 4
    rep stosd
    mov eax, ebx
    xor ebx, ebx
    call eax
    mov [now.eax], eax
    mov [now.ebx], ebx
    mov [now.ecx], ecx
    mov [now.edx], edx
    mov [now.esi], esi
    mov [now.edi], edi
    mov [now.ebp], ebp
    pushfd
    pop dword [now.eflags]
    mov dword [now.vector], LEGACY_RETURNED
.ended:
    mov eax, SEL_DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov esp, [escape_esp]
    push 2                              ; no IF, TF, NT, AC, DF, IOPL
    popfd
    ret

; ---- traps ----
%assign vector 0
%rep LEGACY_VECTORS
align 8
stub_ %+ vector:
%if vector = 8 || (vector >= 10 && vector <= 14) || vector = 17
%else
    push 0
%endif
    push vector
    jmp caught
%assign vector vector + 1
%endrep

caught:                                 ; the stack may be a 16-bit one with a base of its own
    pushad
    push ds
    push es
    push fs
    push gs
    mov eax, SEL_DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    cld
    mov eax, ss
    lar ebx, eax
    mov esi, esp
    test ebx, 1 << 22                   ; a big stack segment?
    jnz .take
    movzx esi, si
.take:
    mov eax, [ss:esi + STATE_VECTOR]
    cmp eax, 0x20
    je .irq
    cmp eax, LEGACY_SERVICE
    je .service
    mov edi, now
    call take_state
    mov eax, cr2
    mov [now.cr2], eax
    mov ecx, try.ended
    jmp ecx
.irq:
    inc dword [legacy_irqs]
    mov al, 0x20
    out 0x20, al
    jmp .return
.service:
    inc dword [legacy_services]
    jmp .return
.return:
    mov edi, legacy_serviced
    call take_state
    pop gs
    pop fs
    pop es
    pop ds
    popad
    add esp, 8
    iretd

take_state:                             ; SS:ESI -> [EDI]
    mov ecx, STATE_WORDS
    push esi
.word:
    mov edx, [ss:esi]
    mov [edi], edx
    add esi, 4
    add edi, 4
    loop .word
    pop esi
    ret

; ---- what several trials need ----
global legacy_to_user                   ; to ring 3 at EAX, with interrupts off; IOPL 0
legacy_to_user:
    push SEL_USER_DATA
    push user_stack_end
    push 2
    push SEL_USER_CODE
    push eax
    mov eax, SEL_USER_DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    iretd

section .rodata
global legacy_stubs
align 4
legacy_stubs:
%assign vector 0
%rep LEGACY_VECTORS
    dd stub_ %+ vector
%assign vector vector + 1
%endrep

section .data
global legacy_last_fs
legacy_last_fs: dd SEL_DATA             ; FS when long mode comes back

section .bss
alignb 16
                resb 4096
stack_end:
                resb 1024
global legacy_stack0_end
legacy_stack0_end:                      ; for interrupts from an outer ring and from V86 mode
                resb 1024
user_stack_end:
saved_rsp:      resq 1
saved_cr0:      resq 1
saved_cr4:      resq 1
saved_idt:      resb 16
saved_gdt:      resb 16
paging:         resd 1
trials:         resd 1
results:        resd 1
left:           resd 1
escape_esp:     resd 1
now:            resd 4
.edi:           resd 1
.esi:           resd 1
.ebp:           resd 2
.ebx:           resd 1
.edx:           resd 1
.ecx:           resd 1
.eax:           resd 1
.vector:        resd 4
.eflags:        resd 7
.cr2:           resd 1
global legacy_serviced, legacy_services, legacy_irqs
legacy_serviced: resb STATE_BYTES
legacy_services: resd 1
legacy_irqs:     resd 1
