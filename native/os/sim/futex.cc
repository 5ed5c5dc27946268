#include <cstring>

#include "os/sim/world.h"

namespace heddle::os {

using sim::StepKind;
using sim::world;

namespace {
uint32_t number_of(const void* word) noexcept {
  const sim::Location* location = world().memory().find(word);
  return location != nullptr ? location->number : 0;
}
}  // namespace

bool prepare_heavy_fence() noexcept { return true; }

// The kernel compares the newest value, and nobody can come between that and the sleep. Neither
// call orders anything else: Linux happens to, its documentation does not promise it.
void futex_wait(Atomic<uint32_t>& word, uint32_t expected, uint64_t deadline_ns) noexcept {
  world().point();
  uint32_t newest;
  std::memcpy(&newest, static_cast<const void*>(&word), sizeof newest);
  const bool sleeps = newest == expected && !world().strategy().wakes_spuriously();
  const void* caller = __builtin_return_address(0);
  world().note(StepKind::kWait, caller, number_of(&word), sleeps ? expected : ~uint64_t{0});
  if (sleeps) world().block(sim::Wait::kFutex, &word, deadline_ns);
}

void futex_wake(Atomic<uint32_t>& word, int count) noexcept {
  world().point();
  world().note(StepKind::kWake, __builtin_return_address(0), number_of(&word),
               static_cast<uint64_t>(count));
  world().wake(sim::Wait::kFutex, &word, count);
}

}  // namespace heddle::os
