; Exceptions and their error codes in 32-bit protected mode: trials (legacy.h). And a double fault in long mode on a stack of its own.
; Source: Intel SDM vol. 3, "Exception and Interrupt Reference", "Error Code"; AMD APM vol. 2, "Vectors".

%include "tests/guests/modes/legacy.inc"

EFER      equ 0xC0000080
EFER_NXE  equ 1 << 11
CR0_WP    equ 1 << 16
CR0_AM    equ 1 << 18
EFLAGS_NT equ 1 << 14
EFLAGS_AC equ 1 << 18
TSS_LINK  equ 0
PAGE      equ 0x40000000                ; what faults.c maps as it likes, under LEGACY_PAE
NX_PAGE   equ 0x40200000

extern legacy_to_user, legacy_tss, legacy_data, legacy_pointers
bits 32
section .text

; An instruction in ring 0 (TRIAL) or ring 3 (USER).
%macro TRIAL 1
global %1
%1:
%endmacro
%macro USER 1
TRIAL %1
    mov eax, .user
    jmp legacy_to_user
.user:
%endmacro
TRIAL fault_ts_link                     ; IRET with NT to what is no busy TSS
    mov word [legacy_tss + TSS_LINK], SEL_DATA
    push 2 | EFLAGS_NT
    popfd
    iretd
TRIAL fault_ts_null
    mov word [legacy_tss + TSS_LINK], 0
    push 2 | EFLAGS_NT
    popfd
    iretd
TRIAL fault_np_data
    mov eax, SEL_ABSENT_DATA
    mov ds, eax
TRIAL fault_np_code
    jmp SEL_ABSENT_CODE:0
TRIAL fault_np_gate
    int 0x51
TRIAL fault_np_handler                  ; a gate to a segment that is absent
    int 0x52
TRIAL fault_np_ldt
    mov eax, SEL_ABSENT_DATA
    lldt ax
TRIAL fault_ss_absent
    mov eax, SEL_ABSENT_STACK
    mov ss, eax
TRIAL fault_gp_read_only_ss
    mov eax, SEL_READ_ONLY
    mov ss, eax
TRIAL fault_gp_null_ss
    xor eax, eax
    mov ss, eax
TRIAL fault_gp_beyond_gdt
    mov eax, 0xFFF8
    mov es, eax
TRIAL fault_gp_beyond_ldt
    mov eax, 0xFFFC
    mov es, eax
TRIAL fault_gp_data_as_code
    jmp SEL_DATA:0
TRIAL fault_gp_null_code
    jmp 0:0
TRIAL fault_gp_ltr_busy
    mov eax, SEL_TSS
    ltr ax
TRIAL fault_gp_beyond_idt               ; the table ends below
    int 0xF0
TRIAL fault_gp_cr4
    mov eax, cr4
    or eax, 1 << 31
    mov cr4, eax
TRIAL fault_gp_cr0                      ; PG without PE can't be set: NW without CD
    mov eax, cr0
    or eax, 1 << 29
    mov cr0, eax
TRIAL fault_db_icebp
    db 0xF1
TRIAL fault_bound
    mov eax, 5
    bound eax, [.bounds]
    ret
.bounds: dd 6, 7
TRIAL fault_df                          ; #GP whose gate is absent, and #NP's too
    mov eax, 0xFFF8
    mov es, eax

; ---- page faults ----
TRIAL fault_pf_read
    mov eax, [PAGE + 0x123]
TRIAL fault_pf_write
    mov [PAGE + 0x123], eax
TRIAL fault_pf_protected                ; a write with CR0.WP
    mov ecx, cr0
    or ecx, CR0_WP
    mov cr0, ecx
    mov [PAGE + 0x123], eax
TRIAL fault_pf_unprotected              ; and without
    mov ecx, cr0
    and ecx, ~CR0_WP
    mov cr0, ecx
    mov [PAGE + 0x123], eax
    ret
TRIAL fault_pf_fetch
    mov eax, NX_PAGE
    jmp eax
TRIAL fault_pf_nx
    mov ecx, EFER
    rdmsr
    or eax, EFER_NXE
    wrmsr
    mov eax, NX_PAGE
    jmp eax
USER fault_pf_user_read
    mov eax, [PAGE + 0x123]
USER fault_pf_user_write
    mov [PAGE + 0x123], eax
USER fault_pf_user_ins                  ; the port is not touched, the count is whole
    mov edi, PAGE + 0x120
    mov ecx, 5
    mov edx, 0x2E0
    rep insb

; ---- the four entries of PAE paging ----
TRIAL fault_pdpte_cr3
    or byte [legacy_pointers + 8], 2    ; reserved
    mov eax, cr3
    mov cr3, eax
    ret
TRIAL fault_pdpte_cr0
    mov eax, cr0
    and eax, 0x7FFFFFFF
    mov cr0, eax
    or byte [legacy_pointers + 8], 2
    or eax, 1 << 31
    mov cr0, eax
    ret
TRIAL fault_pdpte_kept                  ; the CPU keeps what it loaded, exits or not
    mov byte [legacy_pointers + 8], 0
    xor eax, eax
    cpuid
    in al, 0x61
    mov eax, [PAGE]
    mov edx, 0x600D
    mov eax, cr3
    mov cr3, eax
    mov eax, [PAGE]
    ret

; ---- alignment ----
USER fault_ac
    push EFLAGS_AC | 2
    popfd
    mov eax, [legacy_data + 1]
    int LEGACY_STOP
USER fault_ac_off
    mov eax, [legacy_data + 1]
    int LEGACY_STOP
TRIAL fault_ac_ring0
    push EFLAGS_AC | 2
    popfd
    mov eax, [legacy_data + 1]
    ret
TRIAL fault_set_am                      ; a trial before these three
    mov eax, cr0
    or eax, CR0_AM
    mov cr0, eax
    ret

; ---- long mode: #DF on an interrupt stack ----
bits 64
global fault_ist                        ; uint64_t fault_ist(const void *tss_descriptor_gdtr): RSP in the handler
fault_ist:
    push rbp
    mov [ist_rsp], rsp
    mov rsp, 1 << 63                    ; no stack to push on: #SS or #GP, then #DF
    push rax
.after:
    mov rsp, [ist_rsp]
    mov rax, [ist_seen]
    pop rbp
    ret
global fault_ist_entry
fault_ist_entry:
    mov [ist_seen], rsp
    mov rax, [rsp]
    mov [fault_ist_error], rax
    mov rax, [rsp + 8]
    mov [fault_ist_rip], rax
    jmp fault_ist.after

section .bss
alignb 8
ist_rsp:         resq 1
ist_seen:        resq 1
global fault_ist_error, fault_ist_rip
fault_ist_error: resq 1
fault_ist_rip:   resq 1
