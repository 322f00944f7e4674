bits 16
section .text
global code16_start
align 16
code16_start:
    nop
