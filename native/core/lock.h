// A mutex for the runtime's own short critical sections: one word, a short spin, then a futex.
// Never held across a park. User code never runs under it.
//
// states of `word_`: 0 free, 1 held, 2 held and somebody may sleep (Drepper, "Futexes are tricky").
#pragma once

#include "core/atomic.h"
#include "core/lock_rank.h"

namespace heddle {

class Lock {
 public:
  explicit Lock(LockRank rank) noexcept : rank_(rank) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() noexcept;
  bool try_lock() noexcept;
  void unlock() noexcept;

 private:
  void lock_slow() noexcept;

  Atomic<uint32_t> word_{0};
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

// Test builds: aborts if the calling thread holds any Lock. `where` goes into the message.
#if defined(HEDDLE_CHECKS)
void check_no_lock_held(const char* where) noexcept;
#else
inline void check_no_lock_held(const char*) noexcept {}
#endif

}  // namespace heddle
