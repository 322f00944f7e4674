; The first instructions: Multiboot 1 and 2 headers and the way from 32-bit protected mode at an unknown physical base to 64-bit C at
; -2 GB. Runs once, on the boot CPU, with interrupts off. Leaves: boot page tables (identity and direct map of the first 4 GB, the image at
; -2 GB), a stack, and a call of boot_main(magic, info, physical base).
; Sources: Multiboot Specification 0.6.96 "OS image format"; Multiboot2 Specification 2.0 "OS image format"; AMD64 APM vol. 2
; "Long Mode Initialization".

global entry32
extern boot_main, image_start, image_end

%define MB1_MAGIC 0x1BADB002
%define MB1_FLAGS 0x00000003            ; modules on page boundaries, memory map wanted
%define MB2_MAGIC 0xE85250D6

%include "arch/x86/long_mode.inc"

%define P_RW 0x3
%define P_RW_LARGE 0x83

section .multiboot
align 8
    dd MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)
align 8
mb2_header:
    dd MB2_MAGIC, 0, mb2_end - mb2_header
    dd 0x100000000 - (MB2_MAGIC + 0 + (mb2_end - mb2_header))
align 8
    dw 10, 0                            ; relocatable: 1 MB to 4 GB, 4 KB alignment, as low as there is room
    dd 24, 0x100000, 0xFFFFFFFF, 4096, 1
align 8
    dw 6, 0                             ; modules on page boundaries
    dd 8
align 8
    dw 5, 1                             ; a framebuffer of any size, or none
    dd 20, 0, 0, 0
align 8
    dw 0, 0
    dd 8
mb2_end:

section .text.entry exec
bits 32

; A reference to a symbol relative to the physical base in EBP.
%define PHYS(symbol) ebp + (symbol - entry_base)
entry_base equ entry32.start

entry32:
.start:
    cli
    cld
    mov edi, eax                        ; the loader's magic
    ; No stack yet and no address known: borrow the dword at info + 4 (MB1 mem_lower, MB2 reserved) for one CALL.
    lea esp, [ebx + 8]
    mov ecx, [ebx + 4]
    call .here
.here:
    pop ebp
    mov [ebx + 4], ecx
    sub ebp, .here - .start             ; EBP: physical address of entry32
    lea esp, [PHYS(boot_stack_top)]

    mov esi, ebx
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb no_long_mode
    mov eax, 0x80000001
    cpuid
    bt edx, 29                          ; LM
    jnc no_long_mode
    bt edx, 20                          ; NX
    jnc no_long_mode

    ; Identity map of 4 GB in 2 MB pages; the same tables serve as the direct map.
    lea edx, [PHYS(boot_pd)]
    mov eax, P_RW_LARGE
    xor ecx, ecx
.pd:
    mov [edx + ecx * 8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 4 * 512
    jb .pd
    lea eax, [PHYS(boot_pd) + P_RW]
    lea edx, [PHYS(boot_pdpt)]
    xor ecx, ecx
.pdpt:
    mov [edx + ecx * 8], eax
    add eax, 0x1000
    inc ecx
    cmp ecx, 4
    jb .pdpt

    ; The image at -2 GB in 4 KB pages.
    lea eax, [PHYS(image_start) + P_RW]
    lea edx, [PHYS(boot_pt_image)]
    mov ecx, (512)
.pt:
    mov [edx], eax
    add eax, 0x1000
    add edx, 8
    dec ecx
    jnz .pt
    lea eax, [PHYS(boot_pt_image) + P_RW]
    mov [PHYS(boot_pd_image)], eax
    lea eax, [PHYS(boot_pd_image) + P_RW]
    mov [PHYS(boot_pdpt_image) + 510 * 8], eax
    lea eax, [PHYS(boot_pdpt) + P_RW]
    mov [PHYS(boot_pml4)], eax
    mov [PHYS(boot_pml4) + 256 * 8], eax
    lea eax, [PHYS(boot_pdpt_image) + P_RW]
    mov [PHYS(boot_pml4) + 511 * 8], eax

    mov eax, CR4_PAE
    mov cr4, eax
    lea eax, [PHYS(boot_pml4)]
    mov cr3, eax
    mov ecx, MSR_EFER
    xor edx, edx
    mov eax, EFER_LME_NXE
    wrmsr
    mov eax, CR0_PG_WP_NE_MP | CR0_PE
    mov cr0, eax

    ; A far return into 64-bit code, still at the identity address.
    lea eax, [PHYS(boot_gdt)]
    mov [PHYS(boot_gdtr) + 2], eax
    lgdt [PHYS(boot_gdtr)]
    push dword 8
    lea eax, [PHYS(entry64)]
    push eax
    retf

; One line on the VGA text screen and COM1, then stop: nothing more can be done without long mode.
no_long_mode:
    lea esi, [PHYS(no_long_mode_text)]
    mov edi, 0xB8000
.next:
    lodsb
    test al, al
    jz .stop
    mov [edi], al
    mov byte [edi + 1], 0x4F
    add edi, 2
    mov dx, 0x3F8
    out dx, al
    jmp .next
.stop:
    hlt
    jmp .stop
no_long_mode_text:
    db "Verge: this CPU has no 64-bit long mode with NX; Verge can't run here.", 13, 10, 0

bits 64
entry64:
    CLEAR_SEGMENTS
    mov edi, edi                        ; magic
    mov esi, esi                        ; info
    mov edx, ebp                        ; physical base: of entry32, made that of the image
    mov rax, entry32.start
    mov rcx, image_start
    sub rax, rcx
    sub rdx, rax
    mov rsp, boot_stack_top
    xor ebp, ebp
    mov rax, boot_main
    call rax
.stop:
    hlt
    jmp .stop

align 8
boot_gdt:
    dq 0, 0x00AF9A000000FFFF
boot_gdtr:
    dw 15
    dd 0

section .bss.tables nobits alloc write align=4096
global boot_pml4
boot_pml4:       resb 4096
boot_pdpt:       resb 4096
boot_pd:         resb 4 * 4096
boot_pdpt_image: resb 4096
boot_pd_image:   resb 4096
boot_pt_image:   resb 4096

; Each stack has an unmapped page below it (arch/x86/paging.c unmaps the pages named here).
section .stacks nobits alloc write align=4096
global boot_stack_guard, boot_stack_top
boot_stack_guard: resb 4096
                  resb 16384
boot_stack_top:
global nmi_stack_guard, nmi_stack_top, df_stack_guard, df_stack_top, mc_stack_guard, mc_stack_top
nmi_stack_guard:  resb 4096
                  resb 8192
nmi_stack_top:
df_stack_guard:   resb 4096
                  resb 8192
df_stack_top:
mc_stack_guard:   resb 4096
                  resb 8192
mc_stack_top:
