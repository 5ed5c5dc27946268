// The contract of a stack switch, met by one assembly file per instruction set.
//
// A suspended context is one pointer: the stack pointer it left behind. Everything that the ABI
// calls callee-saved lies above that pointer, together with the floating-point control words
// (x86-64: mxcsr and the x87 control word; AArch64: FPCR), so rounding mode and exception masks
// belong to the context, not to the OS thread. A new context starts with the control words of the
// thread that made it. Signal masks and errno are not part of a context (errno: see core/park).
//
// Return prediction. A core predicts a `ret` by a stack of its own, which a switch leaves as it is:
// after one, it holds the return addresses of the context that was left. The runtime switches at
// one call site (`suspended` in core/park.cc), so there the prediction is right. The next return,
// to the function that called yield() or a park, is right only if both contexts did so at the same
// place. heddle_call_with_site compares, and leaves through a jump if they did not: a jump is
// predicted by history. A yield among 100 fibers at four call sites costs 20 ns instead of 34; at a
// single site, 19 instead of 18. Leaving every switch through a jump would mispredict all returns
// above it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle::arch {

// Called on the new stack with the argument given to make_context; must never return.
using ContextEntry = void (*)(void* argument);

// Bytes of stack that a suspended context occupies below the frame that called the switch.
#if defined(__x86_64__)
inline constexpr size_t kContextBytes = 64;
#elif defined(__aarch64__)
inline constexpr size_t kContextBytes = 192;
#else
#error "heddle runs on x86-64 and AArch64; expected one of them, got another instruction set"
#endif

// Distance of two addresses that hardware keeps apart.
inline constexpr size_t kCacheLineBytes = 64;

// Prepares a context below `stack_top` (which is aligned down to 16) and returns its stack pointer.
void* make_context(void* stack_top, ContextEntry entry, void* argument) noexcept;

// The program counter at which a suspended context will go on, for backtraces.
void* resume_address(void* stack_pointer) noexcept;

// The frame pointer that a suspended context will have, for backtraces.
void* resume_frame(void* stack_pointer) noexcept;

inline void prefetch(const void* address) noexcept { __builtin_prefetch(address); }
inline void prefetch_for_write(const void* address) noexcept { __builtin_prefetch(address, 1); }

// Tells the core that this is a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("isb" ::: "memory");
#endif
}

// See heddle_call_with_site.
using SiteBody = const void* (*)(void* first, void* second, const void* site);

}  // namespace heddle::arch

// Suspends the running context, stores its stack pointer in *save, and goes on with `target`, whose
// own call of the switch then returns `value` (a new context does not see it).
// A leaf function of its own: inlined switches have been seen to hide a call in the red zone.
extern "C" void* heddle_context_switch(void** save, void* target, void* value = nullptr) noexcept;
extern "C" void heddle_context_entry() noexcept;

// Calls body(first, second, site), where `site` is the place to which this call returns; the body
// says to which place the processor will predict that it does. The body may throw.
extern "C" void heddle_call_with_site(void* first, void* second, heddle::arch::SiteBody body);
