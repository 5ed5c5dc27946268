// `epoll_` is the place of the poller in a table; a wake-up stays until a wait takes it.
#include <cerrno>

#include "os/sim/world.h"

namespace heddle::os {

using sim::StepKind;
using sim::world;

namespace {
constexpr int kPollers = 64;
bool signalled[kPollers];
int opened = 0;
}  // namespace

int Poller::open() noexcept {
  epoll_ = opened++ % kPollers;
  event_ = epoll_;
  signalled[event_] = false;
  return 0;
}

void Poller::close() noexcept { epoll_ = event_ = -1; }

void Poller::wait(uint64_t deadline_ns) noexcept {
  world().point();
  bool& signal = signalled[event_];
  const bool sleeps = !signal && !world().strategy().wakes_spuriously();
  world().note(StepKind::kWait, __builtin_return_address(0), 0, sleeps);
  if (sleeps) world().block(sim::Wait::kPoller, &signal, deadline_ns);
  signal = false;
}

void Poller::wake() noexcept {
  world().point();
  world().note(StepKind::kWake, __builtin_return_address(0), 0, 1);
  signalled[event_] = true;
  world().wake(sim::Wait::kPoller, &signalled[event_], 1);
}

}  // namespace heddle::os
