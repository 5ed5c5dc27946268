#include "os/sim/world.h"

namespace heddle::os {

using sim::world;

uint64_t now_ns() noexcept {
  if (sim::running) world().point();
  return world().now_ns();
}

uint64_t thread_cpu_ns() noexcept { return 0; }
int32_t thread_cpu_clock() noexcept { return 0; }
uint64_t cpu_clock_ns(int32_t) noexcept { return 0; }

uint64_t random_seed() noexcept { return world().strategy().random(); }

void sleep_until(uint64_t deadline_ns) noexcept {
  world().point();
  while (world().now_ns() < deadline_ns) world().block(sim::Wait::kSleep, nullptr, deadline_ns);
}

}  // namespace heddle::os
