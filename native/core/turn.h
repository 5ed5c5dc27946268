// One turn of the scheduler loop, and the loops that run on carriers.
#pragma once

#include "core/scheduler.h"

namespace heddle {

// The context of every carrier: runs turns for ever.
[[noreturn]] void carrier_entry(void* unused) noexcept;

// Run-next or the local queue; nullptr if both are empty or something asks for a full turn first.
[[gnu::always_inline]] inline Runnable* quick_pop(Machine* machine) noexcept {
  Processor* processor = machine->processor;
  if (Runnable* handed = processor->handed) {
    processor->handed = nullptr;
    return handed;
  }
  if (__builtin_expect(processor->attention.load_relaxed(), false)) return nullptr;
  if (processor->quick_turns == 0) {
    if (processor->timers.size() != 0 || processor->timers.has_inbox() ||
        machine->scheduler->has_global_work()) {
      return nullptr;
    }
    processor->quick_turns = kGlobalTurns;
    processor->now_ns.store_relaxed(os::now_ns());  // see monitor.cc
  }
  if (processor->run_next.peek() != nullptr && machine->preempt.load_relaxed() == 0) {
    Runnable* next = processor->run_next.take();
    if (next != nullptr) {
      processor->counters.run_local.increment_single_writer();
      return next;  // inherits the time slice: no new turn
    }
  }
  Runnable* next = processor->queue.pop();
  if (next == nullptr) return nullptr;
  --processor->quick_turns;
  processor->turn.increment_single_writer();
  machine->preempt.store_relaxed(0);
  processor->counters.run_local.increment_single_writer();
  return next;
}

// Runs at home: switches to a carrier, or to the fiber locked to this thread; returns at home.
// Without memory for a carrier it runs one turn here; then fibers that need a stack fail.
void enter_carrier(Machine* machine) noexcept;

}  // namespace heddle
