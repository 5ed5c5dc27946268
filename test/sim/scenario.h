// What the scenarios of the scheduler share.
#pragma once

#include "core/park.h"
#include "core/scheduler.h"
#include "os/os.h"
#include "os/sim/seeds.h"
#include "test/native/harness.h"

namespace heddle::sim {

// The newest value, as an onlooker outside of any thread sees it.
template <typename T>
T newest(const Atomic<T>& atomic) noexcept {
  T value;
  std::memcpy(&value, static_cast<const void*>(&atomic), sizeof value);
  return value;
}

// The scenario's own thread, or any other thread outside the runtime, waits until so many things
// have happened.
class Countdown {
 public:
  explicit Countdown(uint32_t count) noexcept : left_(count) {}
  void arrive() noexcept {
    if (left_.fetch_sub_acq_rel(1) == 1) os::futex_wake(left_, INT32_MAX);
  }
  void wait() noexcept {
    for (uint32_t left; (left = left_.load_acquire()) != 0;) {
      os::futex_wait(left_, left, os::kNever);
    }
  }
  uint32_t left() const noexcept { return left_.load_acquire(); }

 private:
  Atomic<uint32_t> left_;
};

// Must run once: a second run, or one that does not see what was written before the spawn, ends
// the simulation.
class Once {
 public:
  void prepare(uint32_t value) noexcept { input_.write(value, "a fiber's input"); }
  void run(uint32_t value) noexcept {
    SIM_CHECK(input_.read("a fiber's input") == value, "a fiber got another one's input");
    SIM_CHECK(runs_.read("a fiber's run count") == 0, "a fiber ran twice");
    runs_.write(1, "a fiber's run count");
  }
  bool has_run() noexcept { return runs_.read("a fiber's run count") == 1; }

 private:
  Plain<uint32_t> input_;
  Plain<uint32_t> runs_;
};

// One fiber waits here for signals of anybody; every signal is consumed by one wait. The fiber
// that waits may change, but only one waits at a time.
class Signal {
 public:
  void wait() {
    park(WaitReason::kPark, commit, this);
    // Whoever ended the wait, commit or a signal, has taken the signal: the word is empty.
  }
  // At most one signal may be outstanding. True if a parked fiber was readied.
  bool send(Scheduler& scheduler) noexcept {
    uint64_t none = kNone;
    if (word_.compare_exchange_acq_rel(none, kSignalled)) return false;
    SIM_CHECK(none != kSignalled, "two signals at once");
    Fiber* const fiber = fiber_.read("a waiting fiber");
    word_.store_relaxed(kNone);
    SIM_CHECK(scheduler.ready(fiber, none), "a wait had ended before its signal");
    return true;
  }

 private:
  static constexpr uint64_t kNone = 0;
  static constexpr uint64_t kSignalled = 1;  // no epoch: waits of a fiber count from 2 on

  static bool commit(Fiber* fiber, void* raw) noexcept {
    auto* self = static_cast<Signal*>(raw);
    self->fiber_.write(fiber, "a waiting fiber");
    uint64_t none = kNone;
    if (self->word_.compare_exchange_acq_rel(none, fiber->epoch())) return true;
    self->word_.store_relaxed(kNone);
    return false;
  }

  Atomic<uint64_t> word_{kNone};
  Plain<Fiber*> fiber_;
};

// What has been handed to the runtime and not been served yet. Everybody may sleep meanwhile, but
// not for long: timers of the runtime (the nap of a searcher, at most) must not stand in for a
// wake-up that was lost.
class Unserved {
 public:
  static constexpr uint64_t kLimitNs = 1'000'000;

  void add() noexcept {
    since_ns_ = os::now_ns();
    count_.fetch_add_relaxed(1);
  }
  void serve() noexcept { count_.fetch_sub_acq_rel(1); }
  // From a SleepCheck, which is outside of any thread.
  void check(uint64_t left_ns) const noexcept {
    const uint32_t count = newest(count_);
    if (count == 0 || (left_ns != os::kNever && time_now_ns() + left_ns < since_ns_ + kLimitNs)) {
      return;
    }
    fail("everybody sleeps, and %u things wait to be served: a wake-up was lost", count);
  }

 private:
  Atomic<uint32_t> count_{0};
  uint64_t since_ns_ = 0;
};

// Everything that was spawned has run to its end, by the runtime's own counters.
inline void check_all_exited(Scheduler& scheduler, uint64_t fibers) noexcept {
  SchedulerStats stats;
  scheduler.read_stats(&stats);
  SIM_CHECK(stats.spawned == fibers, "%llu fibers spawned, expected %llu",
            static_cast<unsigned long long>(stats.spawned),
            static_cast<unsigned long long>(fibers));
  SIM_CHECK(stats.started == fibers, "%llu of %llu fibers started",
            static_cast<unsigned long long>(stats.started),
            static_cast<unsigned long long>(fibers));
  SIM_CHECK(stats.exited == fibers, "%llu of %llu fibers ended",
            static_cast<unsigned long long>(stats.exited), static_cast<unsigned long long>(fibers));
}

// Every fiber spawned with the options below arrives here as its last act. A fiber that has only
// finished its own work may still be queued once more, and a shutdown would leave it there.
inline Countdown* exits = nullptr;

inline SpawnOptions options_of(StackClass stack_class, size_t stack_bytes = 0) noexcept {
  SpawnOptions options;
  options.stack_class = stack_class;
  options.stack_bytes = stack_bytes;
  options.on_exit = [](Fiber*, ExitStatus) { exits->arrive(); };
  return options;
}

// One of the ways a fiber can get a stack.
inline SpawnOptions any_options() noexcept {
  switch (random_below(4)) {
    case 0:
      return options_of(StackClass::kCompact);
    case 1:
      return options_of(StackClass::kStandard, 16 * 1024);
    default:
      return options_of(StackClass::kStandard);
  }
}

inline void pause_thread(uint64_t below_ns) noexcept {
  os::sleep_until(os::now_ns() + random_below(static_cast<uint32_t>(below_ns)));
}

inline Settings exact_time() noexcept {
  Settings settings;
  settings.time_jumps = false;
  return settings;
}

}  // namespace heddle::sim
