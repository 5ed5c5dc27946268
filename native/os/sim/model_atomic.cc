// The operations of model_atomic.h: a point where others may go on, then the memory model.
#include "os/sim/model_atomic.h"

#include "os/sim/world.h"

namespace heddle {

bool light_fence_is_full = false;

namespace sim {

namespace {
uint64_t read_plain(const void* address, uint32_t bytes) noexcept {
  uint64_t value = 0;
  std::memcpy(&value, address, bytes);
  return value;
}

uint64_t changed(uint64_t before, Change change, uint64_t operand, uint32_t bytes) noexcept {
  uint64_t after = operand;
  switch (change) {
    case Change::kExchange:
      break;
    case Change::kAdd:
      after = before + operand;
      break;
    case Change::kSubtract:
      after = before - operand;
      break;
    case Change::kOr:
      after = before | operand;
      break;
    case Change::kAnd:
      after = before & operand;
      break;
  }
  return bytes == sizeof after ? after : after & ((uint64_t{1} << (bytes * 8)) - 1);
}

Location* locate(World& here, const void* address, uint32_t bytes) noexcept {
  const Location* known = here.memory().find(address);
  if (known != nullptr && known->is_over) {
    fail("an atomic (#%u) is used after the end of its object", known->number);
  }
  return here.memory().find_or_add(address, bytes, here.current().number);
}
}  // namespace

// A macro, since a function would see its own caller.
#define HEDDLE_SIM_CALLER __builtin_return_address(0)

[[gnu::noinline]] uint64_t load(const void* address, uint32_t bytes, Order order) noexcept {
  if (!running) return read_plain(address, bytes);
  World& here = world();
  here.point_at(address);
  const uint32_t thread = here.current().number;
  Location* location = locate(here, address, bytes);
  const uint64_t value = here.memory().load(location, thread, order);
  here.note(StepKind::kLoad, HEDDLE_SIM_CALLER, location->number, value);
  return value;
}

[[gnu::noinline]] void store(void* address, uint32_t bytes, uint64_t value, Order order) noexcept {
  if (running) {
    World& here = world();
    here.point_at(address);
    const uint32_t thread = here.current().number;
    Location* location = locate(here, address, bytes);
    here.memory().store(location, thread, value, order);
    here.note(StepKind::kStore, HEDDLE_SIM_CALLER, location->number, value);
  }
  std::memcpy(address, &value, bytes);
}

[[gnu::noinline]] uint64_t read_modify_write(void* address, uint32_t bytes, Change change,
                                             uint64_t operand, Order order) noexcept {
  if (!running) {
    const uint64_t before = read_plain(address, bytes);
    const uint64_t after = changed(before, change, operand, bytes);
    std::memcpy(address, &after, bytes);
    return before;
  }
  World& here = world();
  here.point_at(address);
  const uint32_t thread = here.current().number;
  const uint64_t after = changed(read_plain(address, bytes), change, operand, bytes);
  Location* location = locate(here, address, bytes);
  const uint64_t before = here.memory().read_modify_write(location, thread, after, order);
  here.note(StepKind::kChange, HEDDLE_SIM_CALLER, location->number, after);
  std::memcpy(address, &after, bytes);
  return before;
}

[[gnu::noinline]] bool compare_exchange(void* address, uint32_t bytes, uint64_t* expected,
                                        uint64_t desired, Order order) noexcept {
  if (!running) {
    const uint64_t found = read_plain(address, bytes);
    if (found == *expected) {
      std::memcpy(address, &desired, bytes);
      return true;
    }
    *expected = found;
    return false;
  }
  World& here = world();
  here.point_at(address);
  const uint32_t thread = here.current().number;
  Location* location = locate(here, address, bytes);
  const bool done = here.memory().compare_exchange(location, thread, expected, desired, order);
  const StepKind kind = done ? StepKind::kExchanged : StepKind::kNotExchanged;
  here.note(kind, HEDDLE_SIM_CALLER, location->number, done ? desired : *expected);
  if (done) std::memcpy(address, &desired, bytes);
  return done;
}

[[gnu::noinline]] void fence(Order order) noexcept {
  if (!running) return;
  World& here = world();
  here.point();
  if (order != Order::kRelaxed) here.memory().fence(here.current().number, order);
  here.note(StepKind::kFence, HEDDLE_SIM_CALLER, 0, static_cast<uint64_t>(order));
}

void turn_of_spin_loop() noexcept {
  if (running) world().give_way();
}

void begin_lifetime(const void* address) noexcept { world().memory().forget(address); }

void end_lifetime(const void* address) noexcept {
  World& here = world();
  here.memory().find_or_add(address, 1, here.current().number)->is_over = true;
}

void RaceCheck::reading(const char* what) noexcept {
  if (!running) return;
  World& here = world();
  const uint32_t thread = here.current().number;
  VectorClock& now = here.memory().view(thread).now;
  ++now.at[thread];
  if (written_at_ > now.at[writer_]) {
    fail("race on %s: written by thread %u, read without order", what, writer_);
  }
  read_at_[thread] = now.at[thread];
}

void RaceCheck::writing(const char* what) noexcept {
  if (!running) return;
  World& here = world();
  const uint32_t thread = here.current().number;
  VectorClock& now = here.memory().view(thread).now;
  ++now.at[thread];
  if (written_at_ > now.at[writer_]) {
    fail("race on %s: written by thread %u, overwritten without order", what, writer_);
  }
  for (uint32_t i = 0; i < kThreads; ++i) {
    if (read_at_[i] > now.at[i]) {
      fail("race on %s: read by thread %u, overwritten without order", what, i);
    }
    read_at_[i] = 0;
  }
  writer_ = thread;
  written_at_ = now.at[thread];
}

}  // namespace sim

// A system call that waits for the other cores: by its return they may be far beyond their barrier.
void fence_heavy() noexcept {
  constexpr uint32_t kReturnsAfterNs = 2'000;
  if (!sim::running) return;
  sim::World& here = sim::world();
  here.point();
  here.memory().fence_everybody(here.current().number);
  here.note(sim::StepKind::kHeavyFence, __builtin_return_address(0), 0, 0);
  if (!here.strategy().one_in(4)) return;
  here.block(sim::Wait::kSleep, nullptr, here.now_ns() + here.strategy().below(kReturnsAfterNs));
}

}  // namespace heddle
