; The world switch of SVM: arm the one-shot, read T0, enter; leave, read T1. Between T0 and VMRUN, and between #VMEXIT and T1, there is no
; branch and no call: these two stretches are E and X of the time model (docs/time.md), which the boot measures.
; Source: AMD64 APM vol. 2 "VMRUN Instruction", "#VMEXIT", "Global Interrupt Flag".
; Offsets of struct svm_switch come from arch/x86/svm/switch.h through the generated svm_offsets.inc.

%include "svm_offsets.inc"
%include "arch/x86/gprs.inc"
%include "arch/x86/arming.inc"
%include "arch/x86/guard.inc"

; Padding that a test build puts into both stretches, to see E and X grow by exactly as much.
%ifndef EXTRA_ENTRY
  %define EXTRA_ENTRY 0
%endif
%ifndef EXTRA_EXIT
  %define EXTRA_EXIT 0
%endif

section .text
bits 64
global svm_enter
global svm_enter_x2apic
global svm_enter_deadline
global svm_enter_guarded
extern svm_left

; void svm_enter(struct svm_switch *rdi). Between vcpu_hold_host() and vcpu_release_host(): GIF is clear but while the guest runs; all registers of the guest pass through rdi->gpr. None of the caller's is
; saved but RBP: vcpu_run() says so to the compiler.
%macro BEGIN 0
    push rbp
    push rdi
    mov rax, [rdi + SW_VMCB_PA]
    vmload                              ; RAX
    LOAD_GPRS rdi + SW_GPR
%endmacro

; From T0 until the caller's stack is back.
%macro SWITCH 0
    mov rcx, [rdi + SW_VMCB]
    rdtsc                               ; T0
    shl rdx, 32
    or rax, rdx
    mov [rdi + SW_T0], rax
    mov rdx, [rdi + SW_TSC_BASE]
    sub rdx, rax
    mov [rcx + VMCB_TSC_OFFSET], rdx
    times EXTRA_ENTRY nop
    mov rcx, [rdi + SW_GPR + 1 * 8]
    mov rdx, [rdi + SW_GPR + 2 * 8]
    mov rax, [rdi + SW_VMCB_PA]
    mov rdi, [rdi + SW_GPR + 7 * 8]
    vmrun                               ; RAX

    push rdx
    times EXTRA_EXIT nop
    rdtsc                               ; T1
    shl rdx, 32
    or rax, rdx
    mov rdx, [rsp + 8]
    mov [rdx + SW_T1], rax
    STORE_GPRS rdx + SW_GPR
    pop qword [rdx + SW_GPR + 2 * 8]
    mov rax, [rdx + SW_VMCB_PA]
    vmsave                              ; RAX
    mov rax, [rdx + SW_HOST_VMCB_PA]
    vmload                              ; RAX; the host's TR: exceptions find their stacks again
    pop rdi
    pop rbp
%endmacro

; The same with the timer's register in an MSR.
align 64
svm_enter_x2apic:
    BEGIN
    ARM_X2APIC rdi + SW_ARM_COUNT, svm_enter.armed

; The same with the timer in TSC-deadline mode.
align 64
svm_enter_deadline:
    BEGIN
    ARM_DEADLINE rdi + SW_ARM_COUNT, svm_enter.armed

align 64
svm_enter:
    BEGIN
    ARM_COUNT rdi + SW_ARM_COUNT, rdi + SW_TIMER_REGISTER
.armed:
    SWITCH
    jmp svm_left

; The same for all ways to arm the timer, with what this CPU needs against speculative execution.
align 64
svm_enter_guarded:
    BEGIN
    GUARD_ENTRY
    test byte [rel guard_flags], GUARD_DEADLINE | GUARD_X2APIC
    jnz .by_msr
    ARM_COUNT rdi + SW_ARM_COUNT, rdi + SW_TIMER_REGISTER
.armed:
    SWITCH
    GUARD_EXIT
    jmp svm_left
.by_msr:
    test byte [rel guard_flags], GUARD_X2APIC
    jnz .x2apic
    ARM_DEADLINE rdi + SW_ARM_COUNT, .armed
.x2apic:
    ARM_X2APIC rdi + SW_ARM_COUNT, .armed
