// Runs a scenario in a machine that exists only here: threads, clock, futexes and memory are
// simulated on one OS thread, and one seed decides everything that a real machine leaves open -
// who runs when, what a load sees, when time passes, what fails.
//
//   sim::Settings settings;
//   settings.cpus = 2;
//   sim::run(seed, settings, [] { heddle::Scheduler scheduler; ... });
//
// The scenario is simulated thread 0; it starts others with os::start_thread. A failed
// expectation, a deadlock or a livelock prints the threads and the latest steps, and ends the
// process: run each seed in a child of its own (seeds.h).
#pragma once

#include <cstdint>

#include "os/os.h"

namespace heddle::sim {

struct Settings {
  uint32_t cpus = 2;
  uint64_t step_limit = 3'000'000;
  // Chances are 1 in so many; 0 = never.
  uint32_t refused_thread_one_in = 0;  // start_thread fails with EAGAIN
  uint32_t refused_memory_one_in = 0;  // reserve_memory and install_guard fail with ENOMEM
  bool time_jumps = true;              // threads are descheduled for up to 20 ms
  uint32_t trace_capacity = 1u << 12;  // a power of two
  bool print_trace = false;            // of a run that passes as well, and all of it
};

struct Summary {
  uint64_t steps = 0;
  uint64_t hash = 0;  // of every step: the same seed gives the same one
  uint64_t ended_at_ns = 0;
};

Summary run(uint64_t seed, const Settings& settings, void (*scenario)());

[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char* format, ...) noexcept;

// Called whenever every thread sleeps, with the time until the first of them wakes up by itself
// (os::kNever: none does). It may call fail: "work is queued, and everybody sleeps".
using SleepCheck = void (*)(uint64_t left_ns);
void on_everybody_asleep(SleepCheck check) noexcept;

// A descriptor that is watched by the poller that was opened last has become ready.
void happen(const os::PollEvent& event) noexcept;

uint64_t time_now_ns() noexcept;                 // without letting any pass
uint32_t random_below(uint32_t bound) noexcept;  // from the seed
bool one_in(uint32_t count) noexcept;            // false for 0
uint32_t running_thread() noexcept;              // number of the calling simulated thread

// A plain variable of a scenario. Every access must be ordered with every other one by
// happens-before, writes at least; a race ends the run. It tells where the runtime's own
// synchronisation is too weak, even if no stale value is ever read.
class RaceCheck {
 public:
  void reading(const char* what) noexcept;
  void writing(const char* what) noexcept;

 private:
  static constexpr uint32_t kThreads = 32;
  uint32_t writer_ = 0;
  uint32_t written_at_ = 0;  // 0: not in this simulation
  uint32_t read_at_[kThreads] = {};
};

template <typename T>
class Plain {
 public:
  explicit Plain(T value = T{}) noexcept : value_(value) {}
  T read(const char* what) noexcept {
    check_.reading(what);
    return value_;
  }
  void write(T value, const char* what) noexcept {
    check_.writing(what);
    value_ = value;
  }
  // For when the simulation is over.
  T peek() const noexcept { return value_; }

 private:
  RaceCheck check_;
  T value_;
};

}  // namespace heddle::sim

// An expectation inside a simulation, on any stack.
#define SIM_CHECK(condition, ...)                                            \
  do {                                                                       \
    if (__builtin_expect(!(condition), 0)) ::heddle::sim::fail(__VA_ARGS__); \
  } while (false)
