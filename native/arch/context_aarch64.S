// AArch64 (AAPCS64) switch. See context.h for the contract.
//
// A suspended stack, from its stack pointer upwards:
//   0 x19 x20 · 16 x21 x22 · 32 x23 x24 · 48 x25 x26 · 64 x27 x28 · 80 x29 x30
//   96 d8 d9 · 112 d10 d11 · 128 d12 d13 · 144 d14 d15 · 160 fpcr
// It leaves through `ret`, which needs no BTI landing pad at the place that it returns to. No GCS
// mark is set: a guarded control stack is not switched here.
#if defined(__aarch64__)

        .text
        .globl  heddle_context_switch
        .hidden heddle_context_switch
        .type   heddle_context_switch, %function
        .p2align 5
heddle_context_switch:
        .cfi_startproc
        hint    #34                     // bti c
        sub     sp, sp, #192
        .cfi_adjust_cfa_offset 192
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mrs     x9, fpcr
        str     x9, [sp, #160]
        mov     x10, sp
        str     x10, [x0]
        mov     sp, x1
        mov     x0, x2                  // what the resumed side gets as its result
        ldr     x11, [sp, #160]
        cmp     x9, x11
        b.eq    1f
        msr     fpcr, x11
1:
        ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #192
        .cfi_adjust_cfa_offset -192
        ret
        .cfi_endproc
        .size   heddle_context_switch, .-heddle_context_switch

// Always returns through `ret`: a `br` to a place without a landing pad faults where BTI is on.
        .globl  heddle_call_with_site
        .hidden heddle_call_with_site
        .type   heddle_call_with_site, %function
        .p2align 4
heddle_call_with_site:
        .cfi_startproc
        hint    #34                     // bti c
        stp     x29, x30, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
        mov     x3, x2
        mov     x2, x30
        blr     x3
        ldp     x29, x30, [sp], #16
        .cfi_adjust_cfa_offset -16
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   heddle_call_with_site, .-heddle_call_with_site

// First code of a new context: x19 = entry, x20 = argument. The undefined return address and the
// zero frame pointer end every unwinder here.
        .globl  heddle_context_entry
        .hidden heddle_context_entry
        .type   heddle_context_entry, %function
        .p2align 4
heddle_context_entry:
        .cfi_startproc
        .cfi_undefined x30
        hint    #36                     // bti j
        mov     x29, xzr
        mov     x30, xzr
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   heddle_context_entry, .-heddle_context_entry

#endif
        .section .note.GNU-stack, "", %progbits
