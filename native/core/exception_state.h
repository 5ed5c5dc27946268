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

// Puts `next` into the running thread's state and returns what was there.
inline ExceptionState swap_exception_state(Machine* machine, const ExceptionState& next) noexcept {
  auto* globals = static_cast<ExceptionState*>(machine->exception_globals);
  const ExceptionState previous{globals->caught, globals->uncaught};
  globals->caught = next.caught;
  globals->uncaught = next.uncaught;
  return previous;
}

}  // namespace heddle
