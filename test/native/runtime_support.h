// What the tests of the runtime share: ways to wait for it from outside, and ways to hold a fiber
// in its wait or to move it to another OS thread.
#pragma once

#include <utility>
#include <vector>

#include "core/blocking.h"
#include "core/park.h"
#include "core/sanitizer.h"
#include "core/scheduler.h"
#include "os/os.h"
#include "test/native/harness.h"

namespace heddle::test {

// Sanitizers make everything slower, and ThreadSanitizer needs about 1 MiB for every stack.
constexpr uint32_t scaled(uint32_t plain, uint32_t sanitized) {
  return kSanitized ? sanitized : plain;
}

// A thread outside the runtime, or one in a blocking call, waits until so many things have
// happened.
class Countdown {
 public:
  explicit Countdown(uint32_t count) noexcept : left_(count) {}
  // The countdown may be gone when the last call returns.
  void arrive() noexcept {
    if (left_.fetch_sub_acq_rel(1) == 1) os::futex_wake(left_, INT32_MAX);
  }
  void wait() const noexcept {
    for (uint32_t left; (left = left_.load_acquire()) != 0;) {
      os::futex_wait(left_, left, os::kNever);
    }
  }
  uint32_t left() const noexcept { return left_.load_acquire(); }

 private:
  mutable Atomic<uint32_t> left_;
};

// For threads outside the runtime. If the condition never holds, the harness names the case.
template <typename F>
void wait_until(F condition) {
  while (!condition()) os::sleep_until(os::now_ns() + 50'000);
}

inline SchedulerStats stats_of(Scheduler& scheduler) {
  SchedulerStats stats;
  scheduler.read_stats(&stats);
  return stats;
}

// Until all fibers have left the runtime. What they wrote may be read after a shutdown only, or if
// it is atomic.
inline void await_all_exits(Scheduler& scheduler) {
  wait_until([&] {
    const SchedulerStats stats = stats_of(scheduler);
    return stats.exited == stats.spawned;
  });
}

// Lets all fibers run to their end, then stops: a shutdown alone forgets what fibers still hold.
inline void finish(Scheduler& scheduler) {
  await_all_exits(scheduler);
  CHECK(scheduler.shutdown());
}

template <typename F>
void spawn(Scheduler& scheduler, F&& callable, const SpawnOptions& options = {}) {
  CHECK_EQ(scheduler.go(std::forward<F>(callable), options), SpawnError::kNone);
}

inline SpawnOptions of_class(StackClass stack_class) {
  SpawnOptions options;
  options.stack_class = stack_class;
  return options;
}

inline SchedulerOptions with_processors(uint32_t count) {
  SchedulerOptions options;
  options.processors = count;
  return options;
}

inline constexpr StackClass kStackClasses[] = {StackClass::kStandard, StackClass::kCompact};

// One fiber at a time parks here. Its wait lies open, so that a test can end it early, late, twice.
class ParkingPlace {
 public:
  void park(WaitReason reason = WaitReason::kPark) { heddle::park(reason, publish, this); }
  // For threads outside: until a wait newer than that is published; returns its epoch.
  uint64_t await(uint64_t older = 0) const {
    wait_until([&] { return epoch() != older; });
    return epoch();
  }
  uint64_t epoch() const noexcept { return epoch_.load_acquire(); }
  Fiber* fiber() const noexcept { return fiber_.load_relaxed(); }
  bool ready(Scheduler& scheduler) const noexcept { return scheduler.ready(fiber(), epoch()); }

 private:
  static bool publish(Fiber* fiber, void* raw) noexcept {
    auto* place = static_cast<ParkingPlace*>(raw);
    place->fiber_.store_relaxed(fiber);
    place->epoch_.store_release(fiber->epoch());
    return true;
  }
  Atomic<Fiber*> fiber_{nullptr};
  Atomic<uint64_t> epoch_{0};
};

// One fiber waits for one signal at a time; it may come before the wait.
class Signal {
 public:
  void wait() { park(WaitReason::kPark, commit, this); }
  void send(Scheduler& scheduler) noexcept {
    uint64_t found = kNone;
    if (word_.compare_exchange_acq_rel(found, kSent)) return;
    Fiber* const fiber = fiber_;
    word_.store_relaxed(kNone);
    CHECK(scheduler.ready(fiber, found));
  }

 private:
  static constexpr uint64_t kNone = 0;
  static constexpr uint64_t kSent = 1;  // no epoch: the waits of a fiber count from 2 on

  static bool commit(Fiber* fiber, void* raw) noexcept {
    auto* signal = static_cast<Signal*>(raw);
    signal->fiber_ = fiber;
    uint64_t found = kNone;
    if (signal->word_.compare_exchange_acq_rel(found, fiber->epoch())) return true;
    signal->word_.store_relaxed(kNone);
    return false;
  }
  Atomic<uint64_t> word_{kNone};
  Fiber* fiber_ = nullptr;
};

// The calling OS thread; asked anew every time.
inline const void* running_thread() noexcept { return &os::thread_slot(); }

// Moves the running fiber to another OS thread: those that it has been on are held in blocking
// calls meanwhile. Quick with one processor, where the way is the same every time.
inline void move_to_another_thread(Scheduler& scheduler) {
  struct Move {
    Signal go_on;
    Countdown moved{1};
  };
  const void* const from = running_thread();
  std::vector<Move*> held;
  do {
    held.push_back(new Move);
    spawn(scheduler, [move = held.back(), owner = &scheduler] {
      move->go_on.send(*owner);
      {
        BlockingScope scope;
        move->moved.wait();
      }
      delete move;
    });
    held.back()->go_on.wait();
  } while (running_thread() == from);
  for (Move* move : held) move->moved.arrive();
}

}  // namespace heddle::test
