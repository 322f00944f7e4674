; The world switch of VT-x: arm the one-shot, read T0, enter; leave, read T1. Between T0 and the entry, and between the exit and T1, there is no
; branch and no call: these two stretches are E and X of the time model (docs/time.md), which the boot measures.
; Source: Intel SDM vol. 3, "VM Entries", "VM Exits". Offsets come from arch/x86/vmx/switch.h through the generated vmx_offsets.inc.

%include "vmx_offsets.inc"
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
global vmx_launch
global vmx_resume
global vmx_resume_unarmed
global vmx_launch_x2apic
global vmx_resume_x2apic
global vmx_launch_deadline
global vmx_resume_deadline
global vmx_launch_guarded
global vmx_resume_guarded
global vmx_exit_point
global vmx_exit_point_guarded
extern vmx_left
extern vmx_not_entered

; void %1(struct vmx_switch *rdi), which enters by %2; %3: it may arm the one-shot. Interrupts are off; all registers of the guest but RSP pass through rdi->gpr. None of
; the caller's is saved but RBP: vcpu_run() says so to the compiler.
%macro BEGIN 0
    push rbp
    push rdi
    cmp [rdi + VX_HOST_RSP], rsp
    je .stack_known
    mov [rdi + VX_HOST_RSP], rsp
    mov ecx, FIELD_HOST_RSP
    vmwrite rcx, rsp
.stack_known:
    LOAD_GPRS rdi + VX_GPR
%endmacro

%macro ENTER 3
align 64
%1:
    BEGIN
%if %3
    ARM_COUNT rdi + VX_ARM_COUNT, rdi + VX_TIMER_REGISTER
%endif
.armed:
    rdtsc                               ; T0
    shl rdx, 32
    or rax, rdx
    mov [rdi + VX_T0], rax
    mov rdx, [rdi + VX_TSC_BASE]
    sub rdx, rax
    mov ecx, FIELD_TSC_OFFSET
    vmwrite rcx, rdx
    times EXTRA_ENTRY nop
    mov rax, [rdi + VX_GPR]
    mov rcx, [rdi + VX_GPR + 1 * 8]
    mov rdx, [rdi + VX_GPR + 2 * 8]
    mov rdi, [rdi + VX_GPR + 7 * 8]
    %2
    pop rdi                             ; the instruction itself failed: registers are the guest's, the stack is ours
    pop rbp
    jmp vmx_not_entered
%endmacro

    ENTER vmx_launch, vmlaunch, 1
    ENTER vmx_resume, vmresume, 1
    ENTER vmx_resume_unarmed, vmresume, 0

; The first two with the timer's register in an MSR, or with the timer in TSC-deadline mode: %3 is the way to arm it.
%macro ENTER_BY_MSR 3
align 64
%1:
    BEGIN
    %3 rdi + VX_ARM_COUNT, %2.armed
%endmacro

    ENTER_BY_MSR vmx_launch_x2apic, vmx_launch, ARM_X2APIC
    ENTER_BY_MSR vmx_resume_x2apic, vmx_resume, ARM_X2APIC
    ENTER_BY_MSR vmx_launch_deadline, vmx_launch, ARM_DEADLINE
    ENTER_BY_MSR vmx_resume_deadline, vmx_resume, ARM_DEADLINE

; The first two for all ways to arm the timer, with what this CPU needs against speculative execution. Their exits arrive at
; vmx_exit_point_guarded.
%macro ENTER_GUARDED 2
align 64
%1:
    BEGIN
    GUARD_ENTRY
    test byte [rel guard_flags], GUARD_DEADLINE | GUARD_X2APIC
    jnz .by_msr
    ARM_COUNT rdi + VX_ARM_COUNT, rdi + VX_TIMER_REGISTER
.armed:
    jmp %2.armed
.by_msr:
    test byte [rel guard_flags], GUARD_X2APIC
    jnz .x2apic
    ARM_DEADLINE rdi + VX_ARM_COUNT, %2.armed
.x2apic:
    ARM_X2APIC rdi + VX_ARM_COUNT, %2.armed
%endmacro

    ENTER_GUARDED vmx_launch_guarded, vmx_launch
    ENTER_GUARDED vmx_resume_guarded, vmx_resume

%macro EXIT_POINT 1-2
align 64
%1:
    push rdx
    push rax
    times EXTRA_EXIT nop
    rdtsc                               ; T1
    shl rdx, 32
    or rax, rdx
    mov rdx, [rsp + 16]
    mov [rdx + VX_T1], rax
    STORE_GPRS rdx + VX_GPR
    pop qword [rdx + VX_GPR]
    pop qword [rdx + VX_GPR + 2 * 8]
    pop rdi
    pop rbp
    %2
    jmp vmx_left
%endmacro

    EXIT_POINT vmx_exit_point
    EXIT_POINT vmx_exit_point_guarded, GUARD_EXIT
