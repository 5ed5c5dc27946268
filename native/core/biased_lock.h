// A lock for what one machine alone may use for long, such as a channel between two fibers that run
// on one processor: then taking it costs no read-modify-write.
//
// It is an ordinary lock until one machine has taken it kStreak times in a row. From then on that
// machine, the one that is favoured, takes it with a store of `inside_` and a look at `favoured_`;
// anybody else takes the ordinary lock and ends the favour, once and for all: it clears
// `favoured_`, makes every thread execute a barrier, and waits until `inside_` is down. Of the two
// sides, each a store followed by a load, one at least sees the other. (Biased locking after Dice,
// Kogan and others; the asymmetric fence as in "Asymmetric Dekker", Dice, Huang and Yang, 2001.)
//
// Always true: `inside_` is set by the favoured machine only. `by_favour_`, `streak_` and `last_`
// belong to whoever holds the lock.
#pragma once

#include "core/lock.h"

namespace heddle {

class BiasedLock {
 public:
  explicit BiasedLock(LockRank rank) noexcept : lock_(rank) {}

  // `who`: a machine's index plus one, or 0 for a thread that is none.
  void lock(uint32_t who) noexcept {
    if (who != 0 && favoured_.load_relaxed() == who) {
      inside_.store_relaxed(1);
      fence_light();  // pairs with the heavy fence in end_favour
      if (__builtin_expect(favoured_.load_relaxed() == who, true)) {
        lock_.note_acquired();
        by_favour_ = true;
        return;
      }
      inside_.store_release(0);
    }
    lock_slow(who);
  }
  // By the thread that has taken it.
  void unlock() noexcept {
    if (by_favour_) {
      lock_.note_released();
      inside_.store_release(0);
    } else {
      lock_.unlock();
    }
  }

 private:
#if defined(HEDDLE_MODEL)
  static constexpr uint8_t kStreak = 2;  // few enough for every scenario to get there
#else
  static constexpr uint8_t kStreak = 64;
#endif
  static constexpr uint32_t kNobodyAnyMore = UINT32_MAX;

  void lock_slow(uint32_t who) noexcept;
  void end_favour() noexcept;

  Lock lock_;
  Atomic<uint32_t> favoured_{0};
  Atomic<uint8_t> inside_{0};
  bool by_favour_ = false;
  uint8_t streak_ = 0;
  uint32_t last_ = 0;
};

}  // namespace heddle
