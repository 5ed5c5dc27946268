// What the tests of channels, select, contexts and locks share: callers of every kind, a look at
// who waits, and values that count themselves.
#pragma once

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "heddle/error.h"
#include "sync/wait.h"
#include "test/native/runtime_support.h"

namespace heddle::test {

inline constexpr uint64_t kMs = 1'000'000;
inline constexpr uint32_t kProcessorCounts[] = {1, 2, 4, 10};

enum class Kind : uint8_t { kStandard, kCompact, kThread };
inline constexpr Kind kKinds[] = {Kind::kStandard, Kind::kCompact, Kind::kThread};
inline constexpr Kind kFiberKinds[] = {Kind::kStandard, Kind::kCompact};

// One after the other, so that many are a mix.
inline Kind kind_of(uint32_t number) noexcept { return kKinds[number % 3]; }

// Callers of any kind, all of which have ended when join() returns, and let go of what they held.
class Crew {
 public:
  explicit Crew(Scheduler& scheduler) noexcept : scheduler_(scheduler) {}
  ~Crew() { join(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  template <typename F>
  void add(Kind kind, F body) {
    if (kind == Kind::kThread) {
      threads_.emplace_back(std::move(body));
      return;
    }
    fibers_.fetch_add_relaxed(1);
    spawn(
        scheduler_,
        [this, body = std::move(body)]() mutable {
          struct Leave {
            Atomic<uint32_t>& fibers;
            ~Leave() { fibers.fetch_sub_acq_rel(1); }
          } leave{fibers_};
          F own(std::move(body));
          own();
        },
        of_class(kind == Kind::kCompact ? StackClass::kCompact : StackClass::kStandard));
  }

  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    wait_until([this] { return fibers_.load_acquire() == 0; });
  }

 private:
  Scheduler& scheduler_;
  std::vector<std::thread> threads_;
  Atomic<uint32_t> fibers_{0};
};

template <typename F>
void run_as(Scheduler& scheduler, Kind kind, F body) {
  Crew crew(scheduler);
  crew.add(kind, std::move(body));
}

// What one caller sees, whatever its kind.
template <typename F>
void in_every_kind(F body) {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(1));
    run_as(scheduler, kind, body);
    finish(scheduler);
  }
}

// How many waits are queued there.
inline uint32_t waits_at(Waitable* waitable) noexcept {
  waitable->lock();
  const uint32_t waits = waitable->wait_count();
  waitable->unlock();
  return waits;
}

// For threads outside the runtime.
inline void await_waits(Waitable* waitable, uint32_t count) {
  wait_until([=] { return waits_at(waitable) == count; });
}

// For fibers.
template <typename F>
void yield_until(F condition) {
  while (!condition()) yield();
}

template <typename F>
bool throws_cancelled(F wait) {
  try {
    wait();
  } catch (const Cancelled&) {
    return true;
  }
  return false;
}

// The code of the Error that is thrown; "" if none is.
template <typename F>
std::string error_code(F call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

// The fiber that says so of itself, for whoever cancels it.
class Target {
 public:
  void set() noexcept { fiber_.store_release(current_fiber()); }
  Fiber* await() const {
    wait_until([this] { return fiber_.load_acquire() != nullptr; });
    return fiber_.load_acquire();
  }

 private:
  Atomic<Fiber*> fiber_{nullptr};
};

// Too large for a cell, so it travels through the heap; `live` says how many there are.
class Counted {
 public:
  explicit Counted(int number = 0) noexcept : number_(number) { live().fetch_add_relaxed(1); }
  Counted(const Counted& other) noexcept : Counted(other.number_) {}
  Counted& operator=(const Counted&) noexcept = default;
  ~Counted() { live().fetch_sub_acq_rel(1); }
  int number() const noexcept { return number_; }

  static Atomic<int64_t>& live() noexcept {
    static Atomic<int64_t> count{0};
    return count;
  }

 private:
  int number_;
};

}  // namespace heddle::test
