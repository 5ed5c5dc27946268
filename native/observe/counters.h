// Counters that are always on. Each processor has its own set; only its owner writes, anyone reads.
#pragma once

#include "core/atomic.h"

namespace heddle {

struct Counters {
  Atomic<uint64_t> spawned{0};  // fibers whose descriptor was taken here
  Atomic<uint64_t> started{0};
  Atomic<uint64_t> exited{0};
  Atomic<uint64_t> parked{0};
  Atomic<uint64_t> readied{0};
  Atomic<uint64_t> yielded{0};
  Atomic<uint64_t> run_local{0};       // runnables taken from the local queue or run-next
  Atomic<uint64_t> run_global{0};      // ... from the global queue
  Atomic<uint64_t> run_stolen{0};      // ... by stealing
  Atomic<uint64_t> steal_attempts{0};  // victims looked at
  Atomic<uint64_t> steal_successes{0};
  Atomic<uint64_t> stolen_items{0};
  Atomic<uint64_t> steal_ns{0};  // time spent in successful steals
  Atomic<uint64_t> timers_fired{0};
  Atomic<uint64_t> hand_offs{0};  // processor taken over after a blocking call or a hog
  Atomic<uint64_t> idle_sleeps{0};
  Atomic<uint64_t> polls{0};          // looks for events without waiting
  Atomic<uint64_t> poll_events{0};    // that were found by a machine with a processor
  Atomic<uint64_t> stacks_earned{0};  // parks of a fiber that ran on a carrier
};

}  // namespace heddle
