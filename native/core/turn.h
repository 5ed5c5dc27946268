// One turn of the scheduler loop, and the loops that run on carriers.
#pragma once

#include "core/machine.h"

namespace heddle {

// The context of every carrier: runs turns for ever.
[[noreturn]] void carrier_entry(void* unused) noexcept;

// Run-next or the local queue, if nothing else asks for a full turn first; nullptr otherwise.
Runnable* quick_pop(Machine* machine) noexcept;

// Runs at home: switches to a carrier, or to the fiber locked to this thread; returns at home.
// Without memory for a carrier it runs one turn here; then fibers that need a stack fail.
void enter_carrier(Machine* machine) noexcept;

}  // namespace heddle
