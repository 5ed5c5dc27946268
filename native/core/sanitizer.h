// Tells AddressSanitizer and ThreadSanitizer about every switch of stacks. In other builds a
// switch is the assembly routine and nothing else.
//
// `switch_stacks` is not instrumented itself: between the announcement and the switch no
// instrumented call may happen, or TSan's shadow stack would follow the wrong fiber.
#pragma once

#include "arch/context.h"
#include "core/stack.h"
#include "os/os.h"

#if defined(__SANITIZE_ADDRESS__)
#define HEDDLE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEDDLE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define HEDDLE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HEDDLE_TSAN 1
#endif
#endif

#if defined(HEDDLE_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(HEDDLE_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace heddle {

#if defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// One side of a switch: where its stack pointer is kept, and what sanitizers know of its stack.
#if defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN)
struct SwitchSide {
  void** stack_pointer;
  char* bottom;
  size_t bytes;
  void** sanitizer_fiber;
  void** fake_stack;
};

inline SwitchSide side_of(Stack* stack, void** stack_pointer) noexcept {
  return SwitchSide{stack_pointer, stack->bottom, stack->bytes(), &stack->sanitizer_fiber,
                    &stack->fake_stack};
}

// Of a stack that will never be resumed: AddressSanitizer then frees what it keeps for it.
inline SwitchSide last_side_of(Stack* stack, void** stack_pointer) noexcept {
  return SwitchSide{stack_pointer, stack->bottom, stack->bytes(), &stack->sanitizer_fiber, nullptr};
}
#else
struct SwitchSide {
  void** stack_pointer;
};

inline SwitchSide side_of(Stack*, void** stack_pointer) noexcept {
  return SwitchSide{stack_pointer};
}

inline SwitchSide last_side_of(Stack*, void** stack_pointer) noexcept {
  return SwitchSide{stack_pointer};
}
#endif

namespace sanitizer {

// The stack's memory is about to be given back.
inline void forget_stack(Stack* stack) noexcept {
#if defined(HEDDLE_TSAN)
  if (stack->sanitizer_fiber != nullptr) __tsan_destroy_fiber(stack->sanitizer_fiber);
#endif
#if defined(HEDDLE_ASAN)
  __asan_unpoison_memory_region(stack->bottom, stack->bytes());
#endif
  static_cast<void>(stack);
}

// A new context is about to be made on a stack that was used before.
inline void renew_stack(Stack* stack) noexcept {
#if defined(HEDDLE_ASAN)
  __asan_unpoison_memory_region(stack->bottom, stack->bytes());
  stack->fake_stack = nullptr;
#endif
#if defined(HEDDLE_TSAN)
  if (stack->sanitizer_fiber == nullptr) stack->sanitizer_fiber = __tsan_create_fiber(0);
#endif
  static_cast<void>(stack);
}

// First thing on a new context.
inline void arrive_first() noexcept {
#if defined(HEDDLE_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace sanitizer

// The machine goes along with the switch: it returns the machine that resumed this side, so that
// nobody has to ask the thread for it.
#if defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN)
__attribute__((noinline, no_sanitize("thread"), no_sanitize("address"))) inline void* switch_stacks(
    const SwitchSide& from, const SwitchSide& to, void* machine) noexcept {
  void** const save = from.stack_pointer;
  void* const target = *to.stack_pointer;
#if defined(HEDDLE_ASAN)
  void** const fake = from.fake_stack;
  __sanitizer_start_switch_fiber(fake, to.bottom, to.bytes);
#endif
#if defined(HEDDLE_TSAN)
  if (*from.sanitizer_fiber == nullptr) *from.sanitizer_fiber = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(*to.sanitizer_fiber, 0);
#endif
  void* const now = heddle_context_switch(save, target, machine);
#if defined(HEDDLE_ASAN)
  __sanitizer_finish_switch_fiber(*fake, nullptr, nullptr);
#endif
  return now;
}
#else
inline void* switch_stacks(const SwitchSide& from, const SwitchSide& to, void* machine) noexcept {
  return heddle_context_switch(from.stack_pointer, *to.stack_pointer, machine);
}
#endif

}  // namespace heddle
