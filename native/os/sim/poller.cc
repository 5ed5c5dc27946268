// `epoll_` is the place of the poller in a table; a wake-up stays until a wait takes it, and so
// does an event. Descriptors are numbers that mean nothing: scenarios make events of them. An event
// goes through the kernel, under its locks: who gets it sees what was done before it happened.
#include <cerrno>

#include "os/sim/world.h"

namespace heddle::os {

using sim::StepKind;
using sim::world;

namespace {
constexpr int kPollers = 64;
constexpr uint32_t kEvents = 64;
struct SimPoller {
  bool is_signalled;
  uint32_t count;
  PollEvent events[kEvents];
};
SimPoller pollers[kPollers];
int opened = 0;
int newest = 0;

uint32_t take(SimPoller& poller, PollEvent* events, uint32_t most) noexcept {
  if (poller.count != 0) sim::fence(sim::Order::kSeqCst);
  uint32_t taken = 0;
  while (taken < most && poller.count != 0) events[taken++] = poller.events[--poller.count];
  return taken;
}
}  // namespace

int Poller::open() noexcept {
  epoll_ = newest = opened++ % kPollers;
  event_ = epoll_;
  pollers[event_] = SimPoller{};
  return 0;
}

void Poller::close() noexcept { epoll_ = event_ = -1; }

int Poller::add(int, uint64_t) noexcept {
  sim::fence(sim::Order::kSeqCst);
  return 0;
}
void Poller::remove(int) noexcept {}

uint32_t Poller::wait(uint64_t deadline_ns, PollEvent* events, uint32_t most) noexcept {
  world().point();
  SimPoller& poller = pollers[event_];
  const bool sleeps =
      !poller.is_signalled && poller.count == 0 && !world().strategy().wakes_spuriously();
  world().note(StepKind::kWait, __builtin_return_address(0), 0, sleeps);
  if (sleeps) world().block(sim::Wait::kPoller, &poller, deadline_ns);
  poller.is_signalled = false;
  return take(poller, events, most);
}

uint32_t Poller::poll(PollEvent* events, uint32_t most) noexcept {
  world().point();
  return take(pollers[event_], events, most);
}

void Poller::wake() noexcept {
  world().point();
  world().note(StepKind::kWake, __builtin_return_address(0), 0, 1);
  pollers[event_].is_signalled = true;
  world().wake(sim::Wait::kPoller, &pollers[event_], 1);
}

}  // namespace heddle::os

namespace heddle::sim {

void happen(const os::PollEvent& event) noexcept {
  fence(Order::kSeqCst);
  world().point();
  auto& poller = os::pollers[os::newest];
  SIM_CHECK(poller.count < os::kEvents, "more events than the simulation has room for");
  poller.events[poller.count++] = event;
  world().wake(Wait::kPoller, &poller, 1);
}

}  // namespace heddle::sim
