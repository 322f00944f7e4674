; What ends a guest: triple faults, hardware task switches, instructions that are not carried out on memory that traps. None comes back.
; Source: Intel SDM vol. 3, "Interrupt 8", "Task Switching"; AMD APM vol. 2, "Hardware Multitasking".

%include "tests/guests/modes/legacy.inc"

MMIO_BASE equ 0xD0000000
CR0_PE    equ 1
CR4_FXSR  equ 1 << 9
EFLAGS_NT equ 1 << 14
TSS_LINK  equ 0

extern legacy_tss, legacy_tss2, legacy_gdt
section .text

; ---- trials (legacy.h) ----
bits 32
global end_triple32, end_triple_real, end_task_jmp, end_task_call, end_task_gate, end_task_interrupt, end_task_iret, end_task_entry
end_triple32:
    lidt [no_idt]
    int3
end_triple_real:                        ; 32-bit code in real mode
    mov eax, cr0
    and eax, ~CR0_PE
    mov cr0, eax
    lidt [no_idt]
    int3
end_task_jmp:
    jmp SEL_TSS2:0
end_task_call:
    call SEL_TSS2:0
end_task_gate:
    jmp SEL_TASK_GATE:0
end_task_interrupt:                     ; ends.c made this vector a task gate
    int LEGACY_STOP
end_task_iret:
    mov word [legacy_tss + TSS_LINK], SEL_TSS2
    mov byte [legacy_gdt + SEL_TSS2 + 5], 0x8B
    push 2 | EFLAGS_NT
    popfd
    iretd
end_task_entry:                         ; where a CPU that does switch goes on
    mov al, 77
    out 0xF4, al
    jmp end_task_entry

; ---- in long mode ----
bits 64
%macro END 2+
global end_%1
end_%1:
    mov edi, MMIO_BASE
    %2
    ret
%endmacro
END mmio_shift, shl dword [rdi], 1
END mmio_multiply, mul dword [rdi]
END mmio_divide, div dword [rdi]
END mmio_cmpxchg8b, cmpxchg8b [rdi]
END mmio_x87, fld dword [rdi]
END mmio_jump, jmp qword [rdi]
END mmio_far_jump, jmp far [rdi]
END mmio_selector, mov fs, [rdi]
END mmio_lgdt, lgdt [rdi]
END mmio_code, jmp rdi
END mmio_tables, mov cr3, rdi
global end_triple64, end_mmio_sse, end_mmio_stack
end_triple64:
    lidt [no_idt]
    ud2
end_mmio_sse:
    mov rax, cr4
    or eax, CR4_FXSR
    mov cr4, rax
    mov edi, MMIO_BASE
    movups xmm0, [rdi]
    ret
end_mmio_stack:
    mov esp, MMIO_BASE + 0x1000
    ud2

section .rodata
align 8
no_idt: dw 0
        dq 0
