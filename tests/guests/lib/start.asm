; Entry of every test guest: Multiboot 1 hands over in 32-bit protected mode; go to long mode with the low 4 GB mapped one to one
; (2 MB pages), a stack, and call guest_main(command line). Zeroed .bss is the loader's work.
; Source: Multiboot Specification 0.6.96, "OS image format" and "Machine state".

MULTIBOOT_MAGIC equ 0x1BADB002
MULTIBOOT_FLAGS equ 3                   ; modules page aligned, memory sizes wanted
EFER            equ 0xC0000080

section .multiboot
align 4
    dd MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

section .text
bits 32
global _start
extern guest_main
_start:
    cli
    cld
    mov esp, stack_top
    mov esi, ebx                        ; the Multiboot information
    mov dword [page_pml4], page_pdpt + 3
    mov eax, page_directories + 3
    mov edi, page_pdpt
    mov ecx, 4
.pdpt:
    mov [edi], eax
    add eax, 4096
    add edi, 8
    loop .pdpt
    mov eax, 0x83                       ; present, writable, 2 MB
    mov edi, page_directories
    mov ecx, 2048
.directory:
    mov [edi], eax
    add eax, 0x200000
    add edi, 8
    loop .directory

    mov eax, page_pml4
    mov cr3, eax
    mov eax, cr4
    or eax, 1 << 5                      ; PAE
    mov cr4, eax
    mov ecx, EFER
    rdmsr
    or eax, 1 << 8                      ; LME
    wrmsr
    mov eax, cr0
    or eax, 1 << 31 | 1                 ; PG, PE
    mov cr0, eax
    lgdt [gdt_pointer]
    jmp 0x08:.long

bits 64
.long:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov esi, esi
    mov [multiboot_info], rsi
    mov rsp, stack_top
    call guest_main
.stop:
    cli
    hlt
    jmp .stop

section .data
align 16
global gdt_start
gdt_start:
    dq 0
    dq 0x00AF9B000000FFFF               ; 08: 64-bit code
    dq 0x00CF93000000FFFF               ; 10: data
    dq 0x00CF9B000000FFFF               ; 18: 32-bit code
    dq 0x00009B000000FFFF               ; 20: 16-bit code, 64 KB
    dq 0x000093000000FFFF               ; 28: 16-bit data, 64 KB
gdt_end:
global gdt_pointer
gdt_pointer:
    dw gdt_end - gdt_start - 1
    dq gdt_start

global multiboot_info
multiboot_info:
    dq 0

section .bss
alignb 4096
global page_pml4, page_pdpt, page_directories
page_pml4:        resb 4096
page_pdpt:        resb 4096
page_directories: resb 4 * 4096
global stack_top
                  resb 32768
stack_top:
