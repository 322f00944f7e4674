; A stand-in for Verge in the tests of run-qemu.sh: a 32-bit Multiboot 1 program that does what the letters of the word
; do=LETTERS on its command line say, in order:
;   m  its command line and each module's string to COM1, one a line     o  a line to COM1      l  a log line to COM2
;   b  2000 numbered lines to both ports                                 s  a text screen to COM2, as Verge prints it
;   e  sends each byte from COM1 back as two hex digits, until a Q       p  a partial line to COM1
;   h  hangs       t  triple fault      cNN  log "code NN" (hex) to COM2 and end with it      xNN  end with it, saying nothing
; Built with nasm -f bin: the address fields of the header say where it goes.
bits 32
org 0x100000
COM1 equ 0x3f8
COM2 equ 0x2f8

header:
    dd 0x1badb002, 0x10003, -(0x1badb002 + 0x10003)
    dd header, header, image_end, image_end + 0x4000, start

start:
    mov esp, image_end + 0x4000
    mov ebp, ebx                    ; the Multiboot information structure
    mov esi, [ebp + 16]             ; its command line
.find:
    mov al, [esi]
    test al, al
    jz hang
    cmp dword [esi], ' do='
    lea esi, [esi + 1]
    jne .find
    add esi, 3
next:
    movzx eax, byte [esi]
    inc esi
    mov edi, actions
.search:
    cmp byte [edi], 0
    je hang
    cmp [edi], al
    je .found
    add edi, 5
    jmp .search
.found:
    call [edi + 1]
    jmp next

actions:
    db 'm'
    dd show_words
    db 'o'
    dd show_hello
    db 'p'
    dd show_part
    db 'l'
    dd show_log
    db 'b'
    dd show_many
    db 's'
    dd show_screen
    db 'e'
    dd echo
    db 't'
    dd triple
    db 'c'
    dd end_saying
    db 'x'
    dd end_silent
    db 0

hang:
    hlt
    jmp hang

triple:
    lidt [no_idt]
    int3

put:                                ; al to port dx, no waiting: QEMU's port takes it at once
    out dx, al
    ret

puts:                               ; the string at ebx to port dx
    mov al, [ebx]
    test al, al
    jz .done
    call wait_put
    inc ebx
    jmp puts
.done:
    ret

wait_put:                           ; al to port dx once the transmitter is empty
    push eax
    add edx, 5
.busy:
    in al, dx
    test al, 0x20
    jz .busy
    sub edx, 5
    pop eax
    jmp put

newline:
    mov al, 10
    jmp wait_put

put_hex:                            ; al as two digits to port dx
    push eax
    shr al, 4
    call .digit
    pop eax
    and al, 15
.digit:
    and al, 15
    add al, '0'
    cmp al, '9'
    jbe wait_put
    add al, 'a' - '9' - 1
    jmp wait_put

show_words:
    mov edx, COM1
    mov ebx, [ebp + 16]
    call puts
    call newline
    mov ecx, [ebp + 20]             ; modules: start, end, string, reserved
    mov edi, [ebp + 24]
.module:
    jecxz .done
    mov ebx, [edi + 8]
    call puts
    call newline
    add edi, 16
    dec ecx
    jmp .module
.done:
    ret

show_hello:
    mov edx, COM1
    mov ebx, text_hello
    jmp puts

show_part:
    mov edx, COM1
    mov ebx, text_part
    jmp puts

show_log:
    mov edx, COM2
    mov ebx, text_log
    jmp puts

show_screen:
    mov edx, COM2
    mov ebx, text_screen
    jmp puts

show_many:
    xor ecx, ecx
.line:
    mov edx, COM1
    mov ebx, text_guest_line
    call .one
    mov edx, COM2
    mov ebx, text_log_line
    call .one
    inc ecx
    cmp ecx, 2000
    jb .line
    ret
.one:
    call puts
    mov al, ch
    call put_hex
    mov al, cl
    call put_hex
    jmp newline

echo:
    mov edx, COM1 + 5
.wait:
    in al, dx
    test al, 1
    jz .wait
    mov edx, COM1
    in al, dx
    cmp al, 'Q'
    je .done
    call put_hex
    jmp echo
.done:
    ret

hex_digit:                          ; the digit at esi into al
    lodsb
    sub al, '0'
    cmp al, 9
    jbe .done
    sub al, 'a' - '0' - 10
.done:
    ret

code:                               ; the two digits at esi into al
    call hex_digit
    mov ah, al
    call hex_digit
    shl ah, 4
    or al, ah
    ret

end_saying:
    call code
    push eax
    mov edx, COM2
    mov ebx, text_code
    call puts
    pop eax
    push eax
    test al, al
    jnz .not_zero
    mov al, '0'
    call wait_put
    jmp .end
.not_zero:
    call put_hex
.end:
    call newline
    pop eax
    jmp leave_now

end_silent:
    call code
leave_now:
    mov edx, 0xf4
    movzx eax, al
    out dx, eax
    jmp hang

text_hello: db "hello from the guest", 13, 10, 0
text_part: db "prompt# ", 0
text_log: db "[0.000123] vg: hello from Verge", 10, 0
text_code: db "[0.000456] vg: vm0: code ", 0
text_guest_line: db "guest line ", 0
text_log_line: db "vg: line ", 0
text_screen: db "vg: screen vm0 begin", 10, "vg: ALIENS   ", 10, "  MOVE", 10, "vg: screen vm0 end", 10, 0
no_idt: dw 0
    dd 0
image_end:
