; The first sector of the disk that Bochs starts from: loads what stands behind it, a Multiboot 1 image laid out for 1 MB by
; tools/bochs.py, adds the BIOS's memory map to the Multiboot information, and enters the image in 32-bit protected mode. A
; second boot, which is a reset, ends Bochs instead. Built with nasm -f bin, with SECTORS, and ENTRY and INFO as physical
; addresses, defined. Left out: errors of the disk, which has none. Sources: Multiboot Specification 0.6.96, "Machine state"; ACPI
; Specification 6.4, "INT 15H, E820H"; ATA-5, "READ SECTOR(S)"; Bochs's device iodebug (port 8900h).
org 0x7c00

%define MAP 0x8000              ; the memory map, in memory that nobody has taken yet
%define INFO_MMAP_LENGTH 44
%define IMAGE 0x100000
%define CMOS_BOOTED 0x7f        ; a CMOS byte that the BIOS leaves alone: not 0 after the first boot
%define ATA 0x1f0
%define ATA_CONTROL 0x3f6
%define ATA_NO_INTERRUPT 2
%define ATA_LBA 0xe0
%define ATA_BUSY_OR_DATA 0x88
%define ATA_DATA 0x08
%define ATA_READ 0x20

bits 16
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00

    mov al, CMOS_BOOTED
    out 0x70, al
    in al, 0x71
    test al, al
    jnz end_bochs
    inc ax
    out 0x71, al

    mov di, MAP
    xor ebx, ebx
.range:
    mov dword [di], 20          ; Multiboot: the size of what follows
    add di, 4
    mov eax, 0xe820
    mov ecx, 20
    mov edx, 0x534d4150         ; SMAP
    int 0x15
    jc .mapped
    add di, 20
    test ebx, ebx
    jnz .range
    add di, 4
.mapped:
    sub di, MAP + 4
    movzx ebp, di

    in al, 0x92
    or al, 2                    ; A20
    out 0x92, al
    lgdt [gdt_register]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:protected

end_bochs:
    mov si, word_shutdown
    mov dx, 0x8900
.next:
    lodsb
    out dx, al
    jmp .next

bits 32
protected:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov edx, ATA_CONTROL
    mov al, ATA_NO_INTERRUPT
    out dx, al
    mov edi, IMAGE
    mov ebx, 1
.sector:
    mov edx, ATA + 2
    mov al, 1
    out dx, al
    mov eax, ebx
    inc edx
    out dx, al
    shr eax, 8
    inc edx
    out dx, al
    shr eax, 8
    inc edx
    out dx, al
    shr eax, 8
    or al, ATA_LBA
    inc edx
    out dx, al
    mov al, ATA_READ
    inc edx
    out dx, al
.wait:
    in al, dx
    and al, ATA_BUSY_OR_DATA
    cmp al, ATA_DATA
    jne .wait
    mov edx, ATA
    mov ecx, 256
    rep insw
    inc ebx
    cmp ebx, SECTORS
    jbe .sector

    mov [INFO + INFO_MMAP_LENGTH], ebp
    mov eax, 0x2badb002
    mov ebx, INFO
    mov ecx, ENTRY
    jmp ecx

align 8
gdt:
    dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_register:
    dw 23
    dd gdt
word_shutdown: db "Shutdown"

    times 510 - ($ - $$) db 0
    dw 0xaa55
