; The built-in clock guest's image (guest/clock_guest/), as bytes.

section .rodata
global clock_guest_start, clock_guest_end
align 16
clock_guest_start:
    incbin "guests/clock.elf32"
clock_guest_end:
