// x86-64 System V switch. See context.h for the contract.
//
// A suspended stack, from its stack pointer upwards:
//   0 mxcsr (4) · 4 x87 control word (2) · 8 r15 · 16 r14 · 24 r13 · 32 r12 · 40 rbx
//   48 rbp · 56 rip
// No CET mark is set: a shadow stack is not switched here, so the linker must not claim it.
#if defined(__x86_64__)

        .text
        .globl  heddle_context_switch
        .hidden heddle_context_switch
        .type   heddle_context_switch, @function
        .p2align 5
heddle_context_switch:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movl    (%rsp), %r8d
        movzwl  4(%rsp), %ecx
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        movq    %rdx, %rax              // what the resumed side gets as its result
        // Loading the control words costs more than comparing them, and they rarely differ.
        cmpl    (%rsp), %r8d
        jne     .Lload_mxcsr
.Lmxcsr_done:
        cmpw    4(%rsp), %cx
        jne     .Lload_control_word
.Lcontrol_words_done:
        movq    8(%rsp), %r15
        movq    16(%rsp), %r14
        movq    24(%rsp), %r13
        movq    32(%rsp), %r12
        movq    40(%rsp), %rbx
        movq    48(%rsp), %rbp
        leaq    56(%rsp), %rsp
        .cfi_def_cfa rsp, 8
        .cfi_same_value rbp
        .cfi_same_value rbx
        .cfi_same_value r12
        .cfi_same_value r13
        .cfi_same_value r14
        .cfi_same_value r15
        ret
.Lload_mxcsr:
        ldmxcsr (%rsp)
        jmp     .Lmxcsr_done
.Lload_control_word:
        fldcw   4(%rsp)
        jmp     .Lcontrol_words_done
        .cfi_endproc
        .size   heddle_context_switch, .-heddle_context_switch

        .globl  heddle_call_with_site
        .hidden heddle_call_with_site
        .type   heddle_call_with_site, @function
        .p2align 4
heddle_call_with_site:
        .cfi_startproc
        movq    %rdx, %rax
        movq    (%rsp), %rdx
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        movq    %rsp, %rbp
        callq   *%rax
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_same_value rbp
        cmpq    (%rsp), %rax
        jne     .Lreturn_by_jump
        ret
.Lreturn_by_jump:
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        notrack jmp *%rcx               // the place has no landing pad
        .cfi_endproc
        .size   heddle_call_with_site, .-heddle_call_with_site

// First code of a new context: rbx = entry, r12 = argument. The undefined return address and the
// zero frame pointer end every unwinder here.
        .globl  heddle_context_entry
        .hidden heddle_context_entry
        .type   heddle_context_entry, @function
        .p2align 4
heddle_context_entry:
        .cfi_startproc
        .cfi_undefined rip
        xorl    %ebp, %ebp
        movq    %r12, %rdi
        callq   *%rbx
        ud2
        .cfi_endproc
        .size   heddle_context_entry, .-heddle_context_entry

#endif
        .section .note.GNU-stack, "", %progbits
