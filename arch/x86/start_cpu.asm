; The first instructions of a further CPU: real mode at a page below 512 KB, to 64-bit C on a stack of its own at -2 GB. start_cpu_code is copied
; to that page, and its last part, struct start_page (start_cpu.h), is filled in, by arch/x86/start_cpus.c. It goes on by the boot CPU's boot tables
; (boot/entry.asm), which map the page and the image, to the tables that are for this CPU. Sources: AMD64 APM vol. 2 "Long Mode Initialization";
; Intel SDM vol. 3 "Multiple-Processor (MP) Initialization".

global start_cpu_code, start_cpu_page, start_cpu_end
extern boot_stack_top, cpu_entered

%include "arch/x86/long_mode.inc"
%define NOBODY 0xFFFFFFFF

%define MSR_APIC_BASE 0x1B
%define APIC_BASE_X2APIC 0x400
%define APIC_ID 0x20                    ; in bits 31:24
%define MSR_X2APIC_ID 0x802

%define AT(label) (label - start_cpu_code)

section .rodata
align 16
bits 16
start_cpu_code:
    cli
    cld
    mov ax, cs
    mov ds, ax
    xor ebx, ebx
    mov bx, cs
    shl ebx, 4                          ; EBX: where this page is
    o32 lgdt [AT(start_cpu_page.gdtr)]
    mov eax, cr0
    or al, CR0_PE
    mov cr0, eax
    jmp dword far [AT(start_cpu_page.to_32)]

bits 32
in_32:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, [ebx + AT(start_cpu_page.boot_tables)]
    mov cr3, eax
    mov ecx, MSR_EFER
    xor edx, edx
    mov eax, EFER_LME_NXE
    wrmsr
    mov eax, CR0_PG_WP_NE_MP | CR0_PE
    mov cr0, eax
    jmp far [ebx + AT(start_cpu_page.to_64)]

bits 64
in_64:
    mov ebx, ebx                        ; its upper half is undefined in a change of mode
; Its own APIC ID, from where the one that woke it addressed it: CPUID may tell another, from before firmware moved them.
    mov ecx, MSR_APIC_BASE
    rdmsr
    test eax, APIC_BASE_X2APIC
    jnz .x2apic
    shl rdx, 32
    and eax, ~0xFFF
    or rdx, rax
    mov eax, [rdx + APIC_ID]
    shr eax, 24
    jmp .known
.x2apic:
    mov ecx, MSR_X2APIC_ID
    rdmsr
.known:
; Who is not expected, or not any more, sleeps: the tables and their stack are another's.
    mov ecx, NOBODY
    lock cmpxchg [rbx + AT(start_cpu_page.expected)], ecx
    jne .sleep
    mov rax, [rbx + AT(start_cpu_page.tables)]
    mov rcx, enter
    jmp rcx
.sleep:
    hlt
    jmp .sleep

align 8
start_cpu_page:
.boot_tables: dq 0                      ; struct start_page
.tables:      dq 0
.expected:    dd NOBODY
.to_32:       dd AT(in_32)
              dw 8, 0
.to_64:       dd AT(in_64)
              dw 24, 0
.gdtr:        dw 31
.gdt_at:      dd AT(.gdt)
              dw 0
.gdt:         dq 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00AF9B000000FFFF
start_cpu_end:

section .text
; At -2 GB, still by the boot tables: RAX: the CPU's own.
enter:
    mov cr3, rax
    CLEAR_SEGMENTS
    mov rsp, boot_stack_top
    xor ebp, ebp
    call cpu_entered
.stop:
    hlt
    jmp .stop
