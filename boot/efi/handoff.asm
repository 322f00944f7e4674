; What C can't say of verge.efi: Verge's image as bytes, and the way from the firmware's 64-bit mode to the 32-bit entry of
; boot/entry.asm. efi_handoff is copied below 4 GB and called there, with boot services gone, memory mapped one to one and
; a stack anywhere; it uses no address but its own.
; Sources: Multiboot2 Specification 2.0, "I386 machine state"; AMD64 APM vol. 2, "Leaving Long Mode"; UEFI Specification,
; "x64 Platforms" (the state that firmware leaves).

global efi_kernel, efi_kernel_end, efi_handoff, efi_handoff_end

%define CR0_PG 0x80000000
%define CR4_PCIDE 0x20000               ; must be off before paging is
%define CR4_CET 0x800000                ; a shadow stack would refuse the far return
%define CODE32 8
%define DATA32 16

section .rodata
align 16
efi_kernel:
    incbin "verge.elf32"
efi_kernel_end:

; void efi_handoff(EDI: magic, ESI: information, EDX: entry)
align 16
bits 64
efi_handoff:
    cli
    cld
    mov ebx, esi
    lea rcx, [rel .gdt]
    mov [rel .gdtr + 2], rcx
    lgdt [rel .gdtr]
    mov rcx, cr4
    and rcx, ~(CR4_PCIDE | CR4_CET)
    mov cr4, rcx
    lea rcx, [rel .compatibility]
    push CODE32
    push rcx
    o64 retf
bits 32
.compatibility:
    mov ecx, DATA32
    mov ds, ecx
    mov es, ecx
    mov fs, ecx
    mov gs, ecx
    mov ss, ecx
    mov ecx, cr0
    and ecx, ~CR0_PG
    mov cr0, ecx                        ; long mode ends; what is left in CR4 and EFER entry.asm sets anew
    mov eax, edi
    jmp edx

align 8
.gdt:
    dq 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
.gdtr:
    dw 23
    dq 0
efi_handoff_end:
