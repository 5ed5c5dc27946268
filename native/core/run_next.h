// The place of the fiber that runs next: one, before the queue, and with the time slice of whoever
// made it ready.
//
// Its owner uses it at every hand-off and pays no read-modify-write: it says that it is inside, and
// looks whether a thief is about. A thief, which comes only for what has lain here for
// microseconds, says that it robs, makes every thread execute a barrier, and waits until the owner
// is outside. Of the two sides, each a store followed by a load, one at least sees the other.
#pragma once

#include "core/atomic.h"
#include "core/runnable.h"

namespace heddle {

class RunNext {
 public:
  // Owner only.
  Runnable* exchange(Runnable* item) noexcept {
    enter();
    Runnable* const before = item_.load_relaxed();
    item_.store_release(item);  // pairs with the acquire in rob, for what the item says
    inside_.store_release(0);
    return before;
  }
  Runnable* take() noexcept { return peek() == nullptr ? nullptr : exchange(nullptr); }

  // Anyone, as a hint.
  Runnable* peek() const noexcept { return item_.load_relaxed(); }

  // Anyone else. nullptr if it is empty by now, or another thief is at work.
  Runnable* rob() noexcept {
    uint32_t nobody = 0;
    if (!robbed_.compare_exchange_acq_rel(nobody, 1)) return nullptr;
    fence_heavy();  // pairs with the light fence in enter
    while (inside_.load_acquire() != 0) spin_hint();
    Runnable* const item = item_.load_acquire();
    item_.store_relaxed(nullptr);
    robbed_.store_release(0);
    return item;
  }

 private:
  void enter() noexcept {
    for (;;) {
      inside_.store_relaxed(1);
      fence_light();
      // Acquire: pairs with the release in rob, whose store to the item comes before.
      if (__builtin_expect(robbed_.load_acquire() == 0, true)) return;
      inside_.store_release(0);
      while (robbed_.load_relaxed() != 0) spin_hint();
    }
  }

  Atomic<Runnable*> item_{nullptr};
  Atomic<uint32_t> inside_{0};
  Atomic<uint32_t> robbed_{0};
};

}  // namespace heddle
