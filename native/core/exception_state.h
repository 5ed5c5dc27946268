// What the C++ runtime keeps per thread for exceptions that are being handled. It belongs to the
// fiber: a fiber may park inside a catch block, and another may throw on the same thread.
//
// Layout of __cxa_eh_globals: Itanium C++ ABI, "Exception Handling", §2.2.2. The address is per OS
// thread and is read once per machine, so that a switch costs two loads.
#pragma once

#include <cstdint>

#include "core/machine.h"

namespace heddle {

struct ExceptionState {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

// Takes the running fiber's state away from its thread, which has none afterwards.
inline ExceptionState take_exception_state(Machine* machine) noexcept {
  auto* globals = static_cast<ExceptionState*>(machine->exception_globals);
  const ExceptionState taken = *globals;
  if (__builtin_expect(taken.caught != nullptr || taken.uncaught != 0, false)) {
    *globals = ExceptionState{};
  }
  return taken;
}

// Gives it to the thread that the fiber goes on on, which has none.
inline void put_exception_state(Machine* machine, const ExceptionState& state) noexcept {
  if (__builtin_expect(state.caught != nullptr || state.uncaught != 0, false)) {
    *static_cast<ExceptionState*>(machine->exception_globals) = state;
  }
}

}  // namespace heddle
