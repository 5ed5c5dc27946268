#include "arch/context.h"

#include <cstring>

namespace heddle::arch {

#if defined(__x86_64__)

namespace {
struct SavedContext {
  uint32_t mxcsr;
  uint16_t x87_control;
  uint16_t unused;
  uint64_t r15, r14, r13, r12, rbx, rbp, rip;
};
static_assert(sizeof(SavedContext) == kContextBytes, "context_x86_64.S stores 64 bytes");
static_assert(offsetof(SavedContext, x87_control) == 4, "fnstcw 4(%rsp)");
static_assert(offsetof(SavedContext, r12) == 32 && offsetof(SavedContext, rbx) == 40 &&
                  offsetof(SavedContext, rbp) == 48 && offsetof(SavedContext, rip) == 56,
              "register order of context_x86_64.S");
}  // namespace

void* make_context(void* stack_top, ContextEntry entry, void* argument) noexcept {
  // heddle_context_entry makes a call, so the stack pointer it starts with is 16-byte aligned.
  const uintptr_t top = reinterpret_cast<uintptr_t>(stack_top) & ~uintptr_t{15};
  auto* saved = reinterpret_cast<SavedContext*>(top - sizeof(SavedContext));
  std::memset(saved, 0, sizeof *saved);
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(saved->mxcsr), "=m"(saved->x87_control));
  saved->rbx = reinterpret_cast<uint64_t>(entry);
  saved->r12 = reinterpret_cast<uint64_t>(argument);
  saved->rip = reinterpret_cast<uint64_t>(&heddle_context_entry);
  return saved;
}

void* resume_address(void* stack_pointer) noexcept {
  return reinterpret_cast<void*>(static_cast<SavedContext*>(stack_pointer)->rip);
}

void* resume_frame(void* stack_pointer) noexcept {
  return reinterpret_cast<void*>(static_cast<SavedContext*>(stack_pointer)->rbp);
}

#elif defined(__aarch64__)

namespace {
struct SavedContext {
  uint64_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30;
  uint64_t d[8];
  uint64_t fpcr;
  uint64_t unused[3];
};
static_assert(sizeof(SavedContext) == kContextBytes, "context_aarch64.S stores 192 bytes");
static_assert(offsetof(SavedContext, x29) == 80 && offsetof(SavedContext, d) == 96 &&
                  offsetof(SavedContext, fpcr) == 160,
              "register order of context_aarch64.S");
}  // namespace

void* make_context(void* stack_top, ContextEntry entry, void* argument) noexcept {
  const uintptr_t top = reinterpret_cast<uintptr_t>(stack_top) & ~uintptr_t{15};
  auto* saved = reinterpret_cast<SavedContext*>(top - sizeof(SavedContext));
  std::memset(saved, 0, sizeof *saved);
  asm volatile("mrs %0, fpcr" : "=r"(saved->fpcr));
  saved->x19 = reinterpret_cast<uint64_t>(entry);
  saved->x20 = reinterpret_cast<uint64_t>(argument);
  saved->x30 = reinterpret_cast<uint64_t>(&heddle_context_entry);
  return saved;
}

void* resume_address(void* stack_pointer) noexcept {
  return reinterpret_cast<void*>(static_cast<SavedContext*>(stack_pointer)->x30);
}

void* resume_frame(void* stack_pointer) noexcept {
  return reinterpret_cast<void*>(static_cast<SavedContext*>(stack_pointer)->x29);
}

#endif

}  // namespace heddle::arch
