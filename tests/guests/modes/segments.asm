; Segment state in 32-bit protected mode: trials (legacy.h). Source: Intel SDM vol. 3, "Segment Registers", "Limit Checking",
; "Type Checking", "Privilege Levels", "Conforming Code Segments"; AMD APM vol. 2, "Segment-Protection Checks".

%include "tests/guests/modes/legacy.inc"
%include "tests/guests/modes/exits.inc"

EFER     equ 0xC0000080
EFER_LME equ 1 << 8
CR0_PG   equ 1 << 31
CR4_PAE  equ 1 << 5

extern legacy_gdt, legacy_to_user, page_pml4
bits 32
section .text

global seg_based, seg_ldt, seg_small_in, seg_small_out, seg_read_only, seg_write_read_only, seg_execute_only, seg_null
seg_based:
    mov eax, SEL_BASED
    mov fs, eax
    EXITS
    mov eax, [fs:4]
    ret
seg_ldt:
    mov eax, SEL_IN_LDT
    mov gs, eax
    EXITS
    mov eax, [gs:0]
    sldt edx
    str ebx
    ret
seg_small_in:
    mov eax, SEL_SMALL
    mov es, eax
    EXITS
    mov eax, [es:0x0C]
    ret
seg_small_out:
    mov eax, SEL_SMALL
    mov es, eax
    EXITS
    mov eax, [es:0x0D]
    ret
seg_read_only:
    mov eax, SEL_READ_ONLY
    mov es, eax
    EXITS
    mov eax, [es:8]
    ret
seg_write_read_only:
    mov eax, SEL_READ_ONLY
    mov es, eax
    EXITS
    mov [es:0xFF0], eax
    ret
seg_execute_only:
    call SEL_EXECUTE_ONLY:.there
    ret
.there:
    EXITS
    mov eax, [cs:seg_execute_only]
    retf
seg_null:
    xor eax, eax
    mov es, eax
    EXITS
    mov eax, [es:0x1000]
    ret

global seg_down16_below, seg_down16, seg_down16_above, seg_down32_below, seg_down32
seg_down16_below:
    mov eax, SEL_DOWN16
    mov es, eax
    EXITS
    mov al, [es:0x7FF]
    ret
seg_down16:
    mov eax, SEL_DOWN16
    mov es, eax
    EXITS
    mov eax, [es:0x800]
    ret
seg_down16_above:
    mov eax, SEL_DOWN16
    mov es, eax
    EXITS
    mov eax, [es:0xFFFD]
    ret
seg_down32_below:
    mov eax, SEL_DOWN32
    mov es, eax
    EXITS
    mov al, [es:0x7FF]
    ret
seg_down32:
    mov eax, SEL_DOWN32
    mov es, eax
    EXITS
    mov eax, [es:0x800]
    ret

global seg_hidden                       ; the hidden part stays as loaded, whatever becomes of the descriptor
seg_hidden:
    mov eax, SEL_BASED
    mov fs, eax
    mov ebx, [fs:0x10]
    push ebx
    add byte [legacy_gdt + SEL_BASED + 2], 4
    EXITS
    mov esi, [fs:0x10]
    mov eax, SEL_BASED
    mov fs, eax
    mov edi, [fs:0x10]
    sub byte [legacy_gdt + SEL_BASED + 2], 4
    pop ebx
    ret

global seg_tables
seg_tables:
    EXITS
    sub esp, 8
    sgdt [esp + 2]
    movzx eax, word [esp + 2]
    mov ebx, [esp + 4]
    sidt [esp + 2]
    movzx ecx, word [esp + 2]
    mov edx, [esp + 4]
    add esp, 8
    ret

; ---- ring 3 ----
%macro USER 1
global %1
%1:
    mov eax, .user
    jmp legacy_to_user
.user:
%endmacro
USER seg_ring3
    int LEGACY_STOP
USER seg_ring3_exits
    xor eax, eax
    cpuid
    in al, 0x61
    out 0x80, al
    mov eax, [seg_small_in]
    int LEGACY_STOP
USER seg_ring3_in
    in al, 0x64
USER seg_ring3_cli
    cli
USER seg_ring3_hlt
    hlt
USER seg_ring3_cr
    mov eax, cr0
USER seg_ring3_rdmsr
    mov ecx, EFER
    rdmsr
USER seg_ring3_int                      ; a gate of DPL 0
    int 0x20
USER seg_ring3_load
    mov eax, SEL_DATA
    mov ds, eax
USER seg_conforming
    call SEL_CONFORMING:.there
.there:
    int LEGACY_STOP
USER seg_call_gate
    call SEL_CALL_GATE:0
USER seg_stack_limit
    mov eax, SEL_SMALL + 3
    mov ss, eax
    mov esp, 0x10
    push eax
    mov esp, 0x12
    push eax
global seg_gate_target
seg_gate_target:
    mov eax, cs
    int LEGACY_STOP

global seg_ring3_nulls                  ; a data segment of ring 0 becomes null on the way to ring 3
seg_ring3_nulls:
    push SEL_USER_DATA
    push esp
    push 2
    push SEL_USER_CODE
    push .user
    mov eax, SEL_USER_DATA
    mov es, eax
    iretd
.user:
    int LEGACY_STOP

; ---- the way to long mode with a 16-bit TSS: #GP on Intel ----
global seg_tss16
seg_tss16:
    mov eax, SEL_TSS16
    ltr ax
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov ecx, EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, page_pml4
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    and eax, ~CR0_PG
    mov cr0, eax
    ret

global seg_undo_tss16                   ; the trial behind it
seg_undo_tss16:
    mov byte [legacy_gdt + SEL_TSS + 5], 0x89
    mov eax, SEL_TSS
    ltr ax
    mov ecx, EFER
    rdmsr
    and eax, ~EFER_LME
    wrmsr
    ret
