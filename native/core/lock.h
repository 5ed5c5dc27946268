// A mutex for the runtime's own short critical sections: one word, a short spin, then a futex.
// Never held across a park, but by sync/, whose locks are released as soon as the parked stack has
// been left. User code never runs under it.
//
// Taking it free costs one compare-and-swap, giving it back a plain store: whoever is about to
// sleep announces that and makes every thread execute a barrier first, since sleeping is rare and
// dear anyway. Then either its next look at the word finds the lock free, or the holder's look at
// the sleepers, which comes after the holder's store, finds it.
//
// That store is the last that an unlock does to the lock: the next holder may destroy it at once.
// So sleepers are counted beside, in a table by address; a count that belongs to another lock costs
// a wake-up that nobody hears.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/atomic.h"
#include "core/lock_rank.h"

namespace heddle {

class Lock {
 public:
  explicit Lock(LockRank rank) noexcept : rank_(rank) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() noexcept {
    note_acquired();
    uint32_t free = 0;
    if (__builtin_expect(!word_.compare_exchange_acq_rel(free, 1), false)) lock_slow();
  }
  bool try_lock() noexcept {
    uint32_t free = 0;
    if (!word_.compare_exchange_acq_rel(free, 1)) return false;
    note_acquired();
    return true;
  }
  void unlock() noexcept {
    note_released();
    word_.store_release(0);
    fence_light();  // pairs with the heavy fence in lock_slow
    if (__builtin_expect(sleepers().load_relaxed() != 0, false)) wake_sleeper();
  }

  // Test builds: what the calling thread holds, in the order of the ranks.
#if defined(HEDDLE_CHECKS)
  void note_acquired() const noexcept;
  void note_released() const noexcept;
#else
  void note_acquired() const noexcept {}
  void note_released() const noexcept {}
#endif

 private:
  static constexpr size_t kSleeperCounts = 256;
  static Atomic<uint32_t> sleeper_counts[kSleeperCounts];

  Atomic<uint32_t>& sleepers() noexcept {
    return sleeper_counts[(reinterpret_cast<uintptr_t>(this) >> 4) % kSleeperCounts];
  }
  void lock_slow() noexcept;
  void wake_sleeper() noexcept;

  Atomic<uint32_t> word_{0};  // 1 = held
  const LockRank rank_;
};

class LockGuard {
 public:
  explicit LockGuard(Lock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~LockGuard() { lock_.unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Lock& lock_;
};

// Test builds: aborts if the calling thread holds any Lock that outlives a park. `where` goes into
// the message.
#if defined(HEDDLE_CHECKS)
void check_no_lock_held(const char* where) noexcept;
#else
inline void check_no_lock_held(const char*) noexcept {}
#endif

}  // namespace heddle
